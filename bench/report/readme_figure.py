"""The figures of the READMEs: what was measured beside what was published, and learners under shift."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.report.figure import RC
from bench.report.figure import Figure as Panels
from bench.report.style import INK, Style, styles_of
from bench.report.svg import drawing, shortened
from bench.results.files import write_text
from bench.results.metrics import METRICS
from bench.results.setting import Setting, at, settings

# The figure has a background of its own: README pages are light or dark.
WHITE = {"figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white"}
_WIDTH, _ROW, _FRAME = 4.6, 0.33, 0.85  # inches: width of a panel, height of a line in it and of its frame
FAINT = 0.35
_OFFSETS = {"inductive": 0.16, "transductive": -0.16}


def draw(rows: pd.DataFrame, path: Path, mark: str) -> None:
    """Draw one panel per setting, one line per trained algorithm; `mark` in the file says which results it shows.

    The setting with most algorithms is on the left, the others are on the right. Learners without training, such as
    nearest neighbours of raw pixels, are in the table only: they would stretch the axis.
    """
    rows = rows[rows["seconds"].gt(0)] if rows["seconds"].gt(0).any() else rows
    look = styles_of(rows)
    lines = {task: at(rows, task)["algorithm"].nunique() for task in settings(rows)}
    first, *others = sorted(lines, key=lambda task: -lines[task])
    heights = [_FRAME + _ROW * lines[task] for task in others]
    tall = max(_FRAME + _ROW * lines[first], sum(heights))
    with mpl.rc_context(RC | WHITE):
        size = (_WIDTH * (2 if others else 1), tall + 0.3)
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.add_gridspec(1, 2 if others else 1)
        _panel(figure.add_subplot(grid[0]), first, rows, look)
        if others:
            heights.append(max(tall - sum(heights), 1e-3))  # the rest of the column stays empty
            column = grid[1].subgridspec(len(heights), 1, height_ratios=heights)
            for place, task in enumerate(others):
                _panel(figure.add_subplot(column[place]), task, rows, look)
        figure.legend(handles=_legend(), loc="outside lower center", ncols=4 if others else 2, frameon=False)
        _write(figure, path, mark)


def draw_figure(figure: Panels, path: Path, mark: str) -> None:
    """Write a figure of the report on white."""
    with mpl.rc_context(RC | WHITE):
        canvas = figure.together()
        canvas.set_facecolor("white")
        _write(canvas, path, mark)


def _write(figure: Figure, path: Path, mark: str) -> None:
    write_text(path, shortened(drawing(figure, Identifier=mark)))


def _panel(ax: Axes, task: Setting, rows: pd.DataFrame, look: dict[str, Style]) -> None:
    rows = at(rows, task)
    metric = METRICS[rows["metric"].iloc[0]]
    factor = metric.scale
    names = list(dict.fromkeys(rows["algorithm"]))[::-1]  # the first one on top
    for row in rows.itertuples():
        y = names.index(row.algorithm) + _OFFSETS[row.mode]
        colour = look[row.algorithm].colour
        face = colour if row.mode == "inductive" else "white"
        ax.plot([factor * row.low, factor * row.high], [y, y], color=colour, lw=2.5, alpha=0.7)
        ax.plot(factor * row.mean, y, "o", color=colour, mfc=face, mew=1.5, ms=5.5)
        faint = FAINT if row.apart else 1.0
        ax.plot(factor * row.published, y, "|", color=INK, ms=9, mew=1.8, alpha=faint)
    ax.set_title(task.label)
    ax.set_yticks(np.arange(len(names)), [look[name].title for name in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(metric.axis)


def _legend() -> list[Line2D]:
    measured = {"color": INK, "marker": "o", "ms": 6, "mew": 1.5, "lw": 2.5}
    mark = {"color": INK, "marker": "|", "ms": 11, "mew": 1.8, "lw": 0}
    return [
        Line2D([], [], label="measured, inductive", **measured),
        Line2D([], [], label="measured, transductive", mfc="white", **measured),
        Line2D([], [], label="published", **mark),
        Line2D([], [], label="published, other network", alpha=FAINT, **mark),
    ]
