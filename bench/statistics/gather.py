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

    record: run.json of its first seed. shared: by mode, the shifted conditions that all learners of the setting were tested
    under; without it, all of its own count.
    """

    algorithm: str
    record: dict
    metric: str
    values: Values
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

    def counts(self, scope: str, shift: str, severity: int, mode: str = REPORTED) -> bool:
        """Whether a mean over shifts counts a condition: means of learners are compared, so they are over the same shifts."""
        return mode not in self.shared or (scope, shift, severity) in self.shared[mode]


def with_shared(learners: list[LearnerResults]) -> list[LearnerResults]:
    """Return the learners of a setting, each with the shifted conditions that all of them were tested under, by mode.

    Learners that were tested under no shift at all in a mode do not narrow it.
    """
    shared = {}
    for mode in (REPORTED, *MODES):
        places = [
            frozenset((c.scope, c.shift, c.severity) for c in tested if c.graded)
            for one in learners
            for tested in [one.reported() if mode == REPORTED else one.in_mode(mode)]
        ]
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
    columns = {metric: defaultdict(list) for metric in metrics}
    for run in runs:
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
                    columns[metric][condition].append(values)
    return {
        metric: LearnerResults(algorithm, runs[0].run, metric, _stacked(columns[metric]))
        for metric in metrics
    }


def _stacked(columns: dict[Condition, list[np.ndarray]]) -> Values:
    """Return the seeds of each condition as one table, clean conditions first.

    Seeds may have been tested on different numbers of the same frozen episodes: those that all of them have count.
    """
    ordered = sorted(columns, key=lambda condition: condition.order)
    fewest = {condition: min(map(len, columns[condition])) for condition in ordered}
    return {c: np.stack([values[: fewest[c]] for values in columns[c]]) for c in ordered}


def batches(values: dict) -> list[tuple[list, np.ndarray]]:
    """Stack the tables of equal shape, `[n, ..., seeds, episodes]`, with their keys: one interval call for all of them."""
    shapes = defaultdict(list)
    for key, table in values.items():
        shapes[table.shape].append(key)
    return [(keys, np.stack([values[key] for key in keys])) for keys in shapes.values()]


def same_shape(tables: list[np.ndarray]) -> bool:
    """Whether all tables have the same numbers of seeds and episodes."""
    return len({table.shape for table in tables}) == 1


def common(tables: list[np.ndarray]) -> np.ndarray:
    """Stack tables `[..., seeds, episodes]`, each cut to the first seeds and episodes that all of them have."""
    seeds, episodes = (min(table.shape[axis] for table in tables) for axis in (-2, -1))
    return np.stack([table[..., :seeds, :episodes] for table in tables])
