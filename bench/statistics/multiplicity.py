"""Holm's correction of a family of p-values."""

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
