"""What the report's drawings share: bands, dots, chance, logarithmic axes, and thin lines behind a panel's own."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

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

SEEDS_FOR_INTERVAL = 3
"""Seeds at least for an interval over seeds and episodes to be drawn: with two, Student's t reaches 12.7 deviations."""
MOST_BANDS = 4
"""The largest number of bands in a panel that leaves the curves visible."""


class Measure(NamedTuple):
    """Columns of a measure: mean, ends of its interval, means of single seeds, and half the interval over episodes."""

    mean: str
    low: str
    high: str
    seeds: str
    half_width: str


VALUE = Measure("mean", "low", "high", "seed_means", "episode_half_width")
CHANGE = Measure("change", "change_low", "change_high", "seed_changes", "change_half_width")


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


def curve(
    ax: Axes,
    rows: pd.DataFrame,
    x: str,
    style: Style,
    algorithm: str,
    y: Measure = VALUE,
    banded: bool = True,
) -> None:
    """Draw the mean of one algorithm against column x, with its interval.

    Of fewer than `SEEDS_FOR_INTERVAL` seeds, each is a point, and bars show the interval over episodes. Otherwise the
    interval over both levels is a band, or a bar where bands would cover one another.
    """
    scale, named = scale_of(rows), {"color": style.colour, "gid": gid(algorithm)}
    mean, ends = scale * rows[y.mean], (scale * rows[y.low], scale * rows[y.high])
    few = y.seeds in rows and rows["n_seeds"].max() < SEEDS_FOR_INTERVAL
    if few:
        points = [
            (at, scale * float(value))
            for at, values in zip(rows[x], rows[y.seeds], strict=True)
            for value in str(values).split()
        ]
        ax.plot(*zip(*points, strict=True), ".", ms=3.6, alpha=0.7, mew=0, zorder=1.9, **named)
        half = scale * rows[y.half_width]
        ends = mean - half, mean + half
    if few or not banded:
        ax.vlines(rows[x], *ends, lw=1, alpha=0.45, **named)
    band(ax, rows[x], mean, ends if banded and not few else None, style, algorithm)


def curves(ax: Axes, rows: pd.DataFrame, x: str, styles: dict[str, Style], y: Measure = VALUE) -> None:
    """Draw a curve per styled algorithm, before thin lines of all others."""
    others_behind(ax, rows, x, styles, y)
    present = [algorithm for algorithm in styles if algorithm in set(rows["algorithm"])]
    for algorithm in present:
        part = rows[rows["algorithm"].eq(algorithm)]
        curve(ax, part, x, styles[algorithm], algorithm, y, banded=len(present) <= MOST_BANDS)


def interval_note(rows: pd.DataFrame, most: int) -> str:
    """Return the sentence of a caption that says how `curves` draws intervals. most: curves in a panel."""
    if rows["n_seeds"].max() < SEEDS_FOR_INTERVAL:
        return "Points are seeds, and bars 95 % intervals over episodes: two seeds say too little for an interval over both."
    drawn = "Bands" if most <= MOST_BANDS else "Bars"
    return f"{drawn} are 95 % intervals over seeds and episodes."


def end_labels(ax: Axes, ends: dict[str, float], x: float, styles: dict[str, Style], height: float) -> None:
    """Name curves at their ends: `ends` is the last value by algorithm. height: of the axes, in points.

    Names that would overlap are moved apart. Call it after the limits are set.
    """
    low, high = ax.get_ylim()
    gap = 8.6 * (high - low) / height
    order = sorted(ends, key=lambda algorithm: ends[algorithm])
    heights = np.array([ends[algorithm] for algorithm in order])
    for _ in range(200):  # relax: push neighbours apart evenly, within the axes
        close = np.maximum(gap - np.diff(heights), 0) / 2
        heights[:-1] -= close
        heights[1:] += close
        heights = np.clip(heights, low + gap / 2, max(high - gap / 2, low + gap / 2))
    for algorithm, y in zip(order, heights, strict=True):
        style = styles[algorithm]
        text = {
            "color": style.colour,
            "va": "center",
            "fontsize": 8.2,
            "clip_on": False,
            "gid": gid(algorithm),
        }
        ax.annotate(
            short_title(style.title),
            (x, y),
            (6, 0),
            textcoords="offset points",
            annotation_clip=False,
            **text,
        )


def short_title(title: str) -> str:
    """Return a title without what stands in brackets: `LSTM (black box)` -> `LSTM`."""
    return title.split(" (")[0]


def others_behind(ax: Axes, rows: pd.DataFrame, x: str, styles: dict[str, Style], y: Measure = VALUE) -> None:
    """Draw the algorithms without a style as thin lines to compare with: mean against column x.

    They are one line with gaps, not twenty: a page has thousands of them. A legend's choice fades it, as it belongs to none.
    """
    others = [part[[x, y.mean]] for _, part in rows[~rows["algorithm"].isin(styles)].groupby("algorithm")]
    if others:
        gap = pd.DataFrame({x: [np.nan], y.mean: [np.nan]})
        line = pd.concat([piece for part in others for piece in (part, gap)])
        ax.plot(line[x], scale_of(rows) * line[y.mean], gid=gid(""), **BEHIND)


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
