"""Rows of calibration.csv and calibration_scores.csv: is the confidence of a prediction the probability that it is right?

The conditions of a study are summed up as three: `clean` (in distribution), and `task` and `query` (the mean over the
shifts of that scope, each at its highest severity); all on tasks as trained for.
"""

from collections import defaultdict

import numpy as np
import pandas as pd

from bench.results import metrics
from bench.results.bins import BINS
from bench.results.condition import CONDITION_COLUMNS, Condition
from bench.results.run_folder import RunResult
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics import intervals
from bench.statistics.gather import LearnerResults, paired
from bench.statistics.priors import priors_by_key

ACCURACY = metrics.main_metric("classification")
MEASURED = tuple(metrics.measured("classification"))
SCORES = tuple(metrics.calibration("classification"))
"""Metrics of calibration_scores.csv. The mean calibration error of several episodes cannot be negative, an episode's can."""
ERROR_RANGE = (0.0, 1.0)
_NAMES = [*SETTING_COLUMNS, "algorithm", "title", "family", "mode", "paper_mode", "conditions"]
SCORE_COLUMNS = [*_NAMES, "metric", "mean", "low", "high", "n_seeds", "n_episodes", "n_conditions"]
BIN_COLUMNS = [*_NAMES, "bin", "from", "to", "n", "confidence", "accuracy"]
Group = tuple[str, str]
"""Mode, and `clean`, `task` or `query`."""


def condition_groups(setting: Setting, results: LearnerResults) -> dict[Group, list[Condition]]:
    """Return the conditions behind `clean`, `task` and `query`, by mode and that name; shifts are those of all learners."""
    groups, hardest = defaultdict(list), {}
    for condition in results.values:
        if not condition.as_trained(setting) or condition.exact:
            continue
        place = condition.scope, condition.shift, condition.severity
        if condition.graded and not results.counts(*place, condition.mode):
            continue
        key = condition.mode, condition.scope, condition.shift
        if key not in hardest or condition.severity > hardest[key].severity:
            hardest[key] = condition
    for (mode, scope, _), condition in hardest.items():
        groups[mode, scope].append(condition)
    return dict(groups)


def score_rows(setting: Setting, learners: list[dict[str, LearnerResults]]) -> list[dict]:
    """Return each of `SCORES` with its interval over seeds and episodes; no rows for a regression. learners: by metric.

    The calibration error is that of each condition and seed over all its episodes, averaged afterwards. It is biased
    upwards where queries are few; the interval holds the side on which each bin errs
    (bench.protocol.scores.calibration_shares). What is known of the spread over seeds comes from all learners in their
    reported modes, as in cells.
    """
    found = [(results, _by_group(setting, results)) for results in learners if "ece" in results]
    reported = [
        {
            name: scores
            for (mode, name), (scores, _) in groups.items()
            if mode == results[ACCURACY].reported_mode
        }
        for results, groups in found
    ]
    priors, rows = priors_by_key(reported), []
    for results, groups in found:
        for group, (scores, n_conditions) in groups.items():
            interval = intervals.two_level_interval(scores, prior=priors.get(group[1]))
            counts = {"n_seeds": scores.shape[1], "n_episodes": scores.shape[2], "n_conditions": n_conditions}
            for i, metric in enumerate(SCORES):
                low, high = _clipped(metric, interval.low[i], interval.high[i])
                named = {**_names(setting, results[ACCURACY], group), "metric": metric}
                rows.append({**named, "mean": interval.mean[i], "low": low, "high": high, **counts})
    return rows


def _by_group(setting: Setting, results: dict[str, LearnerResults]) -> dict[Group, tuple[np.ndarray, int]]:
    """Return `SCORES` `[scores, seeds, episodes]` and the number of conditions of each group."""
    found = {}
    for group, members in condition_groups(setting, results[ACCURACY]).items():
        means = _means(results, members)
        if means is not None:
            found[group] = np.stack([means[metric] for metric in SCORES]), len(members)
    return found


def _means(results: dict[str, LearnerResults], members: list[Condition]) -> dict[str, np.ndarray] | None:
    """Return `[seeds, episodes]` by metric: the mean over the conditions, and the derived metric.

    Of the seeds that have all metrics under all conditions, None without any: older records have the accuracy only.
    """
    places = [(results[metric], condition) for metric in MEASURED for condition in members]
    if any(condition not in one.values for one, condition in places):
        return None
    tables = np.stack(paired(places))
    if not tables.shape[1]:
        return None
    over_conditions = tables.reshape(len(MEASURED), len(members), *tables.shape[1:]).mean(1)
    means = dict(zip(MEASURED, over_conditions, strict=True))
    return means | {"overconfidence": means["confidence"] - means[ACCURACY]}


def _clipped(metric: str, low: float, high: float) -> tuple[float, float]:
    if metric == "ece":
        return max(low, ERROR_RANGE[0]), min(high, ERROR_RANGE[1])
    return metrics.clipped(metric, low, high)


def bin_rows(setting: Setting, results: dict[str, LearnerResults], runs: list[RunResult]) -> list[dict]:
    """Return mean confidence and accuracy by bin, all seeds (and shifts) pooled; bins without a query are left out."""
    if "ece" not in results:
        return []
    sums = pd.concat([run.calibration() for run in runs], ignore_index=True)
    sums, rows, accuracy = sums[sums["n"].gt(0)], [], results[ACCURACY]
    keys = list(sums[CONDITION_COLUMNS].itertuples(index=False, name=None))
    sums = sums[["bin", "n", "confidence", "correct"]]
    for group, members in condition_groups(setting, accuracy).items():
        names = _names(setting, accuracy, group)
        wanted = {condition.key for condition in members}
        asked = np.array([key in wanted for key in keys], bool)
        pooled = sums[asked].groupby("bin").sum()
        for b, part in pooled.iterrows():
            edges = {"bin": b, "from": b / BINS, "to": (b + 1) / BINS}
            means = {"confidence": part["confidence"] / part["n"], "accuracy": part["correct"] / part["n"]}
            rows.append({**names, **edges, "n": int(part["n"]), **means})
    return rows


def _names(setting: Setting, results: LearnerResults, group: Group) -> dict:
    mode, conditions = group
    return {
        **setting._asdict(),
        "algorithm": results.algorithm,
        **{key: results.record[key] for key in ("title", "family")},
        "mode": mode,
        "paper_mode": mode == results.reported_mode,
        "conditions": conditions,
    }
