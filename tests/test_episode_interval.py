"""The literature's interval over the episodes of one model."""

import numpy as np
import pytest

from bench.results import episode_interval


def test_episode_interval_is_the_textbook_formula():
    mean, half_width = episode_interval.episode_interval([0.2, 0.4, 0.6, 0.8])
    assert mean == pytest.approx(0.5)
    assert half_width == pytest.approx(1.96 * np.sqrt(0.2 / 3) / 2)
    with pytest.raises(ValueError, match="two episodes"):
        episode_interval.episode_interval([1.0])
