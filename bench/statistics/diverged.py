"""Episodes of regression on which a learner diverged: counted and named, and left out of its mean.

Gradient descent at a fixed rate diverges on about one task in a thousand. Its error would be decided by the limit at which
an episode's error is cut, and alone decide the mean.
"""

import numpy as np

from bench.results.metrics import main_metric
from bench.results.setting import Setting
from bench.statistics.gather import Values

LIMITS = {"sinusoid": 100.0, "polynomial": 1300.0}
"""Error at which an episode counts as diverged, by data set. Equals `LARGEST_MSE` of the classes in `tasks.generated`,
which need torch."""
FEWEST = 2
"""Episodes at least that a mean needs; a learner that diverges on more of them keeps the cut errors."""


def without_diverged(setting: Setting, metric: str, table: np.ndarray) -> tuple[np.ndarray, int]:
    """Return the values `[seeds, episodes]` of the episodes on which no seed diverged, and the number of values that did."""
    limit = LIMITS.get(setting.dataset)
    if limit is None or metric != main_metric("regression"):
        return table, 0
    diverged = table >= limit
    kept = table[:, ~diverged.any(0)]
    return (kept if kept.shape[1] >= FEWEST else table), int(diverged.sum())


def converged_in_both(setting: Setting, metric: str, a: Values, b: Values) -> tuple[Values, Values]:
    """Return the values of two learners without the episodes on which either diverged, condition by condition."""
    left, right = dict(a), dict(b)
    for condition in a.keys() & b.keys() if setting.dataset in LIMITS else ():
        if a[condition].shape[1] == b[condition].shape[1]:
            both = np.concatenate([a[condition], b[condition]])
            kept, _ = without_diverged(setting, metric, both)
            left[condition], right[condition] = np.split(kept, [len(a[condition])])
    return left, right
