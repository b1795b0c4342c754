"""Paired comparisons of all learners under each condition."""

import itertools
from collections import defaultdict
from dataclasses import astuple

import numpy as np

from bench.statistics import intervals
from bench.statistics.gather import SETTING_COLUMNS, SHARED_COLUMNS, Setting, Tested, _order, _same_shape
from bench.statistics.multiplicity import holm

COMPARISON_COLUMNS = [
    *[*SETTING_COLUMNS, *SHARED_COLUMNS, "algorithm_a", "mode_a", "algorithm_b", "mode_b"],
    *["difference", "low", "high", "p", "p_holm", "n_seeds", "n_episodes"],
]


def comparison_rows(setting: Setting, tested: list[Tested]) -> list[dict]:
    """Every pair in its paper mode under every common condition; Holm over the pairs of one condition.

    What is known of the spread over seeds is shared by all learners tested under a condition (`intervals.seed_prior`).
    """
    paper = [(t.algorithm, *t.paper()) for t in tested if t.values]
    paper = [(algorithm, mode, _with_averages(values)) for algorithm, mode, values in paper]
    tables = defaultdict(list)
    for _, _, values in paper:
        for condition, table in values.items():
            tables[condition].append(table)
    priors = {condition: intervals.seed_prior(found) for condition, found in tables.items()}
    families = defaultdict(list)
    for a, b in itertools.combinations(paper, 2):
        for row in _pair_rows(setting, a, b, priors):
            families[tuple(row[key] for key in SHARED_COLUMNS)].append(row)
    for family in families.values():
        for row, p in zip(family, holm([row["p"] for row in family]), strict=True):
            row["p_holm"] = p
    return [row for _, family in sorted(families.items(), key=_order) for row in family]


def _with_averages(values: dict[tuple, np.ndarray]) -> dict[tuple, np.ndarray]:
    """Adds the mean over all shifts and severities of a scope: shift `all`, severity -1, value 0; no exact strengths."""
    scopes = defaultdict(list)
    for (shift, severity, _, scope, *rest), table in values.items():
        if shift != "none" and severity > 0:
            scopes["all", -1, 0.0, scope, *rest].append(table)
    return values | {key: np.mean(tables, axis=0) for key, tables in scopes.items() if _same_shape(tables)}


def _pair_rows(
    setting: Setting, a: tuple, b: tuple, priors: dict[tuple, intervals.SeedPrior | None]
) -> list[dict]:
    (name_a, mode_a, values_a), (name_b, mode_b, values_b) = a, b
    same = [c for c in values_a if c in values_b and values_a[c].shape[1] == values_b[c].shape[1]]
    shapes = defaultdict(list)
    for condition in same:
        shapes[values_a[condition].shape, values_b[condition].shape, priors[condition] is None].append(
            condition
        )
    rows = []
    for (*_, alone), conditions in shapes.items():
        stack_a, stack_b = (np.stack([values[c] for c in conditions]) for values in (values_a, values_b))
        prior = (
            None
            if alone
            else intervals.SeedPrior(*zip(*(astuple(priors[c]) for c in conditions), strict=True))
        )
        interval = intervals.paired(stack_a, stack_b, prior=prior)
        for i, condition in enumerate(conditions):
            rows.append(
                {
                    **dict(zip([*SETTING_COLUMNS, *SHARED_COLUMNS], [*setting, *condition], strict=True)),
                    **{"algorithm_a": name_a, "mode_a": mode_a, "algorithm_b": name_b, "mode_b": mode_b},
                    **{"difference": interval.mean[i], "low": interval.low[i], "high": interval.high[i]},
                    "p": interval.p[i],
                    "n_seeds": min(stack_a.shape[1], stack_b.shape[1]),
                    "n_episodes": stack_a.shape[2],
                }
            )
    return rows
