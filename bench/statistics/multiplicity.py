"""Corrections of a family of p-values: of all pairs (Holm), and of all comparisons with the best."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return the p-values `[n]` adjusted for their number (Holm 1979); an empty family gives an empty array.

    An undefined p (NaN) is no test: it stays undefined, and does not count.

    Equal to statsmodels' multipletests(method="holm"), which collects garbage at each call and so takes up to a second.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")  # NaN last
    count = np.isfinite(p_values).sum()
    factors = np.maximum(count - np.arange(len(order)), 1)
    adjusted = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted[np.argsort(order, kind="stable")]


def from_best(p_values: np.ndarray, others: int) -> np.ndarray:
    """Return p-values of being below the best of `others` + 1 learners, from two-sided ones of the differences from it.

    The learners that are left at 0.05 are a 95 % confidence set for the best (Hsu 1996, Multiple Comparisons, chapter 4,
    with Bonferroni's bound): the true best is left out only where one of the `others` looks better than it by one of as
    many one-sided tests. That the best was chosen by its value costs nothing. Far fewer tests than pairs.
    """
    return np.minimum(np.asarray(p_values, dtype=np.float64) / 2 * others, 1.0)
