"""Rows of severities.csv: what a learner scores and loses at each severity of a shift, on the same episodes throughout.

Shifts are tested on the first of the clean episodes. Severity 0 is the mean over these episodes, not over all clean ones,
whose mean differs: a loss is measured on the tasks that were shifted.
"""

from collections import defaultdict

import numpy as np

from bench.results.metrics import clipped, main_metric
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics import intervals
from bench.statistics.gather import LearnerResults, batches, common

SEVERITY_COLUMNS = [
    *[*SETTING_COLUMNS, "scope", "shift", "severity", "algorithm", "title", "family", "mode", "metric"],
    *["mean", "low", "high", "change", "change_low", "change_high", "n_seeds", "n_episodes"],
]
METRIC = main_metric("classification")
Key = tuple[str, str]
"""Scope and shift."""
Curve = dict[int, np.ndarray]
"""Tables `[seeds, episodes]` by severity, 0 first, all on the same episodes."""


def severity_curves(setting: Setting, results: LearnerResults) -> dict[Key, Curve]:
    """Return the values at each severity by scope and shift, in the reported mode, on tasks as trained for."""
    clean, shifted = None, defaultdict(dict)
    for condition, values in results.reported().items():
        if not condition.as_trained(setting):
            continue
        if condition.clean:
            clean = values
        elif condition.graded:
            shifted[condition.scope, condition.shift][condition.severity] = values
    if clean is None:
        return {}
    curves = {}
    for key, found in shifted.items():
        severities = [0, *sorted(found)]
        tables = common([clean, *(found[severity] for severity in severities[1:])])
        curves[key] = dict(zip(severities, tables, strict=True))
    return curves


def severity_rows(setting: Setting, learners: list[LearnerResults]) -> list[dict]:
    """Return a row per learner, scope, shift and severity; change: value minus that at severity 0, paired by episode and seed.

    Scope `clean`, shift `none`: the clean task on the episodes that every shifted condition has. Classification only: the
    shifted tasks of a regression are drawn anew and have no clean counterpart.
    """
    return [row for one in learners if one.metric == METRIC for row in _learner_rows(setting, one)]


def _clean_curve(setting: Setting, results: LearnerResults) -> dict[Key, Curve]:
    """Return the clean values on the episodes that all shifted conditions share; nothing where there are none."""
    own = {c: values for c, values in results.reported().items() if c.as_trained(setting)}
    shifted = [values for c, values in own.items() if not c.clean]
    clean = [values for c, values in own.items() if c.clean]
    return {("clean", "none"): {0: common([*clean, *shifted])[0]}} if clean and shifted else {}


def _learner_rows(setting: Setting, results: LearnerResults) -> list[dict]:
    tables = {
        (key, severity): np.stack([table, table - curve[0]])
        for key, curve in (_clean_curve(setting, results) | severity_curves(setting, results)).items()
        for severity, table in curve.items()
    }
    rows = {}
    for keys, stack in batches(tables):
        interval = intervals.two_level_interval(stack)
        for i, ((scope, shift), severity) in enumerate(keys):
            (mean, change), lows, highs = interval.mean[i], interval.low[i], interval.high[i]
            low, high = clipped(results.metric, lows[0], highs[0])
            rows[keys[i]] = {
                **setting._asdict(),
                **{"scope": scope, "shift": shift, "severity": severity, "algorithm": results.algorithm},
                **{key: results.record[key] for key in ("title", "family")},
                **{"mode": results.reported_mode, "metric": results.metric},
                **{"mean": mean, "low": low, "high": high},
                **{"change": change, "change_low": lows[1], "change_high": highs[1]},
                **{"n_seeds": stack.shape[-2], "n_episodes": stack.shape[-1]},
            }
    return [rows[key] for key in tables]
