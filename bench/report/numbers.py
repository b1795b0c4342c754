"""Numbers and lists as the report prints them."""

import math
from collections.abc import Iterable, Mapping

from bench.results.metrics import METRICS

SIGNIFICANT = 0.05
"""Level below which a corrected p value counts as a difference."""


def number(value: float | None, metric: str = "accuracy", sign: bool = False) -> str:
    """Return a value in the metric's scale and decimals, without its unit; `sign`: a plus before what is above zero."""
    if value is None or not math.isfinite(value):
        return "–"
    return METRICS[metric].text(value, sign).replace("-", "−")


def plus_minus(mean: float, low: float, high: float, metric: str = "accuracy", sign: bool = False) -> str:
    """Return `97.8 ± 0.2`, a mean and half the width of its interval.

    An interval that is cut at the range of the metric is not centred: `86.2 (69.3 to 100.0)`, its ends.
    """
    cut = low == METRICS[metric].low or high == METRICS[metric].high
    if cut and not math.isclose(mean - low, high - mean, abs_tol=1e-6):
        return with_ends(mean, low, high, metric, sign)
    return f"{number(mean, metric, sign)} ± {number((high - low) / 2, metric)}"


def with_ends(mean: float, low: float, high: float, metric: str = "accuracy", sign: bool = False) -> str:
    """Return `86.2 (69.3 to 100.0)`: a mean and the ends of its interval."""
    return f"{number(mean, metric, sign)} ({reach(low, high, metric, sign)})"


def reach(low: float, high: float, metric: str = "accuracy", sign: bool = False) -> str:
    """Return `97.6 to 98.0`: the ends of an interval."""
    return f"{number(low, metric, sign)} to {number(high, metric, sign)}"


def p_value(p: float) -> str:
    """Return `< 0.001` or three decimals."""
    if not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def duration(seconds: float) -> str:
    """Return seconds in the unit that a person would use: `42 s`, `3.5 min`, `2.1 h`."""
    if not math.isfinite(seconds):
        return "–"
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def listed(names: Iterable[str]) -> str:
    """Return `a`, `a and b`, or `a, b and c`."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last


def counted(values: Iterable[float], noun: str) -> str:
    """Return `3 seeds`, `2 to 3 seeds` or `no seeds`: the range of these counts."""
    numbers = [int(value) for value in values]
    if not numbers:
        return f"no {noun}s"
    low, high = min(numbers), max(numbers)
    shown = f"{low:,}" if low == high else f"{low:,} to {high:,}"
    return f"{shown} {noun}" + ("" if high == 1 else "s")


def diverged_of(row: Mapping) -> str:
    """Return `1 of 3,000 tasks`: on how many tasks of all seeds a learner diverged, from a row of cells.csv."""
    return f"{int(row['n_diverged']):,} of {int(row['n_tested']):,} tasks"
