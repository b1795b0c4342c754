"""Rows of degradation.csv: area under the curve over severities and its slope, with intervals.

Both are linear in the values of an episode: a weighted sum over its severities. So each is computed per episode and seed,
on the episodes that all severities share (shifts are tested on the first of the clean ones), and has the interval of
any other mean.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from bench.results.condition import ALL_SHIFTS
from bench.results.metrics import clipped, main_metric
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.gather import LearnerResults
from bench.statistics.intervals import contrast
from bench.statistics.priors import priors_by_key
from bench.statistics.seed_variance import SeedPrior
from bench.statistics.severities import Curve, curves_of, severity_conditions

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
    """Return a row per algorithm, scope and shift, then per family; shift `all` is the mean over the shifts of all learners.

    Classification only: regression is shifted by redrawing its tasks, at one severity. The value of a family is the mean
    over its algorithms (without variants). These algorithms are given, not drawn: the interval says nothing of others.
    What is known of the spread over seeds comes from all learners, as in comparisons.
    """
    learners = [one for one in learners if one.values and one.metric == METRIC]
    found = [_tables(setting, one) for one in learners]
    priors = priors_by_key(tables for tables, _ in found)
    by_family, rows = defaultdict(list), []
    for one, (tables, highest) in zip(learners, found, strict=True):
        facts = {"algorithm": one.algorithm, "title": one.record["title"], "family": one.record["family"]}
        facts |= {"mode": one.reported_mode}
        rows += [
            _row(setting, key, [table], [highest[key]], facts, priors[key]) for key, table in tables.items()
        ]
        if not one.record.get("variant_of"):
            by_family[one.record["family"]].append((tables, highest))
    for family in [family for family in FAMILIES if family in by_family]:
        members = by_family[family]
        for key in dict.fromkeys(key for tables, _ in members for key in tables):
            tested = [(tables[key], highest[key]) for tables, highest in members if key in tables]
            facts = {"algorithm": family, "title": f"Mean of {len(tested)} {family}", "family": family}
            rows.append(_row(setting, key, *zip(*tested, strict=True), {**facts, "mode": ""}, priors[key]))
    return rows


def _tables(setting: Setting, results: LearnerResults) -> tuple[Tables, dict[Key, int]]:
    """Return area and slope, and the highest severity, by scope and shift."""
    conditions = severity_conditions(setting, results)
    tables, highest, counted = {}, {}, defaultdict(list)
    for key, found in conditions.items():
        (curve,) = curves_of(results, [found])
        tables[key], highest[key] = _area_and_slope(curve), max(curve)
        shared = {s: c for s, c in found.items() if not s or results.counts(*key, s)}
        if len(shared) > 1:
            counted[key[0]].append(shared)
    for scope, several in counted.items():
        areas = [_area_and_slope(curve) for curve in curves_of(results, several)]
        tables[scope, ALL_SHIFTS] = np.mean(areas, axis=0)
        highest[scope, ALL_SHIFTS] = max(map(max, several))
    return tables, highest


def _area_and_slope(curve: Curve) -> np.ndarray:
    """Return area and slope `[2, seeds, episodes]` of a curve from severity 0 on."""
    severities = np.array(list(curve))
    weights = np.stack([area_weights(severities), slope_weights(severities)])
    return np.tensordot(weights, np.stack(list(curve.values())), axes=1)


def _row(
    setting: Setting,
    key: Key,
    tables: Sequence[np.ndarray],
    highest: Sequence[int],
    facts: dict,
    prior: SeedPrior | None,
) -> dict:
    """Return the row of a learner, or of the learners of a family: tables, highest severities of each."""
    episodes = min(table.shape[-1] for table in tables)
    interval = contrast([table[..., :episodes] for table in tables], [], prior=prior)
    (area, slope), lows, highs = interval.mean, interval.low, interval.high
    area_low, area_high = clipped(METRIC, lows[0], highs[0])
    return {
        **setting._asdict(),
        **facts,
        **{"scope": key[0], "shift": key[1], "highest": max(highest)},
        **{"area": area, "area_low": area_low, "area_high": area_high},
        **{"slope": slope, "slope_low": lows[1], "slope_high": highs[1]},
        **{"n_algorithms": len(tables), "n_seeds": min(table.shape[-2] for table in tables)},
        **{"n_episodes": episodes},
    }
