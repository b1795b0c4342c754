"""The README's figure: what was measured, with intervals, beside what was published."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.results import atomic_write
from bench.style import at, looks, settings
from bench.svg import INK, STYLE

# The README has a light and a dark page: the figure brings its own.
WHITE = {"figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white"}
_WIDTH, _ROW = 4.6, 0.36
_OFFSETS = {"inductive": 0.16, "transductive": -0.16}


def draw(rows: pd.DataFrame, path: Path, mark: str) -> None:
    """One panel per task, one line per algorithm; `mark` in the file says which results it shows."""
    tasks = settings(rows)
    columns = min(2, len(tasks))
    lines = -(-len(tasks) // columns)
    most = max(at(rows, task)["algorithm"].nunique() for task in tasks)
    with mpl.rc_context(STYLE | WHITE):
        figure = Figure(figsize=(_WIDTH * columns, lines * (1.1 + _ROW * most) + 0.3), layout="constrained")
        axes = figure.subplots(lines, columns, squeeze=False).ravel()
        for ax, task in zip(axes, tasks, strict=False):
            _panel(ax, at(rows, task))
            ax.set_title(task.label)
        for ax in axes[len(tasks) :]:
            ax.set_axis_off()
        figure.legend(
            handles=_legend(), loc="outside lower center", ncols=3 if columns > 1 else 1, frameon=False
        )
        canvas = FigureCanvasSVG(figure)
        metadata = {"Date": None, "Creator": None, "Identifier": mark}
        atomic_write(path, lambda part: canvas.print_svg(part, metadata=metadata))


def _panel(ax: Axes, rows: pd.DataFrame) -> None:
    factor = 100 if rows["metric"].iloc[0] == "accuracy" else 1
    look = looks(rows)
    names = list(dict.fromkeys(rows["algorithm"]))[::-1]  # the first one on top
    for row in rows.itertuples():
        y = names.index(row.algorithm) + _OFFSETS[row.mode]
        colour = look[row.algorithm].colour
        face = colour if row.mode == "inductive" else "white"
        ax.plot([factor * row.low, factor * row.high], [y, y], color=colour, lw=2.5, alpha=0.7)
        ax.plot(factor * row.mean, y, "o", color=colour, mfc=face, mew=1.5, ms=5.5)
        ax.plot(factor * row.published, y, "|", color=INK, ms=9, mew=1.8)
    ax.set_yticks(np.arange(len(names)), [look[name].title for name in names])
    ax.set_ylim(-0.6, len(names) - 0.4)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("accuracy, %" if factor == 100 else "mean squared error")


def _legend() -> list[Line2D]:
    measured = {"color": INK, "marker": "o", "ms": 6, "mew": 1.5, "lw": 2.5}
    return [
        Line2D([], [], label="measured, inductive", **measured),
        Line2D([], [], label="measured, transductive", mfc="white", **measured),
        Line2D([], [], label="published", color=INK, marker="|", ms=11, mew=1.8, lw=0),
    ]
