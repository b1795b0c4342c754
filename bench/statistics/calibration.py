"""How far the confidence of a prediction is the probability that it is right: rows of a study's tables.

A study's conditions are summed up as three: `clean` (in distribution), and `task` and `query` (the mean over the shifts
of that scope, each at its highest severity); all on tasks as trained for.
"""

from collections import defaultdict

import numpy as np
import pandas as pd

from bench.results import metrics
from bench.results.condition import CONDITION_COLUMNS, STANDARD
from bench.results.run_folder import RunResult
from bench.results.schema import BINS
from bench.statistics import intervals
from bench.statistics.gather import SETTING_COLUMNS, Setting, Tested

SCORES = tuple(metrics.calibration("classification"))
"""overconfidence: mean confidence minus accuracy, below zero where a learner is right more often than it thinks."""
_NAMES = [*SETTING_COLUMNS, "algorithm", "title", "family", "mode", "paper_mode", "conditions"]
SCORE_COLUMNS = [*_NAMES, "metric", "mean", "low", "high", "n_seeds", "n_episodes", "n_conditions"]
BIN_COLUMNS = [*_NAMES, "bin", "from", "to", "n", "confidence", "accuracy"]


def conditions(setting: Setting, tested: Tested) -> dict[tuple[str, str], list[tuple]]:
    """The conditions behind `clean`, `task` and `query`, by mode and that name."""
    groups, hardest = defaultdict(list), {}
    for condition in tested.values:
        named = dict(zip(CONDITION_COLUMNS, condition, strict=True))
        own = (named["test_tasks"], named["test_way"], named["test_shot"], named["test_steps"])
        exact = (
            named["shift"] != "none" and named["severity"] == 0
        )  # a strength outside the scale of severities
        if own != (STANDARD, *setting[1:], -1) or exact:
            continue
        key = (named["mode"], named["scope"], named["shift"])
        hardest[key] = max(hardest.get(key, (named["severity"], condition)), (named["severity"], condition))
    for (mode, scope, _), (_, condition) in hardest.items():
        groups[mode, scope].append(condition)
    return dict(groups)


def score_rows(setting: Setting, tested: dict[str, Tested]) -> list[dict]:
    """Each of `SCORES` with its interval over seeds and episodes; zero rows for a regression.

    The calibration error is that of each condition and seed over all its episodes, averaged afterwards. It is biased
    upwards where queries are few; the interval holds the side on which each bin errs (bench.protocol.scores.calibration_shares).
    """
    rows = []
    for (mode, name), members in conditions(setting, tested["accuracy"]).items() if "ece" in tested else ():
        if len({tested["accuracy"].values[condition].shape for condition in members}) > 1:
            continue  # the study was changed between two seeds
        means = {
            metric: np.mean([tested[metric].values[condition] for condition in members], axis=0)
            for metric in metrics.measured("classification")
        }
        means["overconfidence"] = means["confidence"] - means["accuracy"]
        interval = intervals.two_level_interval(np.stack([means[metric] for metric in SCORES]))
        seeds, episodes = means["ece"].shape
        for i, metric in enumerate(SCORES):
            bottom, top = (
                (0.0, 1.0) if metric == "ece" else (metrics.METRICS[metric].low, metrics.METRICS[metric].high)
            )
            amounts = {"low": max(interval.low[i], bottom), "high": min(interval.high[i], top)}
            counts = {"n_seeds": seeds, "n_episodes": episodes, "n_conditions": len(members)}
            named = {**_names(setting, tested["accuracy"], mode, name), "metric": metric}
            rows.append({**named, "mean": interval.mean[i], **amounts, **counts})
    return rows


def bin_rows(setting: Setting, tested: dict[str, Tested], found: list[RunResult]) -> list[dict]:
    """Mean confidence and accuracy by bin, all seeds (and shifts) pooled; bins without a query are left out."""
    if "ece" not in tested:
        return []
    sums = pd.concat([result.calibration() for result in found]).set_index(CONDITION_COLUMNS)
    sums, rows = sums[sums["n"].gt(0)], []
    for (mode, name), members in conditions(setting, tested["accuracy"]).items():
        names = _names(setting, tested["accuracy"], mode, name)
        for b, part in sums[sums.index.isin(members)].groupby("bin").sum().iterrows():
            edges = {"bin": b, "from": b / BINS, "to": (b + 1) / BINS}
            means = {"confidence": part["confidence"] / part["n"], "accuracy": part["correct"] / part["n"]}
            rows.append({**names, **edges, "n": int(part["n"]), **means})
    return rows


def _names(setting: Setting, tested: Tested, mode: str, name: str) -> dict:
    return {
        **dict(zip(SETTING_COLUMNS, setting, strict=True)),
        "algorithm": tested.algorithm,
        **{key: tested.record[key] for key in ("title", "family")},
        "mode": mode,
        "paper_mode": mode == tested.paper_mode,
        "conditions": name,
    }
