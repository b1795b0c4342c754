"""What the report's drawings share: bands, dots, chance, logarithmic axes, and thin lines behind a panel's own."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter

from bench.report.style import INK, LONGEST, Style, drawn
from bench.results.metrics import METRICS

BEHIND = {"color": INK, "lw": 0.8, "alpha": 0.3, "zorder": 1}
"""Curves that have their own panel elsewhere."""
DOTTED = {"color": INK, "lw": 1, "ls": (0, (1, 2)), "alpha": 0.8}
"""Chance, and perfect calibration."""


def gid(algorithm: str) -> str:
    """Return the id of a drawing's parts that belong to an algorithm: the page's legend finds them by it."""
    return f"series-{algorithm}"


def scale_of(rows: pd.DataFrame) -> float:
    """Return the factor from values to printed numbers (accuracy: 100), of the metric that the rows share."""
    return METRICS[rows["metric"].iloc[0]].scale


def is_error(rows: pd.DataFrame) -> bool:
    """Whether less is better in the metric that the rows share."""
    return METRICS[rows["metric"].iloc[0]].better == "low"


def band(
    ax: Axes,
    x: Sequence[float],
    mean: Sequence[float],
    ends: tuple[Sequence[float], Sequence[float]] | None,
    style: Style,
    algorithm: str | None = None,
    **line,
) -> None:
    """Draw a line with the band between `ends` (low, high); without ends the line alone."""
    named = {"gid": gid(algorithm)} if algorithm else {}
    if ends is not None:
        ax.fill_between(x, *ends, color=style.colour, alpha=0.16, lw=0, **named)
    line = {"ls": style.line, "marker": style.marker, **line}
    ax.plot(x, mean, color=style.colour, **named, **line)


def curve(ax: Axes, rows: pd.DataFrame, x: str, style: Style, algorithm: str) -> None:
    """Draw the mean of one algorithm against column x, with the band of its interval."""
    scale = scale_of(rows)
    ends = scale * rows["low"], scale * rows["high"]
    band(ax, rows[x], scale * rows["mean"], ends, style, algorithm)


def curves(ax: Axes, rows: pd.DataFrame, x: str, styles: dict[str, Style]) -> None:
    """Draw a curve per styled algorithm, before thin lines of all others."""
    others_behind(ax, rows, x, styles)
    for algorithm, style in styles.items():
        part = rows[rows["algorithm"].eq(algorithm)]
        if len(part):
            curve(ax, part, x, style, algorithm)


def others_behind(ax: Axes, rows: pd.DataFrame, x: str, styles: dict[str, Style]) -> None:
    """Draw the algorithms without a style as thin lines to compare with: mean against column x.

    They are one line with gaps, not twenty: a page has thousands of them.
    """
    others = [part[[x, "mean"]] for _, part in rows[~rows["algorithm"].isin(styles)].groupby("algorithm")]
    if others:
        gap = pd.DataFrame({x: [np.nan], "mean": [np.nan]})
        line = pd.concat([piece for part in others for piece in (part, gap)])
        ax.plot(line[x], scale_of(rows) * line["mean"], **BEHIND)


def dot(ax: Axes, y: float, ends: Sequence[float], mean: float, style: Style, algorithm: str) -> None:
    """Draw a mark on the horizontal line of its interval, at height y."""
    dot_line(ax, y, ends, style, algorithm)
    ax.plot(mean, y, style.marker, color=style.colour, ms=6.5, gid=gid(algorithm))


def dot_line(ax: Axes, y: float, ends: Sequence[float], style: Style, algorithm: str, alpha=0.8) -> None:
    """Draw the horizontal line of an interval, at height y."""
    ax.plot(ends, [y, y], color=style.colour, lw=3.2, alpha=alpha, gid=gid(algorithm))


def named_rows(ax: Axes, names: Sequence[str], margin: float = 0.7) -> None:
    """Name the heights 0, 1, ... on the vertical axis, which needs no grid then."""
    ax.set_yticks(range(len(names)), [drawn(name) for name in names])
    ax.set_ylim(-margin, len(names) - 1 + margin)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)


def label_margin(labels: Iterable[str]) -> float:
    """Return the inches that the longest of these labels takes beside an axis."""
    return 0.16 + 0.066 * min(LONGEST, max(map(len, labels)))


def measure_margin(rows: pd.DataFrame) -> float:
    """Return the inches that the measure takes beside a vertical axis: errors have more digits."""
    return 0.8 if is_error(rows) else 0.6


def measure_axis(ax: Axes, rows: pd.DataFrame, axis: str) -> None:
    """Label an axis ("x" or "y") with the measure of the rows and draw chance; errors stand on a logarithmic axis.

    Call it after everything is drawn.
    """
    label = METRICS[rows["metric"].iloc[0]].axis
    ax.set_xlabel(label) if axis == "x" else ax.set_ylabel(label)
    chance_line(ax, rows, axis)
    if is_error(rows):
        log_axis(ax, axis)


def chance_line(ax: Axes, rows: pd.DataFrame, axis: str) -> None:
    """Draw chance as a dotted line across an axis, where the measure has one."""
    chance = rows["chance"].iloc[0]
    if np.isfinite(chance):
        line = ax.axvline if axis == "x" else ax.axhline
        line(100 * chance, **DOTTED)


def log_axis(ax: Axes, axis: str) -> None:
    """Set ticks at 1, 2 and 5 of every decade, over many decades at 1 only, as plain numbers.

    Call it after everything is drawn.
    """
    (ax.set_xscale if axis == "x" else ax.set_yscale)("log")
    side = ax.xaxis if axis == "x" else ax.yaxis
    low, high = ax.get_xlim() if axis == "x" else ax.get_ylim()
    side.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 1000 * low else (1,)))
    side.set_major_formatter("{x:g}")
    side.set_minor_formatter(NullFormatter())


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Return the common limits of all panels of a setting, so that panels can be compared by eye."""
    scale = scale_of(rows)
    low, high = scale * rows["low"].min(), scale * rows["high"].max()
    if is_error(rows):  # on a logarithmic axis, which has no zero
        values = pd.concat([rows["low"], rows["mean"]])
        return scale * values[values > 0].min() / 1.3, high * 1.3
    low = min(low, 100 * rows["chance"].min())
    return max(low - 3, 0), min(high + 3, 101)
