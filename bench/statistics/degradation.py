"""Degradation of a learner as a shift grows: area under the curve over severities, and slope, with intervals.

Both are linear in the values of an episode: a weighted sum over its severities. So each is computed per episode and seed,
on the episodes that all severities share (shifts are tested on the first of the clean ones), and its interval is that
of any other mean.
"""

from collections import defaultdict

import numpy as np

from bench.results.condition import STANDARD
from bench.results.metrics import METRICS
from bench.statistics import intervals
from bench.statistics.gather import SETTING_COLUMNS, SHARED_COLUMNS, Setting, Tested, batches

FAMILIES = ("model-based", "optimization-based", "metric-based")
"""Families whose averages are rows of their own."""
DEGRADATION_COLUMNS = [
    *[*SETTING_COLUMNS, "scope", "shift", "algorithm", "title", "family", "mode", "highest"],
    *["area", "area_low", "area_high", "slope", "slope_low", "slope_high"],
    *["n_algorithms", "n_seeds", "n_episodes"],
]
Key = tuple[str, str]  # scope, shift


def area_weights(severities: np.ndarray) -> np.ndarray:
    """Weights [n] of the trapezoid rule over rising severities, over their range: the weighted sum is a mean."""
    widths = np.diff(severities)
    return (np.append(widths, 0) + np.append(0, widths)) / 2 / widths.sum()


def slope_weights(severities: np.ndarray) -> np.ndarray:
    """Weights [n] whose weighted sum is the slope of the least-squares line, per severity."""
    centred = severities - severities.mean()
    return centred / (centred**2).sum()


def degradation_rows(setting: Setting, tested: list[Tested]) -> list[dict]:
    """A row per algorithm, scope and shift, then per family; shift `all` is the mean over the shifts (`DEGRADATION_COLUMNS`).

    Classification only: regression is shifted by redrawing its tasks, at one severity. A family's value is the mean over
    its algorithms (variants left out), seed by seed; these are given, not drawn, so its interval does not speak of other algorithms.
    """
    by_family, rows = defaultdict(list), []
    for one in tested:
        if one.values and one.metric == "accuracy":
            tables, highest = _tables(setting, one)
            facts = {"algorithm": one.algorithm, "title": one.record["title"], "family": one.record["family"]}
            rows += _rows(setting, tables, highest, {**facts, "mode": one.paper_mode, "n_algorithms": 1})
            if not one.record.get("variant_of"):
                by_family[one.record["family"]].append((tables, highest))
    for family in [family for family in FAMILIES if family in by_family]:
        for tables, highest, count in _family_means(by_family[family]):
            facts = {"algorithm": family, "title": f"Mean of {count} {family}", "family": family}
            rows += _rows(setting, tables, highest, {**facts, "mode": "", "n_algorithms": count})
    return rows


def _tables(setting: Setting, tested: Tested) -> tuple[dict[Key, np.ndarray], dict[Key, int]]:
    """By scope and shift: area and slope [2, seeds, episodes], and the highest severity."""
    clean, curves = _curves(setting, tested)
    tables, highest = {}, {}
    for key, curve in curves.items():
        severities = np.array([0, *sorted(curve)])
        weights = np.stack([area_weights(severities), slope_weights(severities)])
        values = _common([clean, *(curve[severity] for severity in severities[1:])])
        tables[key], highest[key] = np.tensordot(weights, values, axes=1), int(severities[-1])
    for scope in dict.fromkeys(scope for scope, _ in curves):
        found = [key for key in curves if key[0] == scope]
        tables[scope, "all"] = _common([tables[key] for key in found]).mean(axis=0)
        highest[scope, "all"] = max(highest[key] for key in found)
    return tables, highest


def _common(tables: list[np.ndarray]) -> np.ndarray:
    """Tables [..., seeds, episodes] stacked, over the first seeds and episodes that all of them have."""
    seeds, episodes = (min(table.shape[axis] for table in tables) for axis in (-2, -1))
    return np.stack([table[..., :seeds, :episodes] for table in tables])


def _curves(setting: Setting, tested: Tested) -> tuple[np.ndarray, dict[Key, dict[int, np.ndarray]]]:
    """The clean values, and by scope and shift those of each severity: tables [seeds, episodes]."""
    own = {"test_tasks": STANDARD, "test_way": setting[1], "test_shot": setting[2], "test_steps": -1}
    clean, curves = None, defaultdict(dict)
    for condition, values in tested.paper()[1].items():
        named = dict(zip(SHARED_COLUMNS, condition, strict=True))
        if any(named[key] != value for key, value in own.items()):
            continue
        if named["shift"] == "none":
            clean = values
        elif named["severity"] > 0:
            curves[named["scope"], named["shift"]][named["severity"]] = values
    return clean, curves


def _family_means(members: list[tuple[dict, dict]]) -> list[tuple[dict, dict, int]]:
    """The mean over the members that were tested under a key, their highest severity, their number."""
    means = []
    for key in dict.fromkeys(key for tables, _ in members for key in tables):
        found = [(tables[key], highest[key]) for tables, highest in members if key in tables]
        mean = _common([table for table, _ in found]).mean(axis=0)
        means.append(({key: mean}, {key: max(severity for _, severity in found)}, len(found)))
    return means


def _rows(
    setting: Setting, tables: dict[Key, np.ndarray], highest: dict[Key, int], facts: dict
) -> list[dict]:
    rows, metric = {}, METRICS["accuracy"]
    for keys, stack in batches(tables):
        interval = intervals.two_level_interval(stack)
        for i, key in enumerate(keys):
            (area, slope), lows, highs = interval.mean[i], interval.low[i], interval.high[i]
            rows[key] = {
                **dict(zip(SETTING_COLUMNS, setting, strict=True)),
                **facts,
                **{"scope": key[0], "shift": key[1], "highest": highest[key]},
                **{
                    "area": area,
                    "area_low": max(lows[0], metric.low),
                    "area_high": min(highs[0], metric.high),
                },
                **{"slope": slope, "slope_low": lows[1], "slope_high": highs[1]},
                **{"n_seeds": stack.shape[-2], "n_episodes": stack.shape[-1]},
            }
    return [rows[key] for key in tables]
