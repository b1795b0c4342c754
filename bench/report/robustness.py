"""Out of distribution in the report: accuracy over exact strengths, area under the degradation curve, slope."""

import math
from fractions import Fraction
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

from bench.report.curves import limits
from bench.report.figures import MEASURES, SCOPES, chance_line, label_margin, others_behind, own_task
from bench.report.style import (
    COLOURS,
    Look,
    Setting,
    abreast,
    at,
    casts,
    drawn,
    family_order,
    number,
    settings,
)
from bench.report.svg import INK, Figure, Panel
from bench.report.table import Cell, Column, Row, Table
from bench.results.published import shift_readings
from tasks.shift_table import SHIFTS

READ = Setting("omniglot", 5, 1), "task"
"""Setting and scope of the readings in data/finn_levine_2018.csv."""
_SHIFTED = {"task": "whole task", "query": "queries only"}


def strength_figures(cells: pd.DataFrame, looks: dict[str, Look]) -> list[Figure]:
    """Accuracy against exact strength, one panel per shift, a figure per setting and scope."""
    cells, figures = own_task(cells), []
    exact = cells[cells["shift"].ne("none") & cells["severity"].eq(0)]
    for setting in settings(exact):
        rows, clean = at(exact, setting), at(cells[cells["shift"].eq("none")], setting)
        clean = clean[clean["algorithm"].isin(rows["algorithm"])]
        used = drawn(looks, rows)
        low, high = limits(pd.concat([clean, rows]))
        for scope in [scope for scope in SCOPES if scope in set(rows["scope"])]:
            read = _read(setting, scope, used)
            ends = min([low, *(100 * read["accuracy"] - 3)]), max([high, *(100 * read["accuracy"] + 2)])
            panels, groups = [], casts(used)
            for shift in [shift for shift in SHIFTS if shift in set(rows["shift"])]:
                part = rows[rows["scope"].eq(scope) & rows["shift"].eq(shift)]
                curves = pd.concat([clean.assign(value=SHIFTS[shift].identity), part]).sort_values("value")
                for ending, cast in groups:
                    theirs = read[read["shift"].eq(shift) & read["algorithm"].isin(cast)]
                    draw = partial(
                        _draw_strengths, shift=shift, curves=curves, read=theirs, looks=cast, limits=ends
                    )
                    mine = curves[curves["algorithm"].isin(cast)]
                    alt = _strengths_alt(setting, scope, shift, mine, theirs)
                    panels.append(Panel(SHIFTS[shift].title + ending, alt, draw, 4.6, 3.0))
            title = f"{setting.label}, exact strengths, {SCOPES[scope]}"
            figures.append(
                Figure(f"strengths-{setting.slug}-{scope}", title, panels, used, abreast(groups, 2))
            )
    return figures


def _read(setting: Setting, scope: str, looks: dict[str, Look]) -> pd.DataFrame:
    """What was read from published plots for this setting, this scope and these algorithms."""
    rows = shift_readings()
    return rows[rows["algorithm"].isin(looks)] if (setting, scope) == READ else rows[:0]


def _amount(shift: str, value: float) -> str:
    """A strength as the axis prints it: `−45°`, `2/3`."""
    if SHIFTS[shift].unit == "rad":
        return f"{math.degrees(value):.3g}°".replace("-", "−")
    fraction = Fraction(float(value)).limit_denominator(9)
    return str(fraction) if abs(fraction - value) < 1e-4 else f"{value:g}"


def _strengths_alt(setting: Setting, scope: str, shift: str, curves: pd.DataFrame, read: pd.DataFrame) -> str:
    """In words the clean task and the strengths at both ends."""
    told = {curves["value"].min(), SHIFTS[shift].identity, curves["value"].max()}
    curves, read = curves[curves["value"].isin(told)], read[read["value"].isin(told)]
    said = []
    for algorithm, part in curves.groupby("algorithm", sort=False):
        points = [f"{number(row.mean)} at {_amount(shift, row.value)}" for row in part.itertuples()]
        drawn = [
            f"{'below ' if row.upper else ''}{number(row.accuracy)} at {_amount(shift, row.value)}"
            for row in read[read["algorithm"].eq(algorithm)].itertuples()
        ]
        theirs = f" (Finn and Levine: {', '.join(drawn)})" if drawn else ""
        said.append(f"{part['title'].iloc[0]} {', '.join(points)}{theirs}")
    return f"{setting.label}, {SHIFTS[shift].title}, {SCOPES[scope]}: {'; '.join(said)}."


def _draw_strengths(
    ax: Axes,
    shift: str,
    curves: pd.DataFrame,
    read: pd.DataFrame,
    looks: dict[str, Look],
    limits: tuple[float, float],
) -> None:
    unit = SHIFTS[shift].unit
    turn = math.degrees(1) if unit == "rad" else 1.0
    others_behind(ax, curves.assign(x=turn * curves["value"]), "x", looks)
    for algorithm, look in looks.items():
        part, gid = curves[curves["algorithm"].eq(algorithm)], f"series-{algorithm}"
        x = turn * part["value"]
        ax.fill_between(
            x, 100 * part["low"], 100 * part["high"], color=look.colour, alpha=0.16, lw=0, gid=gid
        )
        ax.plot(x, 100 * part["mean"], color=look.colour, marker=look.marker, gid=gid)
        _draw_readings(ax, read[read["algorithm"].eq(algorithm)], turn, look, gid)
    if unit == "x":
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(FixedLocator(sorted(curves["value"].unique())))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(shift, value)))
        ax.xaxis.set_minor_locator(NullLocator())
    elif unit == "rad":
        ax.xaxis.set_major_locator(MultipleLocator(15))
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _amount(shift, value / turn)))
    ax.set_xlabel({"x": "factor", "rad": "angle"}.get(unit, f"strength, {unit}"))
    ax.set_ylabel(MEASURES["accuracy"])
    ax.set_ylim(limits)
    chance_line(ax, curves, "y")


