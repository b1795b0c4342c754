"""The effect that a claim is about: left minus right, in one setting, with its 95 % interval."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from bench.statistics.claim_costs import COSTS, cost_effect
from bench.statistics.claim_training import check_alike
from bench.statistics.contestants import PAPER, Contestants, Effect, Missing
from bench.statistics.intervals import EPISODES, Interval, contrast
from bench.statistics.seed_variance import SeedPrior, seed_prior

Statistic = Callable[[str], np.ndarray]
"""What is compared, `[seeds, episodes]`, of the learner of a name. Raises Missing."""


def modes(claim: dict, contestants: Contestants) -> list[str]:
    """Return the modes in which a claim is judged: `paper`, or each in which both sides were tested. Raises Missing."""
    if claim["metric"] in COSTS or claim["mode"] == PAPER or "constant" in claim["right"]:
        return [PAPER]
    names = [name for side in ("left", "right") for name in contestants.algorithms(claim[side])]
    return contestants.modes(names, claim["metric"], claim["left"].get("at", {}))


def effect(claim: dict, contestants: Contestants, mode: str) -> Effect:
    """Return left - right in a mode, with the seeds and the episodes behind it. Raises Missing.

    What is known of the spread over seeds comes from all learners of the setting, as in comparisons.
    """
    check_alike(claim, contestants)
    if claim["metric"] in COSTS:
        return cost_effect(claim, contestants)

    def table(name: str, at: dict) -> np.ndarray:
        return contestants.table(name, claim["metric"], at, mode)

    def change(name: str, at: dict, other: dict) -> np.ndarray:
        after, before = contestants.tables(name, claim["metric"], [at, other], mode)
        return after - before

    names = contestants.algorithms(claim["left"])
    at = claim["left"].get("at", {})
    if "constant" in claim["right"]:
        return _effect(names, [], lambda name: table(name, at) - claim["right"]["constant"], contestants)
    other, beside = claim["right"].get("at", {}), contestants.algorithms(claim["right"])
    if names == beside:
        return _effect(names, [], lambda name: change(name, at, other), contestants)
    if not claim["change"]:
        return _effect(names, beside, lambda name: table(name, at), contestants)
    if _same_episodes(at):
        return _effect(names, beside, lambda name: change(name, at, {}), contestants)
    after = _effect(names, beside, lambda name: table(name, at), contestants)
    before = _effect(names, beside, lambda name: table(name, {}), contestants)
    return replace(
        after, interval=subtracted(after.interval, before.interval), seeds=min(after.seeds, before.seeds)
    )


def _same_episodes(at: dict) -> bool:
    """Whether the condition is tested on the first clean episodes: shifts and steps are, other tasks have their own."""
    return not {"test_tasks", "test_way", "test_shot"} & set(at)


def _effect(left: list[str], right: list[str], statistic: Statistic, contestants: Contestants) -> Effect:
    sides = [[statistic(name) for name in side] for side in (left, right)]
    tables = [table for side in sides for table in side]
    episodes = min(table.shape[1] for table in tables)
    sides = [[table[:, :episodes] for table in side] for side in sides]
    interval = contrast(*sides, prior=_prior(statistic, contestants))
    return Effect(interval, min(map(len, tables)), episodes)


def _prior(statistic: Statistic, contestants: Contestants) -> SeedPrior | None:
    """Return what all learners of the setting that have the statistic tell about seeds."""
    found = []
    for name in contestants.runs:
        try:
            found.append(statistic(name))
        except Missing:
            continue
    return seed_prior(found)


def subtracted(a: Interval, b: Interval) -> Interval:
    """Return a - b for independent episodes: distances to the ends add in quadrature."""
    mean = a.mean - b.mean
    low = mean - np.hypot(a.mean - a.low, b.high - b.mean)
    high = mean + np.hypot(a.high - a.mean, b.mean - b.low)
    levels = EPISODES if EPISODES in (a.levels, b.levels) else a.levels
    return Interval(mean, low, high, levels)
