"""Transductive against inductive prediction in the report: what the other queries' batch statistics are worth."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.report.contents import LEVEL, anchor
from bench.report.figures import label_margin
from bench.report.style import Look, at, number, p_value, settings
from bench.report.svg import Figure, Panel
from bench.report.table import Cell, Column, Row, Table
from bench.results.condition import MODES

_OFFSETS = {"inductive": 0.13, "transductive": -0.13}


def modes_figure(modes: pd.DataFrame, looks: dict[str, Look]) -> Figure | None:
    """Both modes of each algorithm on one line, the one that gains most on top; one panel per setting."""
    panels = []
    for setting in settings(modes):
        rows = at(modes, setting).sort_values("difference", kind="stable")
        said = "; ".join(
            f"{row.title} {number(row.inductive)} and {number(row.transductive)}, difference {_difference(row)}"
            for row in rows[::-1].itertuples()
        )
        panels.append(
            Panel(
                setting.label,
                f"{setting.label}, inductive and transductive: {said}.",
                partial(_draw, rows=rows, looks=looks),
                4.8,
                0.75 + 0.32 * len(rows),
                label_margin(rows["title"]),
            )
        )
    return Figure("modes", "Transductive and inductive", panels, columns=2) if panels else None


def _difference(row) -> str:
    return (
        f"{number(row.difference, sign=True)} ({number(row.low, sign=True)} to {number(row.high, sign=True)})"
    )


def _draw(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    for y, row in enumerate(rows.to_dict("records")):
        colour, gid = looks[row["algorithm"]].colour, f"series-{row['algorithm']}"
        heights = {mode: y + _OFFSETS[mode] for mode in MODES}
        joined = [100 * row[mode] for mode in MODES]
        ax.plot(joined, list(heights.values()), color=colour, lw=1.2, alpha=0.45, gid=gid)
        for mode, height in heights.items():
            ends = [100 * row[f"{mode}_low"], 100 * row[f"{mode}_high"]]
            face = colour if mode == "inductive" else "none"
            ax.plot(ends, [height, height], color=colour, lw=2.4, alpha=0.55, solid_capstyle="butt", gid=gid)
            ax.plot(100 * row[mode], height, "o", mec=colour, mfc=face, mew=1.4, ms=5.5, gid=gid)
    ax.set_yticks(range(len(rows)), rows["title"])
    ax.set_ylim(-0.6, len(rows) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("accuracy, %")


def modes_table(modes: pd.DataFrame) -> Table | None:
    """One row per setting and algorithm: both modes and their paired difference; zero rows give no table."""
    labels = ("Setting", "Algorithm", "Family", "Mode of its paper")
    columns = [Column(label, numeric=False, minor=label == "Family") for label in labels]
    columns += [
        Column(label) for label in ("Inductive", "Transductive", "Difference", "95 % interval", "Holm p")
    ]
    body = []
    for setting in settings(modes):
        for row in at(modes, setting).sort_values("difference", ascending=False).to_dict("records"):
            words = [row["family"], row["paper"]]
            both = [_value(row, mode) for mode in MODES]
            body.append(
                Row(
                    [
                        Cell(setting.label, setting.label),
                        Cell(row["title"], row["title"], link=f"#{anchor(setting, row['algorithm'])}"),
                        *[Cell(word, word) for word in words],
                        *both,
                        *_paired(row),
                    ],
                    row["family"],
                    "compared",
                )
            )
    return Table("modes", "Transductive and inductive", columns, body) if body else None


def _value(row: dict, mode: str) -> Cell:
    half = (row[f"{mode}_high"] - row[f"{mode}_low"]) / 2
    note = f"{row['n_seeds']} seeds, {row['n_episodes']} episodes each"
    return Cell(f"{number(row[mode])} ± {number(half)}", row[mode], note=note)


def _paired(row: dict) -> list[Cell]:
    significant = row["p_holm"] < LEVEL
    tint = row["difference"] if significant else None
    return [
        Cell(
            number(row["difference"], sign=True),
            row["difference"],
            "significant" if significant else "",
            tint=tint,
        ),
        Cell(f"{number(row['low'], sign=True)} to {number(row['high'], sign=True)}"),
        Cell(p_value(row["p_holm"]), row["p_holm"]),
    ]
