"""Rows of comparisons.csv: paired differences of all learners under each condition."""

import itertools
from collections import defaultdict

import numpy as np

from bench.results.condition import SHARED_COLUMNS, Condition
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.diverged import converged_in_both
from bench.statistics.gather import LearnerResults, Values
from bench.statistics.intervals import paired
from bench.statistics.multiplicity import from_best, holm
from bench.statistics.priors import Priors, joined, with_averages

COMPARISON_COLUMNS = [
    *[*SETTING_COLUMNS, *SHARED_COLUMNS, "algorithm_a", "mode_a", "algorithm_b", "mode_b"],
    *["difference", "low", "high", "p", "p_holm", "p_best", "n_seeds", "n_episodes"],
]
Side = tuple[str, str, Values]  # algorithm, its reported mode, its values


def comparison_rows(setting: Setting, learners: list[LearnerResults], priors: Priors) -> list[dict]:
    """Return a row per pair of learners and common condition, in their reported modes; Holm over the pairs of a condition.

    p_best: of the lower one being below the higher one, where that is the best of the learners of this condition.

    All learners tested under a condition share what is known of the spread over seeds (`priors.setting_priors`).
    """
    sides = [(one.algorithm, one.reported_mode, with_averages(one)) for one in learners if one.values]
    families = defaultdict(list)
    for (name_a, mode_a, values_a), (name_b, mode_b, values_b) in itertools.combinations(sides, 2):
        values_a, values_b = on_same_episodes(values_a, values_b)
        values_a, values_b = converged_in_both(setting, learners[0].metric, values_a, values_b)
        for condition, row in _pair_rows((name_a, mode_a, values_a), (name_b, mode_b, values_b), priors):
            families[condition].append({**setting._asdict(), **condition.shared_row, **row})
    for family in families.values():
        p = [row["p"] for row in family]
        others = len({row[side] for row in family for side in ("algorithm_a", "algorithm_b")}) - 1
        for row, of_pairs, of_best in zip(family, holm(p), from_best(p, others), strict=True):
            row |= {"p_holm": of_pairs, "p_best": of_best}
    return [row for condition in sorted(families, key=lambda c: c.order) for row in families[condition]]


def on_same_episodes(a: Values, b: Values) -> tuple[Values, Values]:
    """Return the values of two learners by condition that both have, cut to the first episodes that both have.

    Frozen episodes are numbered: a test of 100 has the first 100 of a test of 200.
    """
    counts = {
        condition: min(a[condition].shape[1], b[condition].shape[1]) for condition in a if condition in b
    }
    return tuple({condition: side[condition][:, :n] for condition, n in counts.items()} for side in (a, b))


def _pair_rows(a: Side, b: Side, priors: Priors) -> list[tuple[Condition, dict]]:
    """Return the numbers of one pair by condition."""
    (name_a, mode_a, values_a), (name_b, mode_b, values_b) = a, b
    shapes = defaultdict(list)
    for condition in values_a:
        shape = values_a[condition].shape, values_b[condition].shape, priors[condition] is None
        shapes[shape].append(condition)
    rows = []
    for conditions in shapes.values():
        stack_a, stack_b = (np.stack([values[c] for c in conditions]) for values in (values_a, values_b))
        interval = paired(stack_a, stack_b, prior=joined([priors[c] for c in conditions]))
        counts = {
            "n_seeds": min(stack_a.shape[1], stack_b.shape[1]),
            "n_episodes": stack_a.shape[2],
        }
        for i, condition in enumerate(conditions):
            row = {"algorithm_a": name_a, "mode_a": mode_a, "algorithm_b": name_b, "mode_b": mode_b}
            row |= {"difference": interval.mean[i], "low": interval.low[i], "high": interval.high[i]}
            rows.append((condition, row | {"p": interval.p[i]} | counts))
    return rows
