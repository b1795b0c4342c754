"""Learners below their paper: is it the budget? Told by trainings of one learner that differ in their length."""

import math
from collections.abc import Sequence

import pandas as pd

from bench.report.numbers import number, plus_minus
from bench.report.reference_table import CELL, budget, every_study
from bench.report.summary import Summary
from bench.report.table import Column, Row, Table, text_columns, words
from bench.results.setting import settings

BELOW = 0.015
"""A learner whose accuracy is so much below the published one is asked for its reason."""
SAME = [*CELL, "mode", "backbone", "hidden"]
CAPTION = (
    "Learners that are more than {points} points below their paper, in its mode, and what a longer training gained: the same network and "
    "task in several studies (`config/`), from the shortest training on. *Error*: of 100 queries, with the 95 % interval over seeds and "
    "episodes, on the same episodes in all studies. *Budget* as above. *Reason*: where the error of the longest training is below that of the "
    "shortest by more than both intervals explain, the budget is what the row lacks."
)


def near(rows: pd.DataFrame) -> str:
    """Say how many accuracies come near the published ones. rows: those of `headline`."""
    shown = rows[rows["published"].notna() & rows["metric"].eq("accuracy")]
    reached = int((shown["published"] - shown["mean"]).le(BELOW).sum())
    return f"{reached} of {len(shown)} accuracies with a published value lie at most {100 * BELOW} points below it."


def budgets(summaries: Sequence[Summary]) -> pd.DataFrame:
    """Return the trainings of each learner that is below its paper and was trained in several lengths, the longest last."""
    rows = every_study(summaries)
    if rows.empty:
        return rows
    rows = rows[rows["stands"].eq(True) & rows["published"].notna() & rows["tasks"].gt(0)].sort_values(
        [*SAME, "tasks"]
    )
    groups = rows.groupby(SAME, dropna=False)
    best, lengths = groups["mean"].transform("last"), groups["tasks"].transform("nunique")
    return rows[(rows["published"] - best).gt(BELOW) & lengths.gt(1)].reset_index(drop=True)


def reason(rows: pd.DataFrame) -> str:
    """Say whether more training lowered the error. rows: trainings of one learner, the longest last."""
    first, last = rows.iloc[0], rows.iloc[-1]
    fell = last["mean"] - first["mean"]
    margin = math.hypot(last["mean"] - last["low"], first["high"] - first["mean"])
    times, factor = last["tasks"] / first["tasks"], (1 - first["mean"]) / (1 - last["mean"])
    if fell > margin:
        return f"budget: {times:.3g} times the training divided the error by {factor:.2g}"
    return f"open: {times:.3g} times the training changed the error by no more than its interval"


def budget_table(rows: pd.DataFrame) -> Table:
    """Return one row per training, with the reason beside the longest."""
    columns = [
        *text_columns("Algorithm", "Setting", "Mode"),
        *map(Column, ("training tasks", "budget", "error")),
    ]
    columns += [Column("published"), Column("seeds"), *text_columns("study", "Reason")]
    body = []
    for _, part in rows.groupby(SAME, dropna=False, sort=False) if len(rows) else ():
        setting = settings(part)[0].label
        for row in part.to_dict("records"):
            error = plus_minus(1 - row["mean"], 1 - row["high"], 1 - row["low"])
            facts = [f"{row['tasks']:,.0f}", budget(pd.DataFrame([row])), error, number(1 - row["published"])]
            facts += [str(row["seeds"]), row["study"]]
            said = reason(part) if row["study"] == part["study"].iloc[-1] else ""
            body.append(Row(words(row["title"], setting, row["mode"], *facts, said)))
    return Table(
        "budgets",
        "Below the paper: is it the budget?",
        columns,
        body,
        caption=CAPTION.format(points=100 * BELOW),
    )
