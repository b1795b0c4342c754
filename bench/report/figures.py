"""Dot plots of a study, drawn from the tables of `bench summarize`: the headline and the average ranks."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

from bench.report.style import Look, at, dataset_label, family_order, listed, number, settings
from bench.report.svg import INK, Figure, Panel
from bench.results.condition import as_trained

MEASURES = {"accuracy": "accuracy, %", "mse": "mean squared error"}
BEHIND = {"color": INK, "lw": 0.8, "alpha": 0.3, "zorder": 1}
"""Curves that have their own panel elsewhere."""
SCOPES = {"task": "whole task shifted", "query": "only queries shifted"}
CONDITIONS = {"clean": "in distribution", "shifted": "shifted"}


def own_task(cells: pd.DataFrame) -> pd.DataFrame:
    """Rows tested as trained (same way and shot, the algorithm's own steps) on the study's measure, in the reported mode."""
    return cells[as_trained(cells) & cells["metric"].isin(MEASURES) & cells["reported"]]


def hardest(cells: pd.DataFrame, scope: str) -> pd.Series:
    """Mean over the shifts, each at its highest severity, by algorithm; exact strengths have none."""
    shifted = cells[cells["scope"].eq(scope) & cells["severity"].gt(0)]
    top = shifted[shifted["severity"].eq(shifted.groupby("shift")["severity"].transform("max"))]
    return top.groupby("algorithm")["mean"].mean()


def headline_figure(cells: pd.DataFrame, looks: dict[str, Look], scope: str | None) -> Figure:
    """In distribution (filled, interval) and under the hardest shifts (open), one panel per setting."""
    cells, panels = own_task(cells), []
    for setting in settings(cells):
        rows = at(cells, setting)
        clean = rows[rows["shift"].eq("none")].assign(order=rows["family"].map(family_order))
        clean = clean.sort_values(["order", "mean"], ascending=[False, clean["metric"].iloc[0] == "accuracy"])
        worst = hardest(rows, scope) if scope else pd.Series(dtype=float)
        said = [_said(row, worst.get(row.algorithm)) for row in clean[::-1].itertuples()]
        draw = partial(_draw_headline, clean=clean, worst=worst, looks=looks)
        height = 0.75 + 0.25 * len(clean)
        panels.append(
            Panel(
                setting.label,
                f"{setting.label}: {'; '.join(said)}.",
                draw,
                4.8,
                height,
                label_margin(clean["title"]),
            )
        )
    return Figure("headline", "In and out of distribution", panels, columns=2)


def label_margin(labels: Iterable[str]) -> float:
    """Inches that the longest of these labels takes beside an axis."""
    return 0.16 + 0.066 * max(map(len, labels))


def _said(row, worst: float | None) -> str:
    shifted = "" if worst is None else f", under the hardest shifts {number(worst, row.metric)}"
    return f"{row.title} {number(row.mean, row.metric)} ({number(row.low, row.metric)} to {number(row.high, row.metric)}){shifted}"


def _draw_headline(ax: Axes, clean: pd.DataFrame, worst: pd.Series, looks: dict[str, Look]) -> None:
    metric, scale = clean["metric"].iloc[0], factor(clean)
    for y, row in enumerate(clean.itertuples()):
        look, gid = looks[row.algorithm], f"series-{row.algorithm}"
        hard = worst.get(row.algorithm)
        if hard is not None:
            ax.plot([scale * hard, scale * row.mean], [y, y], color=look.colour, lw=1.2, alpha=0.45, gid=gid)
            ax.plot(scale * hard, y, look.marker, mec=look.colour, mfc="none", mew=1.4, ms=6.5, gid=gid)
        ax.plot([scale * row.low, scale * row.high], [y, y], color=look.colour, lw=3.2, alpha=0.8, gid=gid)
        ax.plot(scale * row.mean, y, look.marker, color=look.colour, ms=6.5, gid=gid)
    ax.set_yticks(range(len(clean)), clean["title"])
    ax.set_ylim(-0.7, len(clean) - 0.3)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(MEASURES[metric])
    chance_line(ax, clean, "x")
    if metric == "mse":
        log_axis(ax, "x")


def log_axis(ax: Axes, axis: str) -> None:
    """Ticks at 1, 2 and 5 of every decade, over many decades at 1 only, as plain numbers; after everything is drawn."""
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    side = ax.xaxis if axis == "x" else ax.yaxis
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    side.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    side.set_major_formatter("{x:g}")
    side.set_minor_formatter(NullFormatter())


def factor(rows: pd.DataFrame) -> float:
    return 100.0 if rows["metric"].iloc[0] == "accuracy" else 1.0


def chance_line(ax: Axes, rows: pd.DataFrame, axis: str) -> None:
    chance = rows["chance"].iloc[0]
    if np.isfinite(chance):
        line = ax.axvline if axis == "x" else ax.axhline
        line(100 * chance, color=INK, lw=1, ls=(0, (1, 2)), alpha=0.8)


def rank_figure(ranks: pd.DataFrame, looks: dict[str, Look]) -> Figure | None:
    """Average rank with half the critical difference on either side: bars that do not overlap differ.

    One block alone has no critical difference, and its ranks are those of the headline table.
    """
    panels, ranks = [], ranks.dropna(subset=["critical_difference"])
    for (dataset, conditions), rows in ranks.groupby(["dataset", "conditions"], sort=False):
        rows = rows.sort_values("average_rank", ascending=False)
        said = listed(f"{looks[r.algorithm].title} {r.average_rank:.2f}" for r in rows[::-1].itertuples())
        first = rows.iloc[0]
        over = f"{first['n_blocks']} blocks, critical difference {first['critical_difference']:.2f}"
        margin = label_margin(looks[a].title for a in rows["algorithm"])
        title = "All data sets" if dataset == "all" else dataset_label(dataset)
        panels.append(
            Panel(
                title=f"{title}, {CONDITIONS[conditions]}",
                alt=f"Average ranks over {over}: {said}.",
                draw=partial(_draw_ranks, rows=rows, looks=looks),
                width=4.8,
                height=0.75 + 0.25 * len(rows),
                left=margin,
            )
        )
    return Figure("ranks", "Average ranks", panels, columns=2) if panels else None


def _draw_ranks(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    for y, row in enumerate(rows.itertuples()):
        look, gid, half = looks[row.algorithm], f"series-{row.algorithm}", row.critical_difference / 2
        ends = [max(row.average_rank - half, 0.5), row.average_rank + half]
        ax.plot(ends, [y, y], color=look.colour, lw=3.2, alpha=0.45, gid=gid)
        ax.plot(row.average_rank, y, look.marker, color=look.colour, ms=6.5, gid=gid)
    ax.set_yticks(range(len(rows)), [looks[a].title for a in rows["algorithm"]])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("average rank (1 is best)")


def others_behind(ax: Axes, curves: pd.DataFrame, x: str, looks: dict[str, Look]) -> None:
    """The algorithms that have their own panel elsewhere, as thin lines to compare with: mean against the column x.

    One line with gaps, not twenty: a page has thousands of them.
    """
    others = [part[[x, "mean"]] for _, part in curves[~curves["algorithm"].isin(looks)].groupby("algorithm")]
    if others:
        gap = pd.DataFrame({x: [np.nan], "mean": [np.nan]})
        line = pd.concat([rows for part in others for rows in (part, gap)])
        ax.plot(line[x], factor(curves) * line["mean"], **BEHIND)
