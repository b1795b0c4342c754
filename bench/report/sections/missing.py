"""Runs without a result, and why."""

from bench.report.summary import Summary
from bench.report.table import Row, Table, algorithm_cell, text_columns, words
from bench.results.schema import MISSING, SCORED, UNTESTED
from bench.results.setting import Setting

ID, TITLE, ORDER = "missing", "Missing and failed", 140
NOTHING = "Nothing is missing: every run of this page has a result."
WHY = {
    MISSING: "no run.json: not trained yet, or its job failed before it could write one",
    UNTESTED: "trained, but not tested yet",
}


def tables(summary: Summary) -> list[Table]:
    """Return one row per run without a result."""
    table = Table("missing", TITLE, text_columns("Setting", "Algorithm", "Seed", "Status", "Reason"))
    runs = summary.runs
    for row in runs[~runs["status"].isin(SCORED)].itertuples():
        setting = Setting(row.dataset, int(row.way), int(row.shot))
        recorded = row.reason if isinstance(row.reason, str) else ""
        reason = recorded or WHY.get(row.status, "no reason recorded")
        title = algorithm_cell(setting, row.algorithm, row.title)
        table.rows.append(Row([*words(setting.label), title, *words(str(row.seed), row.status, reason)]))
    return [table]
