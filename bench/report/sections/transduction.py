"""Transductive against inductive prediction: what batch statistics of the other queries are worth."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import gid, label_margin, named_rows
from bench.report.figure import Figure, Panel
from bench.report.numbers import number, p_value, plus_minus, reach
from bench.report.style import Style
from bench.report.summary import Summary
from bench.report.table import Cell, Column, Row, Table, algorithm_cell, significance, text_columns, words
from bench.results.condition import MODES
from bench.results.metrics import METRICS
from bench.results.setting import at, settings

ID, TITLE, ORDER = "modes", "Transductive and inductive", 60
NOTHING = "No learner of this study was tested in both modes."
CAPTION = (
    "Filled marks: accuracy where each query is answered alone; open marks: where batch statistics may come from the "
    "other queries of the episode, which need not be at hand in practice. The same models ({seeds}) on the same "
    "{episodes}, with 95 % intervals of each mode. The learner that gains most is on top."
)
TABLE = (
    "Difference: transductive minus inductive, in percentage points, paired by seed and by episode, so its interval is "
    "narrower than the two beside it. Bold and tinted where the p value, Holm-corrected over the learners of a setting, "
    "is below 0.05. Learners without batch statistics have one mode only and are not listed."
)
_OFFSETS = {"inductive": 0.13, "transductive": -0.13}


def figures(summary: Summary) -> list[Figure]:
    """Return one figure: both modes of each algorithm on one line, a panel per setting."""
    panels = []
    for setting in settings(summary.modes):
        rows = at(summary.modes, setting).sort_values("difference", kind="stable")
        said = "; ".join(
            f"{row.title} {number(row.inductive)} and {number(row.transductive)}, "
            f"difference {number(row.difference, sign=True)} ({reach(row.low, row.high, sign=True)})"
            for row in rows[::-1].itertuples()
        )
        alt = f"{setting.label}, inductive and transductive: {said}."
        draw = partial(_draw, rows=rows, styles=summary.styles)
        size = (4.8, 0.75 + 0.32 * len(rows), label_margin(rows["title"]))
        panels.append(Panel(setting.label, alt, draw, *size))
    return [Figure("modes", TITLE, panels, columns=2, caption=CAPTION, wide=True)] if panels else []


def _draw(ax: Axes, rows: pd.DataFrame, styles: dict[str, Style]) -> None:
    for y, row in enumerate(rows.to_dict("records")):
        colour, part = styles[row["algorithm"]].colour, {"gid": gid(row["algorithm"])}
        heights = {mode: y + _OFFSETS[mode] for mode in MODES}
        joined = [100 * row[mode] for mode in MODES]
        ax.plot(joined, list(heights.values()), color=colour, lw=1.2, alpha=0.45, **part)
        for mode, height in heights.items():
            ends = [100 * row[f"{mode}_low"], 100 * row[f"{mode}_high"]]
            face = colour if mode == "inductive" else "none"
            ax.plot(ends, [height, height], color=colour, lw=2.4, alpha=0.55, solid_capstyle="butt", **part)
            ax.plot(100 * row[mode], height, "o", mec=colour, mfc=face, mew=1.4, ms=5.5, **part)
    named_rows(ax, rows["title"], margin=0.6)
    ax.set_xlabel(METRICS["accuracy"].axis)


def tables(summary: Summary) -> list[Table]:
    """Return one row per setting and algorithm: both modes and their paired difference."""
    columns = text_columns("Setting", "Algorithm", "Family", "Mode of its paper", minor=("Family",))
    columns += [*map(Column, ("Inductive", "Transductive", "Difference", "95 % interval", "Holm p"))]
    table = Table("modes", TITLE, columns, caption=TABLE)
    for setting in settings(summary.modes):
        rows = at(summary.modes, setting).sort_values("difference", ascending=False)
        for row in rows.to_dict("records"):
            names = [*words(setting.label), algorithm_cell(setting, row["algorithm"], row["title"])]
            names += words(row["family"], row["paper"])
            both = [_value(row, mode) for mode in MODES]
            table.rows.append(Row([*names, *both, *_paired(row)], row["family"]))
    return [table]


def _value(row: dict, mode: str) -> Cell:
    note = f"{row['n_seeds']} seeds, {row['n_episodes']} episodes each"
    return Cell(plus_minus(row[mode], row[f"{mode}_low"], row[f"{mode}_high"]), row[mode], note=note)


def _paired(row: dict) -> list[Cell]:
    difference = row["difference"]
    return [
        Cell(number(difference, sign=True), difference, significance(difference, row["p_holm"])),
        Cell(reach(row["low"], row["high"], sign=True)),
        Cell(p_value(row["p_holm"]), row["p_holm"]),
    ]
