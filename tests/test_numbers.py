"""Numbers as the report prints them: a ± is never half of an interval that was cut."""

import pytest

from bench.report.numbers import plus_minus
from bench.report.sections.calibration import _value


@pytest.mark.parametrize(
    ("mean", "low", "high", "text"),
    [
        (0.862, 0.693, 1.0, "86.2 (69.3 to 100.0)"),
        (0.1, 0.0, 0.4, "10.0 (0.0 to 40.0)"),
        (0.978, 0.976, 0.98, "97.8 ± 0.2"),
        (1.0, 1.0, 1.0, "100.0 ± 0.0"),
    ],
)
def test_a_cut_interval_is_printed_by_its_ends(mean, low, high, text):
    assert plus_minus(mean, low, high) == text


def test_a_slope_below_zero_is_not_cut():
    assert plus_minus(-0.02, -0.03, -0.01, sign=True) == "−2.0 ± 1.0"


def test_a_calibration_error_never_reaches_below_zero():
    row = {"metric": "ece", "mean": 0.366, "low": -0.083, "high": 0.815, "n_seeds": 2, "n_episodes": 9}
    assert _value(row).text == "36.6 (0.0 to 81.5)"
    assert "0.0 to 81.5" in _value(row).note
    assert _value(row | {"low": 0.266, "high": 0.466}).text == "36.6 ± 10.0"
