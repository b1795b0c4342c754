"""Holm's correction: by hand and as statsmodels has it."""

import numpy as np
from statsmodels.stats.multitest import multipletests

from bench.statistics.multiplicity import holm
from tasks.seeds import numpy_generator


def test_holm_by_hand_and_as_statsmodels():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([]).size == 0
    p = numpy_generator("holm").uniform(size=50) ** 4
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_an_undefined_p_is_no_test_of_the_family():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04, 0.03, 0.005]), [0.03, np.nan, 0.06, 0.06, 0.02])
    assert np.isnan(holm([np.nan, np.nan])).all()
