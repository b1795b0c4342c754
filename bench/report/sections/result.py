"""The result in words, and the headline figure: accuracy in distribution and under the hardest shifts."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import dot, gid, is_error, label_margin, measure_axis, named_rows, scale_of
from bench.report.figure import Figure, Panel
from bench.report.numbers import SIGNIFICANT, listed, number, reach
from bench.report.style import Style, by_family
from bench.report.summary import Summary, hardest
from bench.results.condition import clean
from bench.results.metrics import METRICS
from bench.results.setting import at, settings

ID, TITLE, ORDER = "result", "Result", 10
NOTHING = 'No run has a result yet; see <a href="#missing">missing and failed</a>.'
CAPTION = (
    "Filled marks: accuracy on new tasks of the kind the learner was trained for, with its 95 % interval. Open marks: "
    "mean over all shifts at their highest severity; the line beside it reaches to the clean task on the same episodes, so "
    "that its length is the loss. A short line is a learner that keeps what it has learned. The dotted line is chance. Every algorithm is evaluated in the mode of its paper. Intervals are 95 % over "
    "both levels, trainings and tasks ({seeds} and {episodes} in distribution): Student's t for what differs between "
    "seeds, a bootstrap for what all seeds share on the same episodes."
)
SETTINGS_TOLD = 6
TIED_NAMED = 5  # with few seeds and many learners, the list would name almost all of them


def figures(summary: Summary) -> list[Figure]:
    """Return one figure: in distribution (filled, interval) and under the hardest shifts (open), a panel per setting."""
    panels = []
    for setting in settings(summary.own):
        rows = at(summary.own, setting)
        worst = hardest(rows, summary.scope) if summary.scope else pd.Series(dtype=float)
        start = summary.unshifted(setting).set_index("algorithm")["mean"]
        rows = rows[clean(rows)]
        rows = by_family(rows.sort_values("mean", ascending=is_error(rows)))[::-1]
        said = [_said(row, worst.get(row.algorithm)) for row in rows[::-1].itertuples()]
        draw = partial(_draw, rows=rows, worst=worst, start=start, styles=summary.styles)
        size = (4.8, 0.75 + 0.25 * len(rows), label_margin(rows["title"]))
        panels.append(Panel(setting.label, f"{setting.label}: {'; '.join(said)}.", draw, *size))
    title = "In and out of distribution"
    return [Figure("headline", title, panels, columns=2, caption=CAPTION, wide=True)] if panels else []


def _said(row, worst: float | None) -> str:
    shifted = "" if worst is None else f", under the hardest shifts {number(worst, row.metric)}"
    return f"{row.title} {number(row.mean, row.metric)} ({reach(row.low, row.high, row.metric)}){shifted}"


def _draw(ax: Axes, rows: pd.DataFrame, worst: pd.Series, start: pd.Series, styles: dict[str, Style]) -> None:
    scale = scale_of(rows)
    for y, row in enumerate(rows.itertuples()):
        style, name = styles[row.algorithm], gid(row.algorithm)
        hard = worst.get(row.algorithm)
        if hard is not None:
            ends = [scale * hard, scale * start[row.algorithm]]
            ax.plot(ends, [y, y], color=style.colour, lw=1.2, alpha=0.45, gid=name)
            ax.plot(scale * hard, y, style.marker, mec=style.colour, mfc="none", mew=1.4, ms=6.5, gid=name)
        dot(ax, y, [scale * row.low, scale * row.high], scale * row.mean, style, row.algorithm)
    named_rows(ax, rows["title"])
    measure_axis(ax, rows, "x")


def facts(summary: Summary) -> dict[str, list[tuple[str, str]]]:
    """Return the result in words, (setting, text): the best, those it cannot be told from, the falls under shift."""
    told, own = [], summary.own
    for setting in settings(own)[:SETTINGS_TOLD]:
        rows = at(own, setting)
        rising = is_error(rows)
        unshifted = rows[clean(rows)]
        competing = ~unshifted["yardstick"]
        unshifted = unshifted[competing] if competing.any() else unshifted
        unshifted = unshifted.sort_values("mean", ascending=rising)
        text = _best(unshifted, at(summary.comparisons, setting))
        worst = hardest(rows, summary.scope) if summary.scope else []
        if len(worst) > 1:
            start = summary.unshifted(setting).set_index("algorithm")["mean"]
            text += _falls(unshifted, worst.sort_values(ascending=rising), start)
        told.append((setting.label, text))
    return {"findings": told}


def _best(rows: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    first, metric = rows.iloc[0], rows["metric"].iloc[0]
    unit = f" {METRICS[metric].unit}".rstrip()
    pairs = comparisons[clean(comparisons) & ~comparisons["p_holm"].lt(SIGNIFICANT)]
    pairs = zip(pairs["algorithm_a"], pairs["algorithm_b"], strict=True)
    close = {b if a == first["algorithm"] else a for a, b in pairs if first["algorithm"] in (a, b)}
    titles = rows.loc[rows["algorithm"].isin(close), "title"]
    tied = ""
    if len(titles):
        who = listed(titles) if len(titles) <= TIED_NAMED else f"{len(titles)} of {len(rows) - 1} others"
        tied = f"; {who} cannot be told from it"
    interval = f"95 % interval {reach(first['low'], first['high'], metric)}"
    return f"Best: {first['title']}, {number(first['mean'], metric)}{unit} ({interval}){tied}."


def _falls(rows: pd.DataFrame, worst: pd.Series, start: pd.Series) -> str:
    """Say how far the trained learner that ends highest and the one that ends lowest fall, on the same episodes."""
    metric = rows["metric"].iloc[0]
    trained = rows[rows["family"].ne("baseline")].set_index("algorithm")
    worst = worst[worst.index.isin(trained.index)]
    ends = dict.fromkeys([*worst.index[:1], *worst.index[-1:]])
    said = [
        f"{rank} {trained.loc[a, 'title']}, {number(worst[a], metric)} (from {number(start[a], metric)})"
        for rank, a in zip(("best", "last"), ends, strict=False)
    ]
    return f" Mean over the shifts at their highest severity: {'; '.join(said)}." if said else ""
