"""Rows of comparisons.csv: paired differences of all learners under each condition."""

import itertools
from collections import defaultdict
from dataclasses import astuple

import numpy as np

from bench.results.condition import SHARED_COLUMNS, Condition
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.gather import LearnerResults, Values, same_shape
from bench.statistics.intervals import SeedPrior, paired, seed_prior
from bench.statistics.multiplicity import holm

COMPARISON_COLUMNS = [
    *[*SETTING_COLUMNS, *SHARED_COLUMNS, "algorithm_a", "mode_a", "algorithm_b", "mode_b"],
    *["difference", "low", "high", "p", "p_holm", "n_seeds", "n_episodes"],
]
Side = tuple[str, str, Values]  # algorithm, its reported mode, its values
Priors = dict[Condition, SeedPrior | None]


def comparison_rows(setting: Setting, learners: list[LearnerResults]) -> list[dict]:
    """Return a row per pair of learners and common condition, in their reported modes; Holm over the pairs of a condition.

    All learners tested under a condition share what is known of the spread over seeds (`intervals.seed_prior`).
    """
    sides = [(one.algorithm, one.reported_mode, _with_averages(one)) for one in learners if one.values]
    tables = defaultdict(list)
    for _, _, values in sides:
        for condition, table in values.items():
            tables[condition].append(table)
    priors = {condition: seed_prior(found) for condition, found in tables.items()}
    families = defaultdict(list)
    for a, b in itertools.combinations(sides, 2):
        for condition, row in _pair_rows(a, b, priors):
            families[condition].append({**setting._asdict(), **condition.shared_row, **row})
    for family in families.values():
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return [row for condition in sorted(families, key=lambda c: c.order) for row in families[condition]]


def _with_averages(results: LearnerResults) -> Values:
    """Return the reported values and, by scope, their mean over all shifts and severities."""
    values, scopes = results.reported(), defaultdict(list)
    for condition, table in values.items():
        if condition.graded:
            scopes[condition.mean_over_shifts()].append(table)
    return values | {key: np.mean(tables, axis=0) for key, tables in scopes.items() if same_shape(tables)}


def _pair_rows(a: Side, b: Side, priors: Priors) -> list[tuple[Condition, dict]]:
    """Return the numbers of one pair by condition."""
    (name_a, mode_a, values_a), (name_b, mode_b, values_b) = a, b
    shapes = defaultdict(list)
    for condition in values_a:
        if condition in values_b and values_a[condition].shape[1] == values_b[condition].shape[1]:
            shape = values_a[condition].shape, values_b[condition].shape, priors[condition] is None
            shapes[shape].append(condition)
    rows = []
    for conditions in shapes.values():
        stack_a, stack_b = (np.stack([values[c] for c in conditions]) for values in (values_a, values_b))
        interval = paired(stack_a, stack_b, prior=_joined([priors[c] for c in conditions]))
        counts = {
            "n_seeds": min(stack_a.shape[1], stack_b.shape[1]),
            "n_episodes": stack_a.shape[2],
        }
        for i, condition in enumerate(conditions):
            row = {"algorithm_a": name_a, "mode_a": mode_a, "algorithm_b": name_b, "mode_b": mode_b}
            row |= {"difference": interval.mean[i], "low": interval.low[i], "high": interval.high[i]}
            rows.append((condition, row | {"p": interval.p[i]} | counts))
    return rows


def _joined(priors: list[SeedPrior | None]) -> SeedPrior | None:
    """Return the priors of several conditions as one of arrays; None where there is none (for all of them)."""
    if None in priors:
        return None
    return SeedPrior(*map(np.array, zip(*map(astuple, priors), strict=True)))
