"""The record table: how fast a learner learns Omniglot, from the learning curves of the reference results."""

import pandas as pd

from bench.report.numbers import duration
from bench.report.sections.costs import first_reached
from bench.report.summary import Summary
from bench.report.table import EMPTY, Cell, Column, Row, Table, text_columns, words
from bench.report.training_time import validations
from bench.results.schema import SCORED
from bench.results.setting import Setting, at

SETTING = Setting("omniglot", 5, 1)
LEVELS = (0.95, 0.98)
"""Meta-validation accuracies to reach."""
NOTE = (
    "Median over the runs that reach a level; *runs*: how many of those with a learning curve do. A level counts from the first "
    "validation that reaches it, so times are rounded up to a validation. Times are of training alone: CPU time of one "
    "thread, on a GPU wall time. Validation tasks: of the meta-validation classes, in the mode of the learner's paper."
)


def record_table(summary: Summary) -> Table:
    """Return one row per learner and device that reached the first level, the fastest first."""
    columns = text_columns("Learner", "Device")
    columns += [
        Column(label, group) for group in map("{:.0%}".format, LEVELS) for label in ("time", "tasks", "runs")
    ]
    columns += text_columns("Trained at")
    table = Table("records", f"Time to an accuracy, {SETTING.label}", columns, caption=NOTE)
    for (_, device), rows in _curves(summary).groupby(["algorithm", "device"], sort=False):
        first = rows.iloc[0]
        cells = [cell for level in LEVELS for cell in _reached(rows, level)]
        if cells[0] is not EMPTY:
            commits = ", ".join(sorted({commit[:7] for commit in rows["git_commit"]}))
            table.rows.append(Row([*words(first["title"], device), *cells, *words(commits)], first["family"]))
    table.rows.sort(key=lambda row: row.cells[2].value)
    return table


def _curves(summary: Summary) -> pd.DataFrame:
    """Return the validations of every finished run, each with the time spent on training until then."""
    lines = validations(at(summary.history, SETTING), at(summary.runs, SETTING))
    return lines[lines["status"].isin(SCORED)]


def _reached(rows: pd.DataFrame, level: float) -> list[Cell]:
    """Return median time and tasks until the level, and how many runs reached it."""
    firsts = first_reached(rows, level)[["time", "tasks"]]
    if firsts.empty:
        return [EMPTY] * 3
    time, tasks = firsts.median()
    return [
        Cell(duration(time), time),
        Cell(f"{tasks:,.0f}", tasks),
        Cell(f"{len(firsts)} of {rows['seed'].nunique()}"),
    ]
