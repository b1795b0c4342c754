"""Rows of cells.csv: the mean of a learner under each condition, with its interval."""

import numpy as np
import pandas as pd

from bench.results.condition import SHARED_COLUMNS
from bench.results.episode_interval import episode_interval
from bench.results.metrics import clipped, main_metric
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics import intervals
from bench.statistics.diverged import without_diverged
from bench.statistics.gather import LearnerResults
from bench.statistics.priors import Priors, batches_with_priors

CELL_COLUMNS = [
    *[*SETTING_COLUMNS, "algorithm", "title", "family", "yardstick", "mode", "paper_mode", *SHARED_COLUMNS],
    *["metric", "mean", "low", "high", "episode_half_width", "n_seeds", "n_episodes", "chance", "seed_means"],
    *["n_diverged", "n_tested"],
]


def cell_rows(setting: Setting, results: LearnerResults, priors: Priors) -> list[dict]:
    """Return a row per condition, without the column `yardstick`; ends of intervals are cut at the metric's range.

    What is known of the spread over seeds is the same as in comparisons, so that a figure and the table agree.
    n_diverged: episodes of all seeds on which a regression diverged, of n_tested; see `bench.statistics.diverged`.
    """
    rows, kept = {}, {c: without_diverged(setting, results.metric, v) for c, v in results.values.items()}
    values = {condition: table for condition, (table, _) in kept.items()}
    for conditions, stack, prior in batches_with_priors(values, lambda c: priors.get(c.any_mode())):
        interval = intervals.two_level_interval(stack, prior=prior)
        within = [np.mean([episode_interval(seed)[1] for seed in table]) for table in stack]
        for i, condition in enumerate(conditions):
            low, high = clipped(results.metric, interval.low[i], interval.high[i])
            rows[condition] = {
                **setting._asdict(),
                "algorithm": results.algorithm,
                **{key: results.record[key] for key in ("title", "family")},
                **condition.row,
                "paper_mode": condition.mode == results.reported_mode,
                "metric": results.metric,
                **{"mean": interval.mean[i], "low": low, "high": high},
                "episode_half_width": within[i],
                "n_seeds": stack.shape[1],
                "n_episodes": stack.shape[2],
                "chance": _chance(results.metric, condition.test_way),
                "seed_means": joined_means(stack[i]),
                **{"n_diverged": kept[condition][1], "n_tested": results.values[condition].size},
            }
    return [rows[condition] for condition in results.values]


def joined_means(table: np.ndarray) -> str:
    """Return the mean of each seed of a table `[seeds, episodes]` in one field: `0.889 0.903`."""
    return " ".join(f"{mean:.6g}" for mean in table.mean(-1, dtype=np.float64))


def seed_means(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a row per seed, with the frame's columns and index: `seed_mean` is a number of its field `seed_means`."""
    rows = frame.assign(seed_mean=frame["seed_means"].astype(str).str.split()).explode("seed_mean")
    return rows.astype({"seed_mean": float})


def _chance(metric: str, way: int) -> float:
    """Return the accuracy of a guess among `way` classes; NaN for other metrics."""
    return 1 / way if metric == main_metric("classification") else np.nan
