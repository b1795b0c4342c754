"""The literature's interval over the episodes of one model."""

import numpy as np

NORMAL_95 = 1.96
"""Standard deviations to either side of the mean of a Gaussian that hold 95 % of it."""


def episode_interval(values: np.ndarray) -> tuple[float, float]:
    """Return mean and half width 1.96 s / sqrt(T) over the T episodes of ONE model, s with ddof = 1.

    The interval of the literature; it does not cover how the model would differ had it been trained again. Raises
    ValueError for fewer than two values.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"need the values of at least two episodes [T], got shape {values.shape}")
    return float(values.mean()), float(NORMAL_95 * values.std(ddof=1) / np.sqrt(len(values)))
