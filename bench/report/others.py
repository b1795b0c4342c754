"""Tasks unlike those of meta-training in the report: curves over shots, ways and gradient steps; a table of the rest."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from bench.report.contents import EMPTY, anchor
from bench.report.figures import MEASURES, chance_line, factor, log_axis, others_behind, own_task
from bench.report.style import (
    Look,
    Setting,
    abreast,
    at,
    casts,
    dataset_label,
    drawn,
    family_order,
    listed,
    number,
    settings,
)
from bench.report.svg import INK, Figure, Panel
from bench.report.table import Cell, Column, Row, Table
from bench.results.condition import STANDARD
from bench.results.published import load_published

CURVES = {
    "test_shot": "examples per class at test",
    "test_way": "classes at test",
    "test_steps": "gradient steps at test",
}
TASKS = {
    "alphabet": "Within one alphabet",
    "lake": "Lake's 20 runs (20-way)",
    "prototypes": "Own features, nearest class mean",
    "untrained": "Before meta-training",
    "training": "Training classes",
    "training_permuted": "Training classes, support labels moved",
}

KIND = ["test_tasks", "test_steps"]


def unshifted(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[cells["shift"].eq("none") & cells["reported"] & cells["metric"].isin(MEASURES)]


def other_figures(cells: pd.DataFrame, looks: dict[str, Look]) -> list[Figure]:
    """One figure per setting with a panel for each of `CURVES` that the study has."""
    cells, figures = unshifted(cells), []
    for setting in settings(cells):
        rows = at(cells, setting)
        used = drawn(looks, rows)
        groups = casts(used)
        panels = [panel for column in CURVES for panel in _panels(setting, rows, column, groups)]
        if panels:
            figures.append(Figure(f"other-{setting.slug}", setting.label, panels, used, abreast(groups, 3)))
    return figures


def _panels(
    setting: Setting, rows: pd.DataFrame, column: str, groups: list[tuple[str, dict[str, Look]]]
) -> list[Panel]:
    """Curves over one column, the others as trained; none where nothing else than the own value was tested."""
    own = {"test_way": setting.way, "test_shot": setting.shot, "test_steps": -1}
    rows = rows[rows["test_tasks"].eq(STANDARD)]
    for other, value in own.items():
        if other != column:
            rows = rows[rows[other].eq(value)]
    if column == "test_steps":  # -1, the learner's own number, has no place on the axis
        rows = rows[rows[column].ge(0)]
    rows = rows[rows.groupby("algorithm")[column].transform("nunique").gt(1)].sort_values(column)
    panels, printed = [], _printed(setting) if column == "test_steps" else {}
    for ending, cast in groups:
        mine = rows[rows["algorithm"].isin(cast)]
        if len(mine):
            draw = partial(_draw, rows=rows, column=column, looks=cast, printed=printed)
            alt = _alt(setting, mine, column)
            panels.append(Panel(CURVES[column].capitalize() + ending, alt, draw, 3.6, 2.8))
    return panels


def _alt(setting: Setting, rows: pd.DataFrame, column: str) -> str:
    said = [
        f"{name} {number(part['mean'].iloc[0], part['metric'].iloc[0])} at {part[column].iloc[0]}, "
        f"{number(part['mean'].iloc[-1], part['metric'].iloc[0])} at {part[column].iloc[-1]}"
        for name, part in rows.groupby("title", sort=False)
    ]
    return f"{setting.label}, against {CURVES[column]}: {'; '.join(said)}."


def _printed(setting: Setting) -> dict[int, float]:
    """Errors by number of steps, as the MAML paper prints them for regression."""
    rows = load_published()
    rows = at(rows[rows["algorithm"].eq("maml") & rows["metric"].eq("mse")], setting)
    counts = rows["variant"].str.extract(r"^(\d+) gradient", expand=False)
    return {int(n): value for n, value in zip(counts, rows["accuracy"], strict=True) if pd.notna(n)}


def _draw(
    ax: Axes, rows: pd.DataFrame, column: str, looks: dict[str, Look], printed: dict[int, float]
) -> None:
    scale = factor(rows)
    others_behind(ax, rows, column, looks)
    for algorithm, look in looks.items():
        part = rows[rows["algorithm"].eq(algorithm)]
        x, gid = part[column], f"series-{algorithm}"
        ax.fill_between(
            x, scale * part["low"], scale * part["high"], color=look.colour, alpha=0.16, lw=0, gid=gid
        )
        ax.plot(x, scale * part["mean"], color=look.colour, ls=look.line, marker=look.marker, gid=gid)
    ax.plot(list(printed), list(printed.values()), "x", color=INK, ms=7, mew=1.6)
    ax.set_xscale("symlog", linthresh=1) if column == "test_steps" else ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted(rows[column].unique())))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(CURVES[column])
    ax.set_ylabel(MEASURES[rows["metric"].iloc[0]])
    if rows["metric"].iloc[0] == "mse":
        log_axis(ax, "y")
    elif column == "test_way":
        chance = rows.drop_duplicates(column)
        ax.plot(chance[column], 100 * chance["chance"], color=INK, lw=1, ls=(0, (1, 2)), alpha=0.8)
    else:
        chance_line(ax, rows, "y")


def other_table(cells: pd.DataFrame) -> Table | None:
    """Tasks as trained beside those within one alphabet, Lake's runs and other data sets; one row per learner."""
    cells = unshifted(cells)
    others = cells[cells["test_tasks"].ne(STANDARD)]
    kinds = list(dict.fromkeys(zip(others["test_tasks"], others["test_steps"], strict=True)))
    if not kinds:
        return None
    columns = [Column(c, numeric=False) for c in ("Setting", "Algorithm")] + [Column("As trained")]
    columns += [Column(_title(*kind)) for kind in kinds]
    table = Table("other-tasks", "Other tasks", columns)
    for setting in settings(cells):
        rows = at(cells, setting)
        rows = rows.assign(order=rows["family"].map(family_order)).sort_values("order", kind="stable")
        own = own_task(rows)
        for algorithm, part in rows.groupby("algorithm", sort=False):
            first, clean = part.iloc[0], own[own["algorithm"].eq(algorithm)]
            found = [clean, *(part[part[KIND].eq(kind).all(axis=1)] for kind in kinds)]
            title = Cell(first["title"], first["title"], link=f"#{anchor(setting, algorithm)}")
            values = [_value(rows) for rows in found]
            table.rows.append(Row([Cell(setting.label, setting.label), title, *values], first["family"]))
    return table


def _title(tasks: str, steps: int) -> str:
    title = TASKS.get(tasks, f"On {dataset_label(tasks)}")
    return title if steps < 0 else f"{title}, {steps} steps"


def _value(rows: pd.DataFrame) -> Cell:
    if rows.empty:
        return EMPTY
    row = rows.iloc[0]
    low, high = (number(row[key], row["metric"]) for key in ("low", "high"))
    text = f"{number(row['mean'], row['metric'])} ± {number((row['high'] - row['low']) / 2, row['metric'])}"
    seeds = listed([f"{row['n_seeds']} seeds", f"{row['n_episodes']} episodes each"])
    return Cell(text, row["mean"], note=f"95 % interval {low} to {high}; {seeds}")
