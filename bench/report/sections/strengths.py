"""Accuracy against the exact strength of each shift, beside what was read from published plots."""

import math
from fractions import Fraction
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

from bench.report.axes import curves, gid, interval_note, limits, measure_axis
from bench.report.figure import Figure, Panel
from bench.report.numbers import number
from bench.report.style import Style, coloured_groups, only_in, panel_columns
from bench.report.summary import SCOPES, Summary
from bench.results.condition import exact
from bench.results.published import shift_readings
from bench.results.setting import Setting, at, settings
from tasks.shift_table import SHIFTS

ID, TITLE, ORDER, WITHIN = "strengths", "Exact strengths", 42, "shifts"
CAPTION = (
    "Accuracy over exact strengths, the clean task among them; {{seeds}} and {{shift_episodes}} each. {intervals}{read} "
    "The dotted line is chance."
)
READINGS = (
    " Open marks: what Finn & Levine (2018) drew for MAML, SNAIL and MetaNet, read from "
    "their plots to about 0.1 to 0.8 points (data/finn_levine_2018.csv); an arrow marks a point below their axis. Their "
    "learners had the published budgets: see “Budget” under Cost for ours."
)
READ = Setting("omniglot", 5, 1), "task"
"""Setting and scope of the readings in data/finn_levine_2018.csv."""


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting and scope, with a panel per shift."""
    found = []
    for setting in settings(summary.own[exact(summary.own)]):
        rows = at(summary.own[exact(summary.own)], setting)
        found += _figures(rows, summary.unshifted(setting), setting, summary.styles, summary.in_page(setting))
    return found


def _figures(
    rows: pd.DataFrame, unshifted: pd.DataFrame, setting: Setting, styles: dict[str, Style], in_page: bool
) -> list[Figure]:
    unshifted = unshifted[unshifted["algorithm"].isin(rows["algorithm"])]
    used = only_in(rows, styles)
    groups, found = coloured_groups(used), []
    low, high = limits(pd.concat([unshifted, rows]))
    for scope in [scope for scope in SCOPES if scope in set(rows["scope"])]:
        read = _read(setting, scope, used)
        ends = min([low, *(100 * read["accuracy"] - 3)]), max([high, *(100 * read["accuracy"] + 2)])
        panels = []
        for shift in [shift for shift in SHIFTS if shift in set(rows["shift"])]:
            part = rows[rows["scope"].eq(scope) & rows["shift"].eq(shift)]
            lines = pd.concat([unshifted.assign(value=SHIFTS[shift].identity), part]).sort_values("value")
            title = SHIFTS[shift].title
            for ending, colours in groups:
                theirs = read[read["shift"].eq(shift) & read["algorithm"].isin(colours)]
                draw = partial(_draw, shift=shift, rows=lines, read=theirs, styles=colours, limits=ends)
                mine = lines[lines["algorithm"].isin(colours)]
                alt = _alt(setting, scope, shift, mine, theirs)
                panels.append(Panel(title + ending, alt, draw, 4.6, 3.0, gather=title))
        note = interval_note(rows, max(len(colours) for _, colours in groups))
        caption = CAPTION.format(intervals=note, read=READINGS if len(read) else "")
        title = f"{setting.label}, exact strengths, {SCOPES[scope]}"
        name, columns = f"strengths-{setting.slug}-{scope}", panel_columns(groups, 2)
        found.append(Figure(name, title, panels, used, columns, caption=caption, fold=True, in_page=in_page))
    return found


def _read(setting: Setting, scope: str, styles: dict[str, Style]) -> pd.DataFrame:
    """Return what was read from published plots for this setting, this scope and these algorithms."""
    rows = shift_readings()
    return rows[rows["algorithm"].isin(styles)] if (setting, scope) == READ else rows[:0]


def _amount(shift: str, value: float) -> str:
    """Return a strength as the axis prints it: `−45°`, `2/3`."""
    if SHIFTS[shift].unit == "rad":
        return f"{math.degrees(value):.3g}°".replace("-", "−")
    fraction = Fraction(float(value)).limit_denominator(9)
    return str(fraction) if abs(fraction - value) < 1e-4 else f"{value:g}"


def _alt(setting: Setting, scope: str, shift: str, rows: pd.DataFrame, read: pd.DataFrame) -> str:
    """Say the clean task and the strengths at both ends."""
    told = {rows["value"].min(), SHIFTS[shift].identity, rows["value"].max()}
    rows, read = rows[rows["value"].isin(told)], read[read["value"].isin(told)]
    said = []
    for algorithm, part in rows.groupby("algorithm", sort=False):
        points = [f"{number(row.mean)} at {_amount(shift, row.value)}" for row in part.itertuples()]
        readings = [
            f"{'below ' if row.upper else ''}{number(row.accuracy)} at {_amount(shift, row.value)}"
            for row in read[read["algorithm"].eq(algorithm)].itertuples()
        ]
        theirs = f" (Finn and Levine: {', '.join(readings)})" if readings else ""
        said.append(f"{part['title'].iloc[0]} {', '.join(points)}{theirs}")
    return f"{setting.label}, {SHIFTS[shift].title}, {SCOPES[scope]}: {'; '.join(said)}."


def _draw(
    ax: Axes,
    shift: str,
    rows: pd.DataFrame,
    read: pd.DataFrame,
    styles: dict[str, Style],
    limits: tuple[float, float],
) -> None:
    unit = SHIFTS[shift].unit
    turn = math.degrees(1) if unit == "rad" else 1.0
    curves(ax, rows.assign(x=turn * rows["value"]), "x", styles)
    for algorithm, style in styles.items():
        _draw_readings(ax, read[read["algorithm"].eq(algorithm)], turn, style, algorithm)
    if unit == "x":
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(sorted(rows["value"].unique())))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(shift, value)))
        ax.xaxis.set_minor_locator(NullLocator())
    elif unit == "rad":
        ax.xaxis.set_major_locator(MultipleLocator(15))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(shift, value / turn)))
    ax.set_xlabel({"x": "factor", "rad": "angle"}.get(unit, f"strength, {unit}"))
    measure_axis(ax, rows, "y")
    ax.set_ylim(limits)


def _draw_readings(ax: Axes, read: pd.DataFrame, turn: float, style: Style, algorithm: str) -> None:
    """Draw open marks on a dotted line; an arrow downwards where only a bound is known."""
    marks = {"color": style.colour, "mfc": "none", "mew": 1.3, "gid": gid(algorithm)}
    known, upper = read[~read["upper"]], read[read["upper"]]
    line = {"ls": (0, (1, 1.5)), "lw": 1.1, "ms": 6.5}
    ax.plot(turn * known["value"], 100 * known["accuracy"], style.marker, **line, **marks)
    ax.plot(turn * upper["value"], 100 * upper["accuracy"], marker=r"$\downarrow$", ls="", ms=9, **marks)
