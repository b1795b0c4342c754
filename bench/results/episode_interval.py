"""The literature's interval over the episodes of one model."""

import numpy as np


def episode_interval(values: np.ndarray) -> tuple[float, float]:
    """Mean and half width 1.96 s / sqrt(T) over T episodes of ONE model, s with ddof = 1: the literature's interval.

    It knows nothing of how the model would differ had it been trained again.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"need the values of at least two episodes [T], got shape {values.shape}")
    return float(values.mean()), float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
