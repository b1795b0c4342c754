"""The metrics: one row each, with range, direction, unit and label. Everything else about metrics derives from it."""

from dataclasses import dataclass
from functools import cache

TASK_KINDS = ("classification", "regression")
MAIN, SCORE, LEVEL, CALIBRATION, FURTHER = "main", "score", "level", "calibration", "further"
"""Roles of a metric for a kind of task.

main: what learners are compared by. score, level, calibration: measured of every classifier and summed up in the
calibration tables (a level only as a part of another). further: summed up beside the main one where a learner has it.
"""


@dataclass(frozen=True)
class Metric:
    """A metric of an episode.

    roles: its role by kind of task. low, high: range. better: `high`, `low`, or None where neither is. scale, decimals
    and unit: as printed. derived: computed from other metrics, and not a column of episodes.parquet.
    """

    name: str
    roles: dict[str, str]
    low: float
    high: float
    better: str | None
    label: str
    unit: str = ""
    scale: float = 1.0
    decimals: int = 3
    derived: bool = False

    @property
    def axis(self) -> str:
        """Label with unit: `accuracy, %`."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def sign(self) -> int:
        """1 where more is better, else -1."""
        return 1 if self.better == "high" else -1

    def text(self, value: float, sign: bool = False) -> str:
        """Return a value as printed, without its unit, with a plain minus; `sign`: a plus before what is above zero."""
        text = f"{self.scale * value:.{self.decimals}f}"
        text = text.lstrip("-") if float(text) == 0 else text
        return ("+" if sign and float(text) > 0 else "") + text


_INF = float("inf")
_PERCENT = {"unit": "%", "scale": 100.0, "decimals": 1}
_BOTH = {"classification": SCORE, "regression": FURTHER}


def _classifier(role: str) -> dict[str, str]:
    return {"classification": role}


METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", _classifier(MAIN), 0.0, 1.0, "high", "accuracy", **_PERCENT),
        Metric("nll", _BOTH, -_INF, _INF, "low", "negative log-likelihood"),
        Metric("brier", _classifier(SCORE), 0.0, 2.0, "low", "Brier score"),
        Metric("confidence", _classifier(LEVEL), 0.0, 1.0, None, "confidence", **_PERCENT),
        # An episode's share in the error of all episodes; it is negative where the episode errs on the other side.
        Metric("ece", _classifier(CALIBRATION), -1.0, 1.0, "low", "calibration error", **_PERCENT),
        Metric(
            "overconfidence",
            _classifier(CALIBRATION),
            *(-1.0, 1.0, None, "confidence minus accuracy"),
            **_PERCENT,
            derived=True,
        ),
        Metric("mse", {"regression": MAIN}, 0.0, _INF, "low", "mean squared error"),
        Metric("coverage", {"regression": FURTHER}, 0.0, 1.0, None, "share in the 95 % interval", **_PERCENT),
    )
}


def _with_role(kind: str, *roles: str) -> list[str]:
    return [name for role in roles for name, metric in METRICS.items() if metric.roles.get(kind) == role]


@cache
def main_metric(kind: str) -> str:
    """Return the metric by which learners of a kind of task are compared."""
    return _with_role(kind, MAIN)[0]


def further(kind: str) -> list[str]:
    """Return the metrics summed up beside the main one, for the learners that have them (others: NaN)."""
    return _with_role(kind, FURTHER)


def measured(kind: str) -> list[str]:
    """Return the metrics that every episode of a kind of task has: finite, in their range."""
    required = _with_role(kind, MAIN, SCORE, LEVEL, CALIBRATION)
    return [name for name in stored() if name in required]


def calibration(kind: str) -> list[str]:
    """Return the metrics of the calibration tables, derived ones included."""
    return _with_role(kind, CALIBRATION, SCORE)


def stored() -> list[str]:
    """Return the metrics that are columns of episodes.parquet, in their order."""
    return [name for name, metric in METRICS.items() if not metric.derived]


def main_metrics() -> list[str]:
    """Return the main metric of each kind of task."""
    return [main_metric(kind) for kind in TASK_KINDS]


def clipped(name: str, low: float, high: float) -> tuple[float, float]:
    """Return the ends of an interval cut at the range of the metric."""
    metric = METRICS[name]
    return max(low, metric.low), min(high, metric.high)