def _draw_readings(ax: Axes, read: pd.DataFrame, turn: float, look: Look, gid: str) -> None:
    """Open marks on a dotted line; an arrow downwards where only a bound is known."""
    style = {"color": look.colour, "mfc": "none", "mew": 1.3, "gid": gid}
    exact, upper = read[~read["upper"]], read[read["upper"]]
    ax.plot(
        turn * exact["value"], 100 * exact["accuracy"], look.marker, ls=(0, (1, 1.5)), lw=1.1, ms=6.5, **style
    )
    ax.plot(turn * upper["value"], 100 * upper["accuracy"], marker=r"$\downarrow$", ls="", ms=9, **style)


def degradation_figures(degradation: pd.DataFrame, looks: dict[str, Look]) -> list[Figure]:
    """One figure: area under the degradation curve, mean over the shifts, a panel per setting and scope."""
    rows, panels = degradation[degradation["shift"].eq("all")], []
    for setting in settings(rows):
        for scope, part in _by_scope(at(rows, setting)):
            part = _ordered(part)
            said = [
                f"{row.title} {number(row.area)} ({number(row.area_low)} to {number(row.area_high)})"
                for row in part.itertuples()
            ]
            title = f"{setting.label}, {_SHIFTED[scope]}"
            draw = partial(_draw_areas, rows=part[::-1], chance=1 / setting.way, looks=looks)
            alt = f"Mean accuracy over the severities, {title}: {'; '.join(said)}."
            panels.append(Panel(title, alt, draw, 5.0, 0.75 + 0.25 * len(part), label_margin(part["title"])))
    return [Figure("degradation", "Area under the degradation curve", panels, columns=2)] if panels else []


def _by_scope(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(scope, rows[rows["scope"].eq(scope)]) for scope in SCOPES if scope in set(rows["scope"])]


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """By family, its mean first, then by falling area."""
    rows = rows.assign(order=rows["family"].map(family_order), single=rows["algorithm"].ne(rows["family"]))
    return rows.sort_values(["order", "single", "area"], ascending=[True, True, False])


def _draw_areas(ax: Axes, rows: pd.DataFrame, chance: float, looks: dict[str, Look]) -> None:
    for y, row in enumerate(rows.itertuples()):
        ends = [100 * row.area_low, 100 * row.area_high]
        if row.single:
            look, gid = looks[row.algorithm], f"series-{row.algorithm}"
            ax.plot(ends, [y, y], color=look.colour, lw=3.2, alpha=0.8, gid=gid)
            ax.plot(100 * row.area, y, look.marker, color=look.colour, ms=6.5, gid=gid)
        else:
            colour = COLOURS[row.family][0]
            ax.axhspan(y - 0.5, y + 0.5, color=colour, alpha=0.1, lw=0)
            ax.plot(ends, [y, y], color=colour, lw=1.6)
            ax.plot(100 * row.area, y, "D", mec=colour, mfc="none", mew=1.6, ms=7.5)
    ax.set_yticks(range(len(rows)), rows["title"])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel("mean accuracy over the severities, %")
    ax.axvline(100 * chance, color=INK, lw=1, ls=(0, (1, 2)), alpha=0.8)


def degradation_tables(degradation: pd.DataFrame) -> list[Table]:
    """A table per setting: area and slope over all shifts, and the area under each shift; a row per learner and scope."""
    tables = []
    for setting in settings(degradation):
        rows = at(degradation, setting)
        shifts = [shift for shift in SHIFTS if shift in set(rows["shift"])]
        columns = [Column("Algorithm", numeric=False), Column("Family", numeric=False, minor=True)]
        columns += [Column("Shifted", numeric=False)]
        columns += [Column(label, "Mean over the shifts") for label in ("Area", "Slope")]
        columns += [Column(SHIFTS[shift].title, "Area") for shift in shifts]
        table = Table(f"degradation-{setting.slug}", setting.label, columns)
        for scope, part in _by_scope(rows):
            for mean in _ordered(part[part["shift"].eq("all")]).itertuples():
                mine = part[part["algorithm"].eq(mean.algorithm)].set_index("shift")
                names = [Cell(word, word) for word in (mean.title, mean.family, _SHIFTED[scope])]
                values = [_cell(mine.loc["all"], "area"), _cell(mine.loc["all"], "slope")]
                values += [
                    _cell(mine.loc[shift], "area") if shift in mine.index else Cell("–") for shift in shifts
                ]
                table.rows.append(Row([*names, *values], mean.family))
        tables.append(table)
    return tables


def _cell(row: pd.Series, measure: str) -> Cell:
    value, low, high = (row[key] for key in (measure, f"{measure}_low", f"{measure}_high"))
    half = number((high - low) / 2)
    return Cell(f"{number(value, sign=measure == 'slope')} ± {half}", value)
