"""Read the episodes of tested runs: values `[seeds, episodes]` of a learner by condition."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import numpy as np

from bench.results.condition import CONDITION_COLUMNS, MODES, Condition, reported_mode
from bench.results.frames import condition_starts
from bench.results.run_folder import RunResult

Values = dict[Condition, np.ndarray]
"""Tables `[seeds, episodes]` by condition, seeds in the order of the study."""
Place = tuple[str, str, int]
"""Scope, shift and severity."""
REPORTED = "reported"
"""Stands in place of a mode where each learner is in its reported mode."""


@dataclass(frozen=True)
class LearnerResults:
    """What one learner scored in one setting, on one metric.

    record: run.json of its first seed. seeds: by condition, the positions among its runs of the seeds in a table, which are
    fewer where older records lack a metric. shared: by mode, the shifted conditions that all learners of the setting were tested
    under; without it, all of its own count.
    """

    algorithm: str
    record: dict
    metric: str
    values: Values
    seeds: dict[Condition, tuple[int, ...]] = field(default_factory=dict)
    shared: dict[str, frozenset[Place]] = field(default_factory=dict)

    @property
    def reported_mode(self) -> str:
        """The mode that stands for the learner. Raises ValueError when nothing was tested."""
        return reported_mode(self.record["paper_mode"], {condition.mode for condition in self.values})

    def reported(self) -> Values:
        """Return the values in the reported mode, by condition without the mode; empty when nothing was tested."""
        return self.in_mode(self.reported_mode) if self.values else {}

    def in_mode(self, mode: str) -> Values:
        """Return the values in one mode, by condition without the mode."""
        return {c.any_mode(): values for c, values in self.values.items() if c.mode == mode}

    def seeds_of(self, condition: Condition) -> tuple[int, ...]:
        """Return the positions among the learner's runs of the seeds in a table."""
        return self.seeds.get(condition, tuple(range(len(self.values[condition]))))

    def together(self, conditions: list[Condition]) -> list[np.ndarray]:
        """Return the tables of some conditions as `paired` does."""
        return paired([(self, condition) for condition in conditions])

    def places(self, mode: str) -> frozenset[Place]:
        """Return the graded shifts that all of its seeds were tested under in a mode, or in the reported one."""
        wanted = self.reported_mode if mode == REPORTED and self.values else mode
        graded = {c: set(self.seeds_of(c)) for c in self.values if c.graded and c.mode == wanted}
        every = set().union(*graded.values())
        return frozenset((c.scope, c.shift, c.severity) for c, seeds in graded.items() if seeds == every)

    def counts(self, scope: str, shift: str, severity: int, mode: str = REPORTED) -> bool:
        """Whether a mean over shifts counts a condition: means of learners are compared, so they are over the same shifts."""
        return mode not in self.shared or (scope, shift, severity) in self.shared[mode]


def paired(places: list[tuple[LearnerResults, Condition]]) -> list[np.ndarray]:
    """Return the tables of a learner under some conditions, and on some metrics, on the seeds and episodes that all have.

    Of older records, a seed may lack a condition or a metric: the tables are then of fewer seeds, or of none.
    """
    seeds = [one.seeds_of(condition) for one, condition in places]
    shared = [seed for seed in seeds[0] if all(seed in some for some in seeds)]
    tables = [
        one.values[condition][[some.index(seed) for seed in shared]]
        for (one, condition), some in zip(places, seeds, strict=True)
    ]
    fewest = min(table.shape[1] for table in tables)
    return [table[:, :fewest] for table in tables]


def with_shared(learners: list[LearnerResults]) -> list[LearnerResults]:
    """Return the learners of a setting, each with the shifted conditions that all of them were tested under, by mode.

    With all of their seeds, so that a mean over them is of as many seeds as there are.

    Learners that were tested under no shift at all in a mode do not narrow it.
    """
    shared = {}
    for mode in (REPORTED, *MODES):
        places = [one.places(mode) for one in learners]
        shared[mode] = frozenset.intersection(*filter(None, places)) if any(places) else frozenset()
    return [replace(one, shared=shared) for one in learners]


def gather(algorithm: str, runs: list[RunResult], metric: str | None = None) -> LearnerResults:
    """Read one metric (default: the main one of the task kind) of a learner's tested runs.

    Conditions without a value are left out.
    """
    metric = metric or runs[0].metric
    return gather_all(algorithm, runs, [metric])[metric]


def gather_all(algorithm: str, runs: list[RunResult], metrics: list[str]) -> dict[str, LearnerResults]:
    """Read several metrics as `gather` does, each file once; return the results by metric."""
    columns = {metric: defaultdict(dict) for metric in metrics}
    for seed, run in enumerate(runs):
        episodes = run.episodes()
        starts = condition_starts(episodes)
        keys = episodes[CONDITION_COLUMNS].iloc[starts].itertuples(index=False)
        conditions = [Condition.from_key(key) for key in keys]
        for metric in metrics:
            parts = np.split(episodes[metric].to_numpy(np.float64), starts[1:])
            # Of a file without rows, there is one part and no condition.
            for condition, part in zip(conditions, parts, strict=False):
                values = part[~np.isnan(part)]
                if len(values):
                    columns[metric][condition][seed] = values
    return {
        metric: LearnerResults(
            algorithm, runs[0].run, metric, _stacked(found), {c: tuple(found[c]) for c in found}
        )
        for metric, found in columns.items()
    }


def _stacked(columns: dict[Condition, dict[int, np.ndarray]]) -> Values:
    """Return the seeds of each condition as one table, clean conditions first.

    Seeds may have been tested on different numbers of the same frozen episodes: those that all of them have count.
    """
    ordered = sorted(columns, key=lambda condition: condition.order)
    fewest = {condition: min(map(len, columns[condition].values())) for condition in ordered}
    return {c: np.stack([values[: fewest[c]] for values in columns[c].values()]) for c in ordered}


def batches(values: dict) -> list[tuple[list, np.ndarray]]:
    """Stack the tables of equal shape, `[n, ..., seeds, episodes]`, with their keys: one interval call for all of them."""
    shapes = defaultdict(list)
    for key, table in values.items():
        shapes[table.shape].append(key)
    return [(keys, np.stack([values[key] for key in keys])) for keys in shapes.values()]
