"""Rows of degradation.csv: area under the curve over severities and its slope, with intervals.

Both are linear in the values of an episode: a weighted sum over its severities. So each is computed per episode and seed,
on the episodes that all severities share (shifts are tested on the first of the clean ones), and has the interval of
any other mean.
"""

from collections import defaultdict

import numpy as np

from bench.results.condition import ALL_SHIFTS
from bench.results.metrics import clipped, main_metric
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics import intervals
from bench.statistics.gather import LearnerResults, batches, common
from bench.statistics.severities import severity_curves

FAMILIES = ("model-based", "optimization-based", "metric-based")
"""Families that have rows of their own, the averages over their algorithms."""
DEGRADATION_COLUMNS = [
    *[*SETTING_COLUMNS, "scope", "shift", "algorithm", "title", "family", "mode", "highest"],
    *["area", "area_low", "area_high", "slope", "slope_low", "slope_high"],
    *["n_algorithms", "n_seeds", "n_episodes"],
]
METRIC = main_metric("classification")
Key = tuple[str, str]
"""Scope and shift."""
Tables = dict[Key, np.ndarray]
"""Area and slope `[2, seeds, episodes]` by scope and shift."""


def area_weights(severities: np.ndarray) -> np.ndarray:
    """Return the weights `[n]` of the trapezoid rule over rising severities, over their range: the sum is a mean."""
    widths = np.diff(severities)
    return (np.append(widths, 0) + np.append(0, widths)) / 2 / widths.sum()


def slope_weights(severities: np.ndarray) -> np.ndarray:
    """Return the weights `[n]` whose weighted sum is the slope of the least-squares line, per severity."""
    centred = severities - severities.mean()
    return centred / (centred**2).sum()


def degradation_rows(setting: Setting, learners: list[LearnerResults]) -> list[dict]:
    """Return a row per algorithm, scope and shift, then per family; shift `all` is the mean over the shifts.

    Classification only: regression is shifted by redrawing its tasks, at one severity. The value of a family is the mean
    over its algorithms (without variants), seed by seed. These algorithms are given, not drawn: the interval says nothing
    of others.
    """
    by_family, rows = defaultdict(list), []
    for one in learners:
        if one.values and one.metric == METRIC:
            tables, highest = _tables(setting, one)
            facts = {"algorithm": one.algorithm, "title": one.record["title"], "family": one.record["family"]}
            rows += _rows(setting, tables, highest, {**facts, "mode": one.reported_mode, "n_algorithms": 1})
            if not one.record.get("variant_of"):
                by_family[one.record["family"]].append((tables, highest))
    for family in [family for family in FAMILIES if family in by_family]:
        for tables, highest, count in _family_means(by_family[family]):
            facts = {"algorithm": family, "title": f"Mean of {count} {family}", "family": family}
            rows += _rows(setting, tables, highest, {**facts, "mode": "", "n_algorithms": count})
    return rows


def _tables(setting: Setting, results: LearnerResults) -> tuple[Tables, dict[Key, int]]:
    """Return area and slope, and the highest severity, by scope and shift."""
    curves = severity_curves(setting, results)
    tables, highest = {}, {}
    for key, curve in curves.items():
        severities = np.array(list(curve))
        weights = np.stack([area_weights(severities), slope_weights(severities)])
        tables[key] = np.tensordot(weights, np.stack(list(curve.values())), axes=1)
        highest[key] = int(severities[-1])
    for scope in dict.fromkeys(scope for scope, _ in curves):
        found = [key for key in curves if key[0] == scope]
        tables[scope, ALL_SHIFTS] = common([tables[key] for key in found]).mean(axis=0)
        highest[scope, ALL_SHIFTS] = max(highest[key] for key in found)
    return tables, highest


def _family_means(members: list[tuple[Tables, dict[Key, int]]]) -> list[tuple[Tables, dict[Key, int], int]]:
    """Return by key the mean over the members tested under it, their highest severity and their number."""
    means = []
    for key in dict.fromkeys(key for tables, _ in members for key in tables):
        found = [(tables[key], highest[key]) for tables, highest in members if key in tables]
        mean = common([table for table, _ in found]).mean(axis=0)
        means.append(({key: mean}, {key: max(severity for _, severity in found)}, len(found)))
    return means


def _rows(setting: Setting, tables: Tables, highest: dict[Key, int], facts: dict) -> list[dict]:
    rows = {}
    for keys, stack in batches(tables):
        interval = intervals.two_level_interval(stack)
        for i, key in enumerate(keys):
            (area, slope), lows, highs = interval.mean[i], interval.low[i], interval.high[i]
            area_low, area_high = clipped(METRIC, lows[0], highs[0])
            rows[key] = {
                **setting._asdict(),
                **facts,
                **{"scope": key[0], "shift": key[1], "highest": highest[key]},
                **{"area": area, "area_low": area_low, "area_high": area_high},
                **{"slope": slope, "slope_low": lows[1], "slope_high": highs[1]},
                **{"n_seeds": stack.shape[-2], "n_episodes": stack.shape[-1]},
            }
    return [rows[key] for key in tables]
