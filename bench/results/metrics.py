"""The metrics: names, ranges, and which ones a kind of task has."""

import numpy as np

METRICS = {"classification": "accuracy", "regression": "mse"}
FURTHER_METRICS = {"classification": [], "regression": ["nll", "coverage"]}
"""Summarised too, for algorithms that have them."""
RANGES = {
    **{"accuracy": (0.0, 1.0), "confidence": (0.0, 1.0), "brier": (0.0, 2.0), "coverage": (0.0, 1.0)},
    **{"nll": (-np.inf, np.inf), "mse": (0.0, np.inf), "ece": (-1.0, 1.0)},
}
_MEASURES = {"classification": ["accuracy", "nll", "brier", "confidence", "ece"], "regression": ["mse"]}
