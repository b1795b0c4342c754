"""Holm's correction of a family of p-values."""

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Return the p-values `[n]` adjusted for their number (Holm 1979); an empty family gives an empty array.

    Equal to statsmodels' multipletests(method="holm"), which collects garbage at each call and so takes up to a second.
    """
    p_values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1))
    return np.minimum(adjusted, 1.0)[np.argsort(order, kind="stable")]
