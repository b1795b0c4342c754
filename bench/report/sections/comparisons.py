"""Paired comparisons: average ranks, and the differences of all pairs of learners on the same episodes."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.report.axes import dot_line, gid, is_error, label_margin, named_rows
from bench.report.figure import Figure, Panel
from bench.report.numbers import counted, listed, number, p_value, reach
from bench.report.style import Style
from bench.report.summary import Summary
from bench.report.table import Cell, Column, Row, Table, significance, text_columns, words
from bench.results.condition import clean
from bench.results.metrics import METRICS
from bench.results.setting import at, dataset_label, settings

ID, TITLE, ORDER = "comparison", "Paired comparison", 90
NOTHING = "There is nothing to compare yet."
RANKS = (
    "Ranks averaged over blocks, whose number is in each title. In distribution, a block is a setting; each bar spans half "
    "the critical difference (Nemenyi, 95 %) to either side, and learners whose bars do not overlap differ significantly. "
    "Shifted, a block is a setting under one shift, averaged over its severities and scopes. Shifted blocks come from the "
    "same models, so that they have no test and no bars."
)
DIFFERENCES = (
    "Row minus column, averaged over the same episodes and seeds, in percentage points (regression: in squared error). "
    "Bold and tinted where the Holm-corrected p value is below 0.05; hover over a difference for its interval. How much "
    "trainings differ by seed is estimated from all learners together, since two or three seeds of one learner say little "
    "about it."
)
SCOPES = {
    "clean": "In distribution",
    "task": "Mean over all shifts of the whole task",
    "query": "Mean over all shifts of the queries only",
}
CONDITIONS = {"clean": "in distribution", "shifted": "shifted"}


def figures(summary: Summary) -> list[Figure]:
    """Return the average ranks; in distribution with half the critical difference on either side.

    One block alone is left out: its ranks are those of the headline table.
    """
    panels, ranks = [], summary.ranks[summary.ranks["n_blocks"].gt(1)]
    for (dataset, conditions), rows in ranks.groupby(["dataset", "conditions"], sort=False):
        rows = rows.sort_values("average_rank", ascending=False)
        rows = rows.assign(title=[summary.styles[a].title for a in rows["algorithm"]])
        said = listed(f"{row.title} {row.average_rank:.2f}" for row in rows[::-1].itertuples())
        first = rows.iloc[0]
        over = counted([first["n_blocks"]], "block")
        tested = first["critical_difference"]
        difference = f", critical difference {tested:.2f}" if np.isfinite(tested) else ""
        title = "All data sets" if dataset == "all" else dataset_label(dataset)
        title, alt = (
            f"{title}, {CONDITIONS[conditions]}, {over}",
            f"Average ranks over {over}{difference}: {said}.",
        )
        draw = partial(_draw, rows=rows, styles=summary.styles)
        panels.append(Panel(title, alt, draw, 4.8, 0.75 + 0.25 * len(rows), label_margin(rows["title"])))
    title = "Average ranks"
    return (
        [Figure("ranks", title, panels, columns=2, caption=RANKS, heading=title, wide=True)] if panels else []
    )


def _draw(ax: Axes, rows: pd.DataFrame, styles: dict[str, Style]) -> None:
    for y, row in enumerate(rows.itertuples()):
        style, half = styles[row.algorithm], row.critical_difference / 2
        if np.isfinite(half):
            ends = [max(row.average_rank - half, 1), min(row.average_rank + half, len(rows))]
            dot_line(ax, y, ends, style, row.algorithm, alpha=0.45)
        ax.plot(row.average_rank, y, style.marker, color=style.colour, ms=6.5, gid=gid(row.algorithm))
    named_rows(ax, rows["title"])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("average rank (1 is best)")


def tables(summary: Summary) -> list[Table]:
    """Return a matrix of differences per scope and setting."""
    found = []
    for scope, title in SCOPES.items():
        for setting in settings(summary.own):
            pairs = at(summary.comparisons, setting)
            pairs = pairs[pairs["shift"].isin(["none", "all"]) & pairs["scope"].eq(scope)]
            rows = at(summary.own, setting)
            columns, body = _matrix(pairs, rows[clean(rows)])
            name, heading = f"differences-{scope}-{setting.slug}", f"{title}, {setting.label}"
            caption = "" if any(table.rows for table in found) else DIFFERENCES
            found.append(Table(name, heading, columns, body, caption, heading, matrix=True))
    return found


def _matrix(pairs: pd.DataFrame, rows: pd.DataFrame) -> tuple[list[Column], list[Row]]:
    """Return headings and rows of all differences, the best learner first."""
    metric = rows["metric"].iloc[0]
    present = set(pairs["algorithm_a"]) | set(pairs["algorithm_b"])
    rows = rows[rows["algorithm"].isin(present)].sort_values("mean", ascending=is_error(rows))
    found = {}
    for pair in pairs.itertuples():
        found[pair.algorithm_a, pair.algorithm_b] = _difference(pair, metric, 1)
        found[pair.algorithm_b, pair.algorithm_a] = _difference(pair, metric, -1)
    columns = [*text_columns("Row minus column"), *map(Column, rows["title"])]
    body = []
    for one in rows.itertuples():
        cells = [found.get((one.algorithm, other), Cell("")) for other in rows["algorithm"]]
        body.append(Row([*words(one.title), *cells]))
    return columns, body


def _difference(pair, metric: str, sign: int) -> Cell:
    value = sign * pair.difference
    low, high = sorted((sign * pair.low, sign * pair.high))
    note = f"95 % interval {reach(low, high, metric, True)}; Holm p {p_value(pair.p_holm)}"
    mark = significance(METRICS[metric].sign * value, pair.p_holm)
    return Cell(number(value, metric, True), value, mark, note=note)
