"""Cells: the mean of a learner under each condition, with its interval."""

import numpy as np

from bench.results import episode_interval
from bench.results.condition import CONDITION_COLUMNS
from bench.results.metrics import METRICS
from bench.statistics import intervals
from bench.statistics.gather import SETTING_COLUMNS, SHARED_COLUMNS, Setting, Tested, batches

CELL_COLUMNS = [
    *[*SETTING_COLUMNS, "algorithm", "title", "family", "yardstick", "mode", "paper_mode", *SHARED_COLUMNS],
    *["metric", "mean", "low", "high", "episode_half_width", "n_seeds", "n_episodes", "chance"],
]


def cell_rows(setting: Setting, tested: Tested) -> list[dict]:
    rows, metric = {}, METRICS[tested.metric]
    for conditions, stack in batches(tested.values):
        interval = intervals.two_level_interval(stack)
        within = [np.mean([episode_interval.episode_interval(seed)[1] for seed in table]) for table in stack]
        for i, condition in enumerate(conditions):
            named = dict(zip(CONDITION_COLUMNS, condition, strict=True))
            rows[condition] = {
                **dict(zip(SETTING_COLUMNS, setting, strict=True)),
                "algorithm": tested.algorithm,
                **{key: tested.record[key] for key in ("title", "family")},
                **named,
                "paper_mode": named["mode"] == tested.paper_mode,
                "metric": tested.metric,
                "mean": interval.mean[i],
                "low": max(interval.low[i], metric.low),
                "high": min(interval.high[i], metric.high),
                "episode_half_width": within[i],
                "n_seeds": stack.shape[1],
                "n_episodes": stack.shape[2],
                "chance": 1 / named["test_way"] if tested.metric == "accuracy" else np.nan,
            }
    return [rows[condition] for condition in tested.values]
