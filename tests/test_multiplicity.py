"""Corrections for many comparisons: Holm's by hand and as statsmodels has it; who is compared, and on which episodes."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from bench.results.condition import Condition
from bench.statistics import intervals, losses, pairs
from bench.statistics.multiplicity import holm
from bench.statistics.seed_variance import seed_prior
from tasks.seeds import numpy_generator


def test_holm_by_hand_and_as_statsmodels():
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    assert holm([]).size == 0
    p = numpy_generator("holm").uniform(size=50) ** 4
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1])


def test_an_undefined_p_is_no_test_of_the_family():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04, 0.03, 0.005]), [0.03, np.nan, 0.06, 0.06, 0.02])
    assert np.isnan(holm([np.nan, np.nan])).all()


def test_learners_with_fewer_episodes_are_compared_on_those_that_both_have():
    """A test of 60 episodes has the first 60 of a test of 100: no difference stays unknown for that."""
    draw = numpy_generator("fewer episodes")
    shared = draw.normal(0, 0.05, 100)
    tables = {
        name: level + shared[:n] + draw.normal(0, 0.02, (2, n))
        for name, level, n in (("best", 0.9, 100), ("near", 0.899, 60), ("far", 0.5, 60), ("last", 0.3, 100))
    }
    prior = seed_prior(list(tables.values()))
    found = losses._p_from_highest({name: [table] for name, table in tables.items()}, prior)
    assert np.isnan(found["best"]) and found["near"] > 0.05 > max(found["far"], found["last"])
    expected = intervals.paired(tables["best"][:, :60], tables["far"], prior=prior).p / 2 * 3
    assert found["far"] == pytest.approx(float(expected))
    here = Condition(5, 1)
    a, b = pairs.on_same_episodes(
        {here: tables["best"]}, {here: tables["far"], Condition(5, 5): tables["near"]}
    )
    assert list(a) == list(b) == [here]
    np.testing.assert_array_equal(a[here], tables["best"][:, :60])
    np.testing.assert_array_equal(b[here], tables["far"])
