"""What a study has for a claim: the runs of one setting, and their values under the conditions that a side names."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from bench.results.condition import MODES, NO_SHIFT, OWN_STEPS, STANDARD, Condition
from bench.results.run_folder import RunResult
from bench.results.setting import Setting
from bench.statistics.gather import LearnerResults, gather
from bench.statistics.intervals import Interval

PAPER = "paper"
"""Every learner in the mode that stands for it, as opposed to one of `MODES`."""


class Missing(Exception):
    """The study lacks something that a claim compares; the message names it."""


@dataclass(frozen=True)
class Effect:
    """Left minus right with its interval. smaller, larger: the true effect may lie below, above (costs known as bounds)."""

    interval: Interval
    seeds: int
    episodes: int
    smaller: bool = False
    larger: bool = False
    note: str = ""


@dataclass(frozen=True)
class Contestants:
    """The runs of one setting that have results, by algorithm."""

    setting: Setting
    runs: dict[str, list[RunResult]]
    _read: dict[tuple[str, str], LearnerResults] = field(default_factory=dict)

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

    def table(self, name: str, metric: str, at: dict, mode: str) -> np.ndarray:
        """Return `[seeds, episodes]` of a learner: the mean over the conditions that `at` names, in a mode.

        A learner without batch statistics has one mode, which stands for both. Raises Missing without such conditions.
        """
        return self.tables(name, metric, [at], mode)[0]

    def tables(self, name: str, metric: str, several: list[dict], mode: str) -> list[np.ndarray]:
        """Return a table for each `at`, all of the same seeds and episodes."""
        results = self._results(name, metric)
        found = [self._conditions(results, at, mode) for at in several]
        lacking = next((at for at, conditions in zip(several, found, strict=True) if not conditions), None)
        if lacking is not None:
            raise Missing(f"{name} was not tested under {lacking or 'the tasks it was trained for'}")
        tables = iter(results.together([condition for conditions in found for condition in conditions]))
        means = [np.mean([next(tables) for _ in conditions], axis=0) for conditions in found]
        if not len(means[0]):
            raise Missing(f"no seed of {name} was tested under all of {several}")
        return means

    def _conditions(self, results: LearnerResults, at: dict, mode: str) -> list[Condition]:
        """Return the conditions that `at` names, in a mode."""
        own = mode == PAPER or not self._has_both(results)
        wanted = results.reported_mode if own and results.values else mode
        tested = {c.any_mode(): c for c in results.values if c.mode == wanted}
        return [tested[condition] for condition in self._matching(tested, at)]

    def modes(self, names: list[str], metric: str, at: dict) -> list[str]:
        """Return the modes in which all these learners can be compared: one that stands for all, or each common one.

        Raises Missing when their papers' modes differ and the conditions were tested in no common one.
        """
        both = [one for one in (self._results(name, metric) for name in names) if self._has_both(one)]
        stand = {one.reported_mode for one in both}
        if len(stand) < 2:
            return [*stand] or [PAPER]
        common = [mode for mode in MODES if all(self._matching(one.in_mode(mode), at) for one in both)]
        if not common:
            what = "shifts were" if "shift" in at else "these tasks were"
            raise Missing(f"{what} tested in the paper's mode only, and the learners differ in it")
        return common

    def _results(self, name: str, metric: str) -> LearnerResults:
        if (name, metric) not in self._read:
            self._read[name, metric] = gather(name, self.runs[name], metric)
        return self._read[name, metric]

    @staticmethod
    def _has_both(results: LearnerResults) -> bool:
        return len({condition.mode for condition in results.values}) > 1

    def _matching(self, tables: Iterable[Condition], at: dict) -> list[Condition]:
        """Return the conditions that `at` names; exact strengths belong to no claim."""
        tested = [condition for condition in tables if not condition.exact]
        own = {"shift": [NO_SHIFT], "test_tasks": STANDARD, "test_steps": OWN_STEPS}
        wanted = own | {"test_way": self.setting.way, "test_shot": self.setting.shot} | at
        return [condition for condition in tested if _matches(condition, wanted, tested)]


def _matches(condition: Condition, wanted: dict, tested: list[Condition]) -> bool:
    if wanted.get("severity") == "highest":
        highest = max(other.severity for other in tested if other.shift == condition.shift)
        wanted = wanted | {"severity": highest}
    others = {key: value for key, value in wanted.items() if key != "shift"}
    return condition.shift in wanted["shift"] and all(
        getattr(condition, key) == value for key, value in others.items()
    )
