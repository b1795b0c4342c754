"""A condition of a meta-test, and every question that tables ask of it, for one condition and for a frame of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.results.setting import SETTING_COLUMNS, Setting

if TYPE_CHECKING:
    import pandas as pd  # for annotations only: `bench status` does without its start-up time

CONDITION_COLUMNS = [
    *["shift", "severity", "value", "scope", "mode"],
    *["test_tasks", "test_way", "test_shot", "test_steps"],
]
SHARED_COLUMNS = [column for column in CONDITION_COLUMNS if column != "mode"]
"""Columns of a condition that learners in different modes share."""
STANDARD = "standard"
"""test_tasks of tasks drawn from the classes and ranges of meta-test, as opposed to one alphabet or other data."""
MODES = ("inductive", "transductive")
NO_SHIFT, ALL_SHIFTS = "none", "all"
EXACT, AVERAGED = 0, -1
"""Severities of a strength that the study names itself, and of the mean over all shifts and severities."""
OWN_STEPS = -1


@dataclass(frozen=True)
class Condition:
    """One way of testing a learner.

    test_way, test_shot: of the test tasks. mode: `inductive` or `transductive`; "" stands for either. shift: its name,
    `none`, or `all` (a mean over shifts). severity: 1 to 5, 0 without a shift or at an exact strength, -1 for a mean.
    value: strength in the shift's own unit. scope: what is shifted, `clean` (nothing), `task` (all of it) or `query`.
    test_tasks: `standard`, `alphabet`, `lake`, another data set, or another name of bench/protocol/experiments.
    test_steps: gradient steps at test, -1 for the learner's own number.
    """

    test_way: int
    test_shot: int
    mode: str = "inductive"
    shift: str = NO_SHIFT
    severity: int = 0
    value: float = 0.0
    scope: str = "clean"
    test_tasks: str = STANDARD
    test_steps: int = OWN_STEPS

    @classmethod
    def from_key(cls, key: Iterable) -> Condition:
        """Return the condition whose values are given in the order of `CONDITION_COLUMNS`."""
        return cls(**dict(zip(CONDITION_COLUMNS, key, strict=True)))

    @property
    def row(self) -> dict:
        """Values by column, in the order of `CONDITION_COLUMNS`."""
        return {column: getattr(self, column) for column in CONDITION_COLUMNS}

    @property
    def shared_row(self) -> dict:
        """Values by column without the mode, in the order of `SHARED_COLUMNS`."""
        return {column: getattr(self, column) for column in SHARED_COLUMNS}

    @property
    def key(self) -> tuple:
        """Values in the order of `CONDITION_COLUMNS`."""
        return tuple(self.row.values())

    @property
    def order(self) -> tuple:
        """Sort key of tables: clean conditions first, then by shift and severity."""
        return (not self.clean, *self.key)

    @property
    def clean(self) -> bool:
        """Nothing is shifted."""
        return self.shift == NO_SHIFT

    @property
    def graded(self) -> bool:
        """A shift has a severity, so that a mean over severities counts the condition."""
        return self.severity > 0

    @property
    def exact(self) -> bool:
        """A shift has a strength that the study names itself, outside the scale of severities."""
        return not self.clean and self.severity == EXACT

    @property
    def averaged(self) -> bool:
        """The condition is a mean over all shifts and severities of its scope."""
        return self.severity == AVERAGED

    def as_trained(self, setting: Setting) -> bool:
        """Test tasks are like those of meta-training (shifted or not), by the learner's own number of steps."""
        own_task = (self.test_way, self.test_shot, self.test_tasks) == (*setting[1:], STANDARD)
        return own_task and self.test_steps == OWN_STEPS

    def any_mode(self) -> Condition:
        """Return the condition that learners in different modes share: mode ""."""
        return replace(self, mode="")

    def mean_over_shifts(self) -> Condition:
        """Return the condition of the mean over all shifts and severities of the same scope, tasks and mode."""
        return replace(self, shift=ALL_SHIFTS, severity=AVERAGED, value=0.0)


def own_condition(setting: Setting, mode: str) -> Condition:
    """Return the clean condition of the tasks that a learner was trained for."""
    return Condition(*setting[1:], mode)


def conditions(frame: pd.DataFrame) -> list[Condition]:
    """Return the distinct conditions of a frame, in order of first appearance."""
    return [
        Condition.from_key(key) for key in frame[CONDITION_COLUMNS].drop_duplicates().itertuples(index=False)
    ]


def rows_under(frame: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    """Return the rows of one condition."""
    return frame[(frame[CONDITION_COLUMNS] == list(condition.row.values())).all(axis=1)]


def clean(frame: pd.DataFrame) -> pd.Series:
    """Rows without a shift."""
    return frame["shift"].eq(NO_SHIFT)


def graded(frame: pd.DataFrame) -> pd.Series:
    """Rows under a severity of a shift."""
    return frame["severity"].gt(0)


def exact(frame: pd.DataFrame) -> pd.Series:
    """Rows under a strength that the study names itself."""
    return ~clean(frame) & frame["severity"].eq(EXACT)


def as_trained(frame: pd.DataFrame) -> pd.Series:
    """Rows whose test tasks are like those of meta-training (shifted or not), by the learner's own number of steps."""
    same = frame["test_way"].eq(frame["way"]) & frame["test_shot"].eq(frame["shot"])
    return same & frame["test_tasks"].eq(STANDARD) & frame["test_steps"].eq(OWN_STEPS)


def reported_mode(paper_mode: str, tested: Iterable[str]) -> str:
    """Return the mode that stands for a learner: its paper's where that was tested, else the first of `MODES` that was.

    Raises ValueError when no mode was tested.
    """
    tested = set(tested)
    found = [mode for mode in (paper_mode, *MODES) if mode in tested]
    if not found:
        raise ValueError(f"no reported mode: tested are {sorted(tested)}, allowed are {list(MODES)}")
    return found[0]


def reported(frame: pd.DataFrame) -> pd.Series:
    """Rows in the mode that stands for their learner (`reported_mode`); needs the columns mode and paper_mode.

    A learner is an algorithm in a setting. The column paper_mode says whether the row's mode is that of the paper.
    """
    groups = frame.groupby([*SETTING_COLUMNS, "algorithm"])
    paper = frame["paper_mode"].astype(bool)
    tested = groups["paper_mode"].transform("any").astype(bool)
    first = frame["mode"].eq(groups["mode"].transform("min"))  # the order of `MODES` is alphabetical
    return paper.where(tested, first).astype(bool)
