"""A condition of a meta-test, and the questions that tables ask of it."""

from dataclasses import dataclass

import pandas as pd

CONDITION_COLUMNS = [
    *["shift", "severity", "value", "scope", "mode"],
    *["test_tasks", "test_way", "test_shot", "test_steps"],
]
STANDARD = "standard"
"""test_tasks of tasks drawn from the classes and ranges of meta-test, as opposed to one alphabet or other data."""


@dataclass(frozen=True)
class Condition:
    """One setting of a meta-test. scope: what is shifted (`clean`: nothing; the whole `task`; the `query` only).

    value: strength in the shift's own unit; a strength that the study names itself has severity 0, so that no mean over
    severities counts it. test_tasks: `standard`, within one `alphabet`, the `lake` runs, another data set by name, or what
    else bench/protocol/experiments.py names. test_steps: gradient steps at test, -1 = the learner's own.
    """

    test_way: int
    test_shot: int
    mode: str = "inductive"
    shift: str = "none"
    severity: int = 0
    value: float = 0.0
    scope: str = "clean"
    test_tasks: str = STANDARD
    test_steps: int = -1


def as_trained(cells: pd.DataFrame) -> pd.Series:
    """Test tasks like those of meta-training (shifted or not), by the learner's own number of steps."""
    same = cells["test_way"].eq(cells["way"]) & cells["test_shot"].eq(cells["shot"])
    return same & cells["test_tasks"].eq(STANDARD) & cells["test_steps"].eq(-1)
