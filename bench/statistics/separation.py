"""Rows of separation.csv: what mends a learner's loss under shift, its statistics, its adaptation or a shifted support.

Three remedies, each with and without it, with the same weights on the same episodes:

* statistics: the transductive mode, with batch statistics of the shifted queries, against the inductive one;
* adaptation: more gradient steps against fewer, of which one number is the learner's own;
* support: a support that is shifted like the queries, against a clean one.

What a remedy gains under shift minus what it gains on clean tasks is what it mends of the loss.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from bench.results.condition import ALL_SHIFTS, NO_SHIFT, OWN_STEPS, STANDARD, Condition
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.statistics.degradation import FAMILIES
from bench.statistics.gather import REPORTED, LearnerResults
from bench.statistics.intervals import contrast
from bench.statistics.priors import prior_of_measures
from bench.statistics.seed_variance import SeedPrior
from bench.statistics.severities import METRIC

MEASURES = ("clean", "shifted", "mended", "change")
"""Gain of the remedy on clean tasks and under shift, their difference, and the change under shift without the remedy."""
SEPARATION_COLUMNS = [
    *[*SETTING_COLUMNS, "part", "steps", "scope", "shift", "algorithm", "title", "family", "mode"],
    *[f"{measure}{end}" for measure in MEASURES for end in ("", "_low", "_high")],
    *["n_algorithms", "n_seeds", "n_episodes"],
]
STATISTICS, ADAPTATION, SUPPORT = "statistics", "adaptation", "support"
EVERY = "all"
"""Algorithm of the mean over the learners of all families."""
FEWEST = 1
"""Up to so many steps, the remedy is the learner's own number against them; beyond, they are the remedy against its own."""
Place = tuple[str, str, str, int, int]
"""Mode, scope, shift, severity and gradient steps."""


class Key(NamedTuple):
    """A remedy and where it is tried. steps: those compared with the learner's own number."""

    part: str
    steps: int
    scope: str
    shift: str


def separation_rows(setting: Setting, learners: list[LearnerResults]) -> list[dict]:
    """Return a row per remedy, shift and learner, then per family and for all of them.

    Shift `all` is the mean over the shifts that all learners share, so that learners can be compared. Each shift is at its highest severity. Families and `all` are means over their algorithms, without variants.
    """
    members: dict[tuple[Key, str], list[np.ndarray]] = defaultdict(list)
    facts, by_key = {}, defaultdict(list)
    for one in learners:
        if not one.values or one.metric != METRIC:
            continue
        record = one.record
        for key, table in _contrasts(setting, one).items():
            mode = "" if key.part == STATISTICS else one.reported_mode
            own = {
                "algorithm": one.algorithm,
                "title": record["title"],
                "family": record["family"],
                "mode": mode,
            }
            facts[key, one.algorithm] = own
            members[key, one.algorithm].append(table)
            by_key[key].append(table)
            if not record.get("variant_of") and record["family"] in FAMILIES:
                members[key, record["family"]].append(table)
                members[key, EVERY].append(table)
    priors = {key: prior_of_measures(tables) for key, tables in by_key.items()}
    return [
        _row(setting, key, tables, facts.get((key, name)) or _group(name, len(tables)), priors[key])
        for (key, name), tables in members.items()
    ]


def _group(name: str, count: int) -> dict:
    """Return the facts of a mean over `count` learners."""
    every = name == EVERY
    title = f"Mean of {count} learners" if every else f"Mean of {count} {name}"
    return {"algorithm": name, "title": title, "family": "" if every else name, "mode": ""}


def _row(setting: Setting, key: Key, tables: list[np.ndarray], facts: dict, prior: SeedPrior | None) -> dict:
    row = {**setting._asdict(), **key._asdict(), **facts, "n_algorithms": len(tables)}
    episodes = min(table.shape[-1] for table in tables)
    interval = contrast([table[..., :episodes] for table in tables], [], prior=prior)
    for i, measure in enumerate(MEASURES):
        row |= {
            measure: interval.mean[i],
            f"{measure}_low": interval.low[i],
            f"{measure}_high": interval.high[i],
        }
    return row | {"n_seeds": min(table.shape[-2] for table in tables), "n_episodes": episodes}


def _contrasts(setting: Setting, results: LearnerResults) -> dict[Key, np.ndarray]:
    """Return `MEASURES` `[4, seeds, episodes]` by remedy, at each shift and as the mean over the shifts that all learners share."""
    tested: dict[Place, Condition] = {
        (c.mode, c.scope, c.shift, c.severity, c.test_steps): c
        for c in results.values
        if (c.test_way, c.test_shot, c.test_tasks) == (*setting[1:], STANDARD) and not c.exact
    }
    members: dict[Key, list[list[Condition]]] = {}
    over_shifts = defaultdict(list)
    for key, places in _remedies(list(tested), results.reported_mode):
        if all(place in tested for place in places):
            members[key] = [[tested[place] for place in places]]
            if all(_shared(results, key, c) for c in members[key][0] if not c.clean):
                over_shifts[key._replace(shift=ALL_SHIFTS)] += members[key]
    means = {key: _gains(results, several) for key, several in (members | over_shifts).items()}
    return {key: table for key, table in means.items() if table.shape[1]}


def _shared(results: LearnerResults, key: Key, condition: Condition) -> bool:
    """Whether all learners have a condition in the modes that are compared: both, or each its own."""
    mode = condition.mode if key.part == STATISTICS else REPORTED
    return results.counts(condition.scope, condition.shift, condition.severity, mode)


def _gains(results: LearnerResults, several: list[list[Condition]]) -> np.ndarray:
    """Return `MEASURES`, the mean over some shifts. several: clean with and without a remedy, shifted with and without it."""
    tables = np.stack(results.together([condition for one in several for condition in one]))
    with_clean, without_clean, with_it, without = tables.reshape(-1, 4, *tables.shape[1:]).mean(0)
    gains = with_clean - without_clean, with_it - without
    return np.stack([*gains, gains[1] - gains[0], without - without_clean])


def _remedies(tested: list[Place], mode: str) -> Iterator[tuple[Key, list[Place]]]:
    """Remedies with the places of their values: clean with and without the remedy, shifted with and without it."""
    highest = defaultdict(int)
    for _, _, shift, severity, _ in tested:
        highest[shift] = max(highest[shift], severity)
    steps = list(
        dict.fromkeys(place[4] for place in tested if place[2] != NO_SHIFT and place[4] != OWN_STEPS)
    )
    for shift, severity in [pair for pair in highest.items() if pair[0] != NO_SHIFT]:
        for scope in ("task", "query"):
            both = [
                (one, *where, OWN_STEPS)
                for where in (("clean", NO_SHIFT, 0), (scope, shift, severity))
                for one in ("transductive", "inductive")
            ]
            yield Key(STATISTICS, OWN_STEPS, scope, shift), both
        for other in steps:
            order = (OWN_STEPS, other) if other <= FEWEST else (other, OWN_STEPS)
            both = [
                (mode, *where, n)
                for where in (("clean", NO_SHIFT, 0), ("task", shift, severity))
                for n in order
            ]
            yield Key(ADAPTATION, other, "task", shift), both
        clean = (mode, "clean", NO_SHIFT, 0, OWN_STEPS)
        moved = [(mode, scope, shift, severity, OWN_STEPS) for scope in ("task", "query")]
        yield Key(SUPPORT, OWN_STEPS, "task", shift), [clean, clean, *moved]
