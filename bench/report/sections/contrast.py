"""The figure of the front: learners of all families in one panel per shift, and their loss, paired, below."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

from bench.report.axes import (
    CHANGE,
    VALUE,
    Measure,
    chance_line,
    curves,
    end_labels,
    interval_note,
    label_margin,
    scale_of,
    short_title,
)
from bench.report.figure import Figure, Panel
from bench.report.numbers import listed, number, reach
from bench.report.style import INK, Style, only_in
from bench.report.summary import SCOPES, Summary
from bench.results.metrics import METRICS
from bench.results.setting import Setting, at, settings
from tasks.shift_table import SHIFTS

ID, TITLE, ORDER, WITHIN = "contrast", "When the new task is unlike", 11, "result"
LEARNERS = (("maml",), ("fomaml", "reptile"), ("protonet",), ("snail",), ("metanet",), ("lstm",))
"""Learners of the figure; of each group, the first that the study has. A study of no more learners shows all of its own."""
SHOWN = 3
"""Shifts of the figure at most."""
LOSS = "change, points"
CAPTION = (
    "Accuracy against the severity of a shift, and below it the change against the clean task (severity 0), paired by seed "
    "and episode; {scope}, each learner in the mode of its paper. {{seeds}}, {{shift_episodes}} per condition and seed. "
    "{intervals} The dotted line is chance.{more}"
)


def chosen(algorithms: list[str]) -> list[str]:
    """Return the learners of the figure: all of a small study, else those of `LEARNERS`, else the first ones."""
    if len(algorithms) <= len(LEARNERS):
        return algorithms
    found = [next((name for name in group if name in algorithms), None) for group in LEARNERS]
    return [name for name in found if name] or algorithms[: len(LEARNERS)]


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting of classification: a panel per shift, and one for the loss below each."""
    found = []
    rows = summary.severities[summary.severities["scope"].eq(summary.scope)]
    for setting in settings(rows):
        part = at(rows, setting)
        styles = only_in(part, summary.styles)
        styles = {name: styles[name] for name in chosen(list(styles))}
        found.append(_figure(part, setting, styles, summary))
    return found


def _figure(rows: pd.DataFrame, setting: Setting, styles: dict[str, Style], summary: Summary) -> Figure:
    rows = rows[rows["algorithm"].isin(styles)].assign(chance=1 / setting.way)
    tested = [shift for shift in SHIFTS if shift in set(rows["shift"])]
    panels = [
        _panel(rows[rows["shift"].eq(shift)], rows, setting, styles, measure)
        for measure in (VALUE, CHANGE)
        for shift in tested[:SHOWN]
    ]
    more = f" All {len(tested)} shifts are under Out of distribution." if len(tested) > SHOWN else ""
    intervals = interval_note(rows, len(styles))
    caption = CAPTION.format(scope=SCOPES[summary.scope], intervals=intervals, more=more)
    name, columns = f"contrast-{setting.slug}", min(len(tested), SHOWN)
    title = f"{setting.label}, {SCOPES[summary.scope]}"
    in_page = summary.in_page(setting)
    return Figure(name, title, panels, styles, columns, caption=caption, fold=True, in_page=in_page)


def _panel(
    rows: pd.DataFrame, every: pd.DataFrame, setting: Setting, styles: dict[str, Style], measure: Measure
) -> Panel:
    shift, rows = rows["shift"].iloc[0], rows.sort_values("severity")
    title = SHIFTS[shift].title
    if measure is CHANGE:
        title += ", change"
    named = label_margin(short_title(style.title) for style in styles.values())
    panel = partial(
        Panel,
        title,
        _alt(rows, setting, title, measure),
        width=2.7 + named,
        height=2.2,
        left=0.52,
        right=named,
    )
    height = panel(draw=None).axes_height
    draw = partial(
        _draw, rows=rows, styles=styles, limits=_limits(every, measure), measure=measure, height=height
    )
    return panel(draw=draw)


def _limits(rows: pd.DataFrame, measure: Measure) -> tuple[float, float]:
    """Return the common limits of a row of panels: of means and seeds, for intervals of few seeds reach far beyond."""
    scale = scale_of(rows)
    seeds = [scale * float(value) for values in rows[measure.seeds] for value in str(values).split()]
    low, high = min(seeds), max(seeds)
    low = min(low, 100 * rows["chance"].min()) if measure is VALUE else low
    margin = 0.06 * (high - low) + 0.5
    return low - margin, high + margin


def _alt(rows: pd.DataFrame, setting: Setting, title: str, measure: Measure) -> str:
    """Say the value at the highest severity, with its interval, of each learner."""
    last = rows[rows["severity"].eq(rows["severity"].max())]
    said = []
    for row in last.to_dict("records"):
        value, low, high = (row[column] for column in measure[:3])
        sign = measure is CHANGE
        said.append(f"{row['title']} {number(value, sign=sign)} ({reach(low, high, sign=sign)})")
    severities = listed(str(n) for n in sorted(rows["severity"].unique()))
    return f"{setting.label}, {title}, severities {severities}; at the highest: {'; '.join(said)}."


def _draw(
    ax: Axes,
    rows: pd.DataFrame,
    styles: dict[str, Style],
    limits: tuple[float, float],
    measure: Measure,
    height: float,
) -> None:
    curves(ax, rows, "severity", styles, measure)
    ax.set_xlabel("severity")
    ax.xaxis.set_major_locator(FixedLocator(sorted(rows["severity"].unique())))
    if measure is VALUE:
        chance_line(ax, rows, "y")
        ax.set_ylabel(METRICS[rows["metric"].iloc[0]].axis)
    else:
        ax.axhline(0, color=INK, lw=0.8, alpha=0.5)
        ax.set_ylabel(LOSS)
    ax.set_ylim(limits)
    last = rows[rows["severity"].eq(rows["severity"].max())].set_index("algorithm")
    end_labels(ax, (scale_of(rows) * last[measure.mean]).to_dict(), last["severity"].max(), styles, height)
