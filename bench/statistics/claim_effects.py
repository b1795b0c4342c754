"""The effect that a claim is about: left minus right, in one setting, with its 95 % interval."""

from dataclasses import dataclass, replace

import numpy as np

from bench.results.condition import NO_SHIFT, OWN_STEPS, STANDARD, Condition
from bench.results.run_folder import RunResult
from bench.results.setting import Setting
from bench.statistics.gather import LearnerResults, gather
from bench.statistics.intervals import Interval, paired, two_level_interval

COSTS = ("adapt_ms", "tasks_to_reach")
"""Metrics of a run, not of its episodes; compared as log2."""


class Missing(Exception):
    """The study lacks something that a claim compares; the message names it."""


@dataclass(frozen=True)
class Contestants:
    """The runs of one setting that have results, by algorithm."""

    setting: Setting
    runs: dict[str, list[RunResult]]

    def algorithms(self, side: dict) -> list[str]:
        """Return the algorithms of a side. Raises Missing with the names of those that are not there."""
        if "family" in side:
            records = {name: runs[0].run for name, runs in self.runs.items() if name != "pixel_nn"}
            members = {name: r for name, r in records.items() if r["family"] == side["family"]}
            names = [name for name, record in members.items() if not record.get("variant_of")]
            if not names:
                raise Missing(f"no {side['family']} learner")
            return names
        lacking = [name for name in side["algorithms"] if name not in self.runs]
        if lacking:
            raise Missing(f"no {', '.join(lacking)}")
        return side["algorithms"]

    def values(self, side: dict, metric: str, at: dict) -> np.ndarray:
        """Return `[seeds, episodes]`: the mean over the side's algorithms and over the conditions that `at` names."""
        tables = []
        for name in self.algorithms(side):
            results = gather(name, self.runs[name], metric)
            matching = _under(results, at, self.setting)
            if not matching:
                raise Missing(f"{name} was not tested under {at or 'the tasks it was trained for'}")
            tables += matching
        seeds, episodes = (min(table.shape[axis] for table in tables) for axis in (0, 1))
        return np.mean([table[:seeds, :episodes] for table in tables], axis=0)


def _under(results: LearnerResults, at: dict, setting: Setting) -> list[np.ndarray]:
    """Return the tables, in the reported mode, of the conditions that `at` names; exact strengths belong to no claim."""
    tables = {c: table for c, table in results.reported().items() if not c.exact}
    own = {"shift": [NO_SHIFT], "test_tasks": STANDARD, "test_steps": OWN_STEPS}
    wanted = own | {"test_way": setting.way, "test_shot": setting.shot} | at
    return [table for condition, table in tables.items() if _matches(condition, wanted, list(tables))]


def _matches(condition: Condition, wanted: dict, tested: list[Condition]) -> bool:
    if wanted.get("severity") == "highest":
        highest = max(other.severity for other in tested if other.shift == condition.shift)
        wanted = wanted | {"severity": highest}
    others = {key: value for key, value in wanted.items() if key != "shift"}
    return condition.shift in wanted["shift"] and all(
        getattr(condition, key) == value for key, value in others.items()
    )


def effect(claim: dict, contestants: Contestants) -> tuple[Interval, int, int]:
    """Return left - right with its 95 % interval, the seeds and the episodes behind it. Raises Missing."""
    if claim["metric"] in COSTS:
        return _cost_effect(claim, contestants)
    left, right = (_at(claim, contestants, side) for side in ("left", "right"))
    if claim["change"]:
        clean = [contestants.values(claim[side], claim["metric"], {}) for side in ("left", "right")]
        if not _same_episodes(claim):
            found = subtracted(_difference(claim, left, right), _difference(claim, *clean))
            return found, len(left), left.shape[1]
        left, right = left - clean[0][:, : left.shape[1]], right - clean[1][:, : right.shape[1]]
    return _difference(claim, left, right), min(len(left), len(right)), min(left.shape[1], right.shape[1])


def _at(claim: dict, contestants: Contestants, name: str) -> np.ndarray:
    side = claim[name]
    if "constant" in side:
        return np.full((1, 1), side["constant"])
    return contestants.values(side, claim["metric"], side.get("at", {}))


def _same_episodes(claim: dict) -> bool:
    """Whether the condition is tested on the first clean episodes: shifts and steps are, other tasks have their own."""
    return not {"test_tasks", "test_way", "test_shot"} & set(claim["left"].get("at", {}))


def _difference(claim: dict, left: np.ndarray, right: np.ndarray) -> Interval:
    """Pair by episode; by seed, too, where both sides are the same models or one is a number."""
    if "constant" in claim["right"]:
        return two_level_interval(left - right)
    episodes = min(left.shape[1], right.shape[1])
    left, right = left[:, :episodes], right[:, :episodes]
    who = ("algorithms", "family")
    same_models = all(claim["left"].get(key) == claim["right"].get(key) for key in who)
    return two_level_interval(left - right) if same_models else paired(left, right)


def subtracted(a: Interval, b: Interval) -> Interval:
    """Return a - b for independent episodes: distances to the ends add in quadrature."""
    mean = a.mean - b.mean
    low = mean - np.hypot(a.mean - a.low, b.high - b.mean)
    high = mean + np.hypot(a.high - a.mean, b.mean - b.low)
    return replace(a, mean=mean, low=low, high=high, p=np.array(np.nan))


def _cost_effect(claim: dict, contestants: Contestants) -> tuple[Interval, int, int]:
    """Return the difference of the mean log2 costs over the runs of each side, by Welch's t."""
    from scipy.stats import ttest_ind  # takes half a second to import; few claims need it

    sides = []
    for side in (claim["left"], claim["right"]):
        runs = [run for name in contestants.algorithms(side) for run in contestants.runs[name]]
        costs = np.log2([cost for cost in (_cost(claim, run) for run in runs) if cost])
        if len(costs) < 2:
            raise Missing("fewer than two runs on a side have a cost")
        sides.append(costs)
    interval = ttest_ind(*sides, equal_var=False).confidence_interval()
    mean = sides[0].mean() - sides[1].mean()
    both = Interval(mean, interval.low, interval.high, np.array(np.nan), "runs")
    return both, min(map(len, sides)), 0


def _cost(claim: dict, run: RunResult) -> float | None:
    """Return ms per task, or the training tasks until the accuracy was reached (all of them where it never was)."""
    if claim["metric"] == "adapt_ms":
        return run.test["adapt_ms_per_task"]
    history = run.history()
    reached = history[history["val_score"] >= claim["reach"]]
    return None if history.empty else float((reached if len(reached) else history.tail(1))["tasks"].iloc[0])
