"""The table of metrics, and what derives from it."""

import pytest

from bench.results import metrics
from bench.results.schema import EPISODE_COLUMNS
from bench.statistics import calibration


def test_each_kind_of_task_has_one_main_metric():
    assert metrics.main_metrics() == ["accuracy", "mse"]
    for kind in metrics.TASK_KINDS:
        mains = [name for name, m in metrics.METRICS.items() if m.roles.get(kind) == metrics.MAIN]
        assert mains == [metrics.main_metric(kind)]


def test_files_and_tables_derive_from_the_table():
    assert [column for column in EPISODE_COLUMNS if column in metrics.METRICS] == metrics.stored()
    assert metrics.measured("classification") == ["accuracy", "nll", "brier", "confidence", "ece"]
    assert metrics.measured("regression") == ["mse"]
    assert metrics.further("classification") == [] and metrics.further("regression") == ["nll", "coverage"]
    assert calibration.SCORES == ("ece", "overconfidence", "nll", "brier")


@pytest.mark.parametrize(
    ("name", "value", "sign", "text"),
    [
        ("accuracy", 0.9784, False, "97.8"),
        ("accuracy", 0.012, True, "+1.2"),
        ("accuracy", -0.0001, True, "0.0"),
        ("mse", 0.35, False, "0.350"),
    ],
)
def test_numbers_are_printed_by_the_metric(name, value, sign, text):
    assert metrics.METRICS[name].text(value, sign) == text


def test_intervals_are_cut_at_the_range():
    assert metrics.clipped("accuracy", -0.1, 1.2) == (0.0, 1.0)
    assert metrics.clipped("mse", -0.1, 7.0) == (0.0, 7.0)
    assert metrics.METRICS["accuracy"].axis == "accuracy, %" and metrics.METRICS["mse"].sign == -1
