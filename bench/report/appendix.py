"""The tables behind the headline: paired differences, missing runs, claims."""

import pandas as pd

from bench.report.contents import EMPTY, FINE, LEVEL, anchor
from bench.report.figures import own_task
from bench.report.style import Setting, at, number, p_value
from bench.report.table import Cell, Column, Row, Table

COMPARED = {
    "clean": "In distribution",
    "task": "Mean over all shifts of the whole task",
    "query": "Mean over all shifts of the queries only",
}


def comparison_table(
    comparisons: pd.DataFrame, cells: pd.DataFrame, setting: Setting, name: str, scope: str
) -> Table | None:
    """Row minus column over the same episodes, in one scope: clean, or the mean of the shifted conditions."""
    pairs = at(comparisons, setting)
    pairs = pairs[pairs["shift"].isin(["none", "all"]) & pairs["scope"].eq(scope)]
    if pairs.empty:
        return None
    rows = at(own_task(cells), setting)
    rows = rows[rows["shift"].eq("none")]
    metric = rows["metric"].iloc[0]
    order = rows.sort_values("mean", ascending=metric == "mse")[["algorithm", "title"]]
    present = set(pairs["algorithm_a"]) | set(pairs["algorithm_b"])
    order = order[order["algorithm"].isin(present)]
    found = {}
    for row in pairs.itertuples():
        found[row.algorithm_a, row.algorithm_b] = _difference(row, metric, 1)
        found[row.algorithm_b, row.algorithm_a] = _difference(row, metric, -1)
    columns = [Column("Row minus column", numeric=False), *[Column(title) for title in order["title"]]]
    body = [
        Row(
            [
                Cell(a.title, a.title),
                *[found.get((a.algorithm, b.algorithm), Cell("")) for b in order.itertuples()],
            ]
        )
        for a in order.itertuples()
    ]
    return Table(f"{name}-{setting.slug}", setting.label, columns, body)


def _difference(row, metric: str, sign: int) -> Cell:
    value = sign * row.difference
    low, high = sorted((sign * row.low, sign * row.high))
    note = f"95 % interval {number(low, metric, True)} to {number(high, metric, True)}; Holm p {p_value(row.p_holm)}"
    better = value if metric == "accuracy" else -value
    mark = "significant" if row.p_holm < LEVEL else ""
    return Cell(number(value, metric, True), value, mark, note=note, tint=better if mark else None)


def missing_table(runs: pd.DataFrame) -> Table:
    """Runs without a result, and why."""
    columns = [Column(c, numeric=False) for c in ("Setting", "Algorithm", "Seed", "Status", "Reason")]
    table = Table("missing", "Missing and failed", columns)
    why = {
        "missing": "no run.json: not trained yet, or its job failed before it could write one",
        "untested": "trained, but not tested yet",
    }
    for row in runs[~runs["status"].isin(FINE)].itertuples():
        setting = Setting(row.dataset, int(row.way), int(row.shot))
        reason = (
            row.reason
            if isinstance(row.reason, str) and row.reason
            else why.get(row.status, "no reason recorded")
        )
        link = f"#{anchor(setting, row.algorithm)}"
        words = [setting.label, str(row.seed), row.status, reason]
        first, *rest = [Cell(w, w) for w in words]
        table.rows.append(Row([first, Cell(row.title, row.title, link=link), *rest]))
    return table


def claims_table(claims: pd.DataFrame) -> Table:
    """One row per claim and setting: the verdict, and the effect beside what was predicted of it; the untested last."""
    claims = claims.sort_values("verdict", key=lambda verdict: verdict.eq("untested"), kind="stable")
    labels = ("Claim", "Setting", "Verdict")
    columns = [*(Column(c, numeric=False) for c in labels), Column("Effect"), Column("95 % interval")]
    columns += [Column("Predicted", numeric=False), Column("Source", numeric=False, minor=True)]
    table = Table("claims", "Claims", columns)
    for row in claims.itertuples():
        setting, tested = Setting(row.dataset, int(row.way), int(row.shot)), row.verdict != "untested"
        verdict = Cell(row.verdict, row.verdict, row.verdict, note="" if tested else row.reason)
        amounts = [_amount(value, row.metric) for value in (row.effect, row.low, row.high)] if tested else []
        behind = f"{row.n_seeds:.0f} seeds, {row.n_episodes:.0f} episodes" if tested else ""
        table.rows.append(
            Row(
                [
                    Cell(row.claim, row.claim, note=row.id),
                    Cell(setting.label, setting.label),
                    verdict,
                    Cell(amounts[0], row.effect, link=f"#{row.figure}", note=behind) if tested else EMPTY,
                    Cell(f"{amounts[1]} to {amounts[2]}") if tested else EMPTY,
                    Cell(_prediction(row)),
                    Cell(row.source, row.source),
                ]
            )
        )
    return table


_COST_UNITS = {"adapt_ms": "time", "tasks_to_reach": "tasks"}


def _amount(value: float, metric: str) -> str:
    """Differences in the metric's unit; of costs, which are compared as log2, the factor."""
    return (
        f"×{2**value:.3g}"
        if metric in _COST_UNITS
        else number(value, "mse" if metric == "mse" else "accuracy", True)
    )


def _prediction(row) -> str:
    """`at least +2.0`; of costs `×2`, of their logarithm."""
    margin = _amount(row.margin, row.metric)
    below = _amount(-row.margin, row.metric)
    words = {
        "greater": f"above {margin}",
        "less": f"below {below}",
        "not_less": f"above {below}",
        "equal": f"between {below} and {margin}",
    }
    return words[row.predicts]
