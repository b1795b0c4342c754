"""What all learners of a setting tell about the spread over seeds, by condition: one prior for cells, pairs and claims."""

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import astuple
from typing import TypeVar

import numpy as np

from bench.results.condition import Condition
from bench.statistics.gather import LearnerResults, Values, batches
from bench.statistics.seed_variance import SeedPrior, seed_prior

Key = TypeVar("Key")
Priors = dict[Condition, SeedPrior | None]
"""Priors by condition, the mode left out: learners are compared in their reported modes."""


def setting_priors(learners: list[LearnerResults]) -> Priors:
    """Return the prior of each condition, from the reported values of all learners tested under it."""
    tables = defaultdict(list)
    for one in learners:
        for condition, table in with_averages(one).items():
            tables[condition].append(table)
    return {condition: seed_prior(found) for condition, found in tables.items()}


def with_averages(results: LearnerResults) -> Values:
    """Return the reported values and, by scope, their mean over the shifts and severities that all learners share."""
    scopes = defaultdict(list)
    for condition in results.values:
        own = condition.graded and condition.mode == results.reported_mode
        if own and results.counts(condition.scope, condition.shift, condition.severity):
            scopes[condition.any_mode().mean_over_shifts()].append(condition)
    tables = {key: results.together(conditions) for key, conditions in scopes.items()}
    means = {key: np.mean(some, axis=0) for key, some in tables.items() if len(some[0])}
    return results.reported() | means


def joined(priors: list[SeedPrior | None]) -> SeedPrior | None:
    """Return the priors of several conditions as one of arrays; None where there is none (for all of them)."""
    if None in priors:
        return None
    return SeedPrior(*map(np.array, zip(*map(astuple, priors), strict=True)))


def prior_of_measures(tables: list[np.ndarray]) -> SeedPrior | None:
    """Return what tables `[measures, seeds, episodes]` of several learners tell of each measure, as arrays `[measures]`.

    A measure that never varies over seeds, as a change from itself, has the prior of another.
    """
    priors = [seed_prior(list(of_one)) for of_one in zip(*tables, strict=True)]
    some = next((prior for prior in priors if prior is not None), None)
    return joined([prior or some for prior in priors])


def priors_by_key(tables: Iterable[dict[Key, np.ndarray]]) -> dict[Key, SeedPrior | None]:
    """Return what tables `[measures, seeds, episodes]`, by key, of several learners tell of the measures of each key."""
    found = defaultdict(list)
    for of_one in tables:
        for key, table in of_one.items():
            found[key].append(table)
    return {key: prior_of_measures(some) for key, some in found.items()}


def batches_with_priors(
    tables: dict[Key, np.ndarray], priors: Callable[[Key], SeedPrior | None]
) -> list[tuple[list[Key], np.ndarray, SeedPrior | None]]:
    """Stack tables of equal shape as `batches` does, those with a prior apart from those without. priors: that of a key."""
    found = []
    for known in (True, False):
        part = {key: table for key, table in tables.items() if (priors(key) is not None) == known}
        found += [(keys, stack, joined([priors(key) for key in keys])) for keys, stack in batches(part)]
    return found
