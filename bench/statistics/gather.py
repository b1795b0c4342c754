"""Cells, paired comparisons and ranks of the algorithms of a study, as rows of its tables."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.results.condition import CONDITION_COLUMNS, SHARED_COLUMNS, STANDARD  # noqa: F401
from bench.results.files import ResultError
from bench.results.run_folder import RunResult
from bench.results.setting import SETTING_COLUMNS, Setting  # noqa: F401

_MODE = CONDITION_COLUMNS.index("mode")


@dataclass(frozen=True)
class Tested:
    """The results of one algorithm in one setting: values[condition] is [seeds, episodes], seeds in their order."""

    algorithm: str
    record: dict
    metric: str
    values: dict[tuple, np.ndarray]

    @property
    def paper_mode(self) -> str:
        """The paper's mode, or the only one that was tested."""
        modes = {condition[_MODE] for condition in self.values}
        return self.record["paper_mode"] if self.record["paper_mode"] in modes else min(modes)

    def paper(self) -> tuple[str, dict[tuple, np.ndarray]]:
        """The paper's mode and its values by condition without the mode."""
        mode, at = self.paper_mode, _MODE
        return mode, {c[:at] + c[at + 1 :]: values for c, values in self.values.items() if c[at] == mode}


def gather(algorithm: str, found: list[RunResult], metric: str | None = None) -> Tested:
    """Read the episodes of an algorithm's tested runs; seeds under a condition must have equally many episodes.

    metric: the task kind's own, unless another is named; conditions without a value are left out.
    """
    return gather_all(algorithm, found, [metric or found[0].metric])[0]


def gather_all(algorithm: str, found: list[RunResult], metrics: list[str]) -> list[Tested]:
    """As `gather`, for several metrics at once: each file is read once."""
    columns = {metric: defaultdict(list) for metric in metrics}
    for result in found:
        for condition, part in result.episodes().groupby(CONDITION_COLUMNS, sort=True):
            for metric in metrics:
                values = part[metric].dropna().to_numpy(np.float64)
                if len(values):
                    columns[metric][condition].append((result.folder, values))
    return [Tested(algorithm, found[0].run, metric, _stacked(columns[metric])) for metric in metrics]


def _stacked(columns: dict[tuple, list[tuple[Path, np.ndarray]]]) -> dict[tuple, np.ndarray]:
    """The seeds of each condition as one table, clean conditions first."""
    for condition, entries in columns.items():
        longest, shortest = max(entries, key=lambda e: len(e[1])), min(entries, key=lambda e: len(e[1]))
        if len(longest[1]) != len(shortest[1]):
            raise ResultError(
                f"{longest[0]}/episodes.parquet has {len(longest[1])} episodes and {shortest[0]}/episodes.parquet has "
                f"{len(shortest[1])} under {condition}: the study was changed in between; test both again"
            )
    return {
        c: np.stack([values for _, values in entries]) for c, entries in sorted(columns.items(), key=_order)
    }


def _order(item: tuple[tuple, object]) -> tuple:
    """Clean first, then by name and severity."""
    condition = item[0]
    return (condition[0] != "none", *condition)


def batches(values: dict[tuple, np.ndarray]) -> list[tuple[list[tuple], np.ndarray]]:
    """Conditions of the same shape stacked: one bootstrap call for all of them."""
    shapes = defaultdict(list)
    for condition, table in values.items():
        shapes[table.shape].append(condition)
    return [(conditions, np.stack([values[c] for c in conditions])) for conditions in shapes.values()]


def _same_shape(tables: list[np.ndarray]) -> bool:
    return len({table.shape for table in tables}) == 1


def own_condition(setting: Setting, mode: str) -> tuple:
    """The condition of tasks as trained for, without a shift."""
    own = {"shift": "none", "severity": 0, "value": 0.0, "scope": "clean", "mode": mode}
    own |= {"test_tasks": STANDARD, "test_way": setting[1], "test_shot": setting[2], "test_steps": -1}
    return tuple(own[column] for column in CONDITION_COLUMNS)
