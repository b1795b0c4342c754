"""Area under the degradation curve, and its slope: how learners and families keep their accuracy as a shift grows."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import DOTTED, dot, label_margin, named_rows
from bench.report.figure import Figure, Panel
from bench.report.numbers import number, plus_minus, reach
from bench.report.style import COLOURS, Style, by_family
from bench.report.summary import SCOPES, Summary
from bench.report.table import EMPTY, Cell, Column, Row, Table, text_columns, words
from bench.results.setting import at, settings
from tasks.shift_table import SHIFTS

ID, TITLE, ORDER, WITHIN = "degradation", "Area under the degradation curve", 41, "shifts"
CAPTION = (
    "Accuracy averaged along its fall: the area under the curve over severity, from 0 to the highest, divided by its "
    "width and averaged over the shifts, with a 95 % interval over {seeds} and the {shift_episodes} that all severities "
    "share. Open diamonds: mean over the learners of a family. Its interval holds for these learners: "
    "trainings and episodes vary in it, the choice of learners does not. The dotted line is chance."
)
TABLE = (
    "Mean and half the 95 % interval, made as in the figure. Area: accuracy in %, averaged from severity 0 to the highest. "
    "Slope: percentage points per severity, by least squares; the nearer to 0, the flatter. A learner that starts low may "
    "have a flat slope, so read both. Slopes of single shifts are in tables/degradation.csv of the study's results."
)
SHIFTED = {"task": "whole task", "query": "queries only"}


def figures(summary: Summary) -> list[Figure]:
    """Return one figure: the area, mean over the shifts, a panel per setting and scope."""
    rows, panels = summary.degradation, []
    rows = rows[rows["shift"].eq("all")]
    for setting in settings(rows):
        for scope, part in _by_scope(at(rows, setting)):
            part = _ordered(part)
            said = [
                f"{row.title} {number(row.area)} ({reach(row.area_low, row.area_high)})"
                for row in part.itertuples()
            ]
            title = f"{setting.label}, {SHIFTED[scope]}"
            alt = f"Mean accuracy over the severities, {title}: {'; '.join(said)}."
            draw = partial(_draw, rows=part[::-1], chance=1 / setting.way, styles=summary.styles)
            panels.append(Panel(title, alt, draw, 5.0, 0.75 + 0.25 * len(part), label_margin(part["title"])))
    figure = Figure("degradation", TITLE, panels, columns=2, caption=CAPTION, wide=True)
    return [figure] if panels else []


def _by_scope(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    return [(scope, rows[rows["scope"].eq(scope)]) for scope in SCOPES if scope in set(rows["scope"])]


def _ordered(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows by family, its mean first, then by falling area."""
    rows = rows.assign(single=rows["algorithm"].ne(rows["family"]))
    return by_family(rows.sort_values(["single", "area"], ascending=[True, False]))


def _draw(ax: Axes, rows: pd.DataFrame, chance: float, styles: dict[str, Style]) -> None:
    for y, row in enumerate(rows.itertuples()):
        ends = [100 * row.area_low, 100 * row.area_high]
        if row.single:
            dot(ax, y, ends, 100 * row.area, styles[row.algorithm], row.algorithm)
        else:
            colour = COLOURS[row.family][0]
            ax.axhspan(y - 0.5, y + 0.5, color=colour, alpha=0.1, lw=0)
            ax.plot(ends, [y, y], color=colour, lw=1.6)
            ax.plot(100 * row.area, y, "D", mec=colour, mfc="none", mew=1.6, ms=7.5)
    named_rows(ax, rows["title"])
    ax.set_xlabel("mean accuracy over the severities, %")
    ax.axvline(100 * chance, **DOTTED)


def tables(summary: Summary) -> list[Table]:
    """Return a table per setting: area and slope over all shifts, and the area under each; a row per learner and scope."""
    found = []
    for setting in settings(summary.degradation):
        rows = at(summary.degradation, setting)
        shifts = [shift for shift in SHIFTS if shift in set(rows["shift"])]
        columns = text_columns("Algorithm", "Family", "Shifted", minor=("Family",))
        columns += [Column(label, "Mean over the shifts") for label in ("Area", "Slope")]
        columns += [Column(SHIFTS[shift].title, "Area") for shift in shifts]
        caption = "" if found else TABLE
        heading = f"Area and slope, {setting.label}"
        name = f"degradation-{setting.slug}"
        table = Table(name, setting.label, columns, caption=caption, heading=heading, fold=True)
        for scope, part in _by_scope(rows):
            for mean in _ordered(part[part["shift"].eq("all")]).itertuples():
                mine = part[part["algorithm"].eq(mean.algorithm)].set_index("shift")
                values = [_value(mine.loc["all"], "area"), _value(mine.loc["all"], "slope")]
                values += [_value(mine.loc[s], "area") if s in mine.index else EMPTY for s in shifts]
                names = words(mean.title, mean.family, SHIFTED[scope])
                table.rows.append(Row([*names, *values], mean.family))
        found.append(table)
    return found


def _value(row: pd.Series, measure: str) -> Cell:
    value, low, high = (row[key] for key in (measure, f"{measure}_low", f"{measure}_high"))
    return Cell(plus_minus(value, low, high, sign=measure == "slope"), value)
