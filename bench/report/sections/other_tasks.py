"""Tasks unlike those of meta-training: curves over shots, ways and gradient steps; a table of the other tasks."""

from collections.abc import Iterable
from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from bench.report.axes import DOTTED, chance_line, curves, interval_note, is_error, log_axis, measure_margin
from bench.report.figure import Figure, Panel
from bench.report.numbers import listed, number, plus_minus, reach
from bench.report.style import INK, Style, by_family, coloured_groups, only_in, panel_columns
from bench.report.summary import Summary, own_task
from bench.report.table import EMPTY, Cell, Column, Row, Table, algorithm_cell, text_columns, words
from bench.results.condition import OWN_STEPS, STANDARD, clean
from bench.results.metrics import METRICS, main_metric, main_metrics
from bench.results.published import load_published
from bench.results.setting import Setting, at, dataset_label, settings
from bench.study.experiments import declared

ID, TITLE, ORDER = "other", "Other tasks", 50
NOTHING = "This study tests no other ways, shots, steps, alphabets or data sets; see <code>experiments</code> in its file."
CAPTION = (
    "The trained learners on tasks with another number of examples or of classes, or after another number of gradient "
    "steps, than in training. A curve is missing where a learner cannot do it: a head of fixed size "
    "knows no other way, and without an inner loop there are no steps. A step is one of the learner's own: of the whole "
    "network or of its classifier only, on the whole support or on a part of it, by plain descent or Adam. Beyond the "
    "steps of training, MAML++ and SCA repeat the rates and scales of their last one. Dashed: a fresh network trained on "
    "the support alone, the control that shows what meta-training adds."
)
CHANCE, CROSSES = " The dotted line is chance.", " Crosses are the errors printed in the MAML paper."
TABLE = "Mean and half the 95 % interval of the same trained models."
NOTES = {
    "alphabet": "Within one alphabet, classes look more alike.",
    "lake": "On Lake's runs, people err in 4.5 % of cases (95.5 % accuracy).",
    "prototypes": "Own features: the learner's encoder, with the nearest class mean in place of its own classifier.",
    "training": "Training classes carry the labels that fixed-label training gives them: a learner that reads the support "
    "errs on all queries where its labels are moved, and guesses after 0 gradient steps; a learner that knows the labels "
    "by heart does neither.",
    "untrained": "Before meta-training: the network that training starts from; random features are not at chance.",
}
"""What a reader must know of test tasks, by their name."""
OTHER_DATA = "Other data sets were never seen in training."
CURVES = {
    "test_shot": "examples per class at test",
    "test_way": "classes at test",
    "test_steps": "gradient steps at test",
}
KEY = ["test_tasks", "test_steps"]
"""What tells the columns of the table apart."""


def _unshifted(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[clean(cells) & cells["reported"] & cells["metric"].isin(main_metrics())]


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting, with a panel for each of `CURVES` that the study has."""
    cells, found = _unshifted(summary.cells), []
    for setting in settings(cells):
        rows = at(cells, setting)
        drawn = {column: part for column in CURVES if len(part := _over(setting, rows, column))}
        if drawn:
            used = only_in(pd.concat(drawn.values()), summary.styles)
            groups = coloured_groups(used)
            panels = [
                panel for column, part in drawn.items() for panel in _panels(setting, part, column, groups)
            ]
            name, columns = f"other-{setting.slug}", panel_columns(groups, 3)
            note = interval_note(rows, max(len(colours) for _, colours in groups))
            marks = CROSSES if is_error(rows) else CHANCE
            caption = f"{CAPTION}{marks} {note}{_falling(setting, rows)}"
            found.append(Figure(name, setting.label, panels, used, columns, caption=caption, fold=True))
    return found


def _falling(setting: Setting, rows: pd.DataFrame) -> str:
    """Say who is less accurate with the most examples per class than with those of training, the intervals apart."""
    own = {"test_tasks": STANDARD, "test_way": setting.way, "test_steps": OWN_STEPS, "metric": "accuracy"}
    rows = rows[(rows[list(own)] == list(own.values())).all(axis=1)]
    most = rows["test_shot"].max()
    if not most > setting.shot:
        return ""
    before, after = (rows[rows["test_shot"].eq(shot)].set_index("algorithm") for shot in (setting.shot, most))
    titles = [
        after.loc[a, "title"]
        for a in after.index
        if a in before.index and after["high"][a] < before["low"][a]
    ]
    return (
        f" Less accurate with {most} examples per class than with {setting.shot}: {listed(titles)}."
        if titles
        else ""
    )


def _over(setting: Setting, rows: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return what changes over one column, all else as trained; nothing where only the own value was tested."""
    own = {"test_way": setting.way, "test_shot": setting.shot, "test_steps": OWN_STEPS}
    rows = rows[rows["test_tasks"].eq(STANDARD)]
    for other, value in own.items():
        if other != column:
            rows = rows[rows[other].eq(value)]
    if column == "test_steps":  # the learner's own number has no place on the axis
        rows = rows[rows[column].ne(OWN_STEPS)]
    return rows[rows.groupby("algorithm")[column].transform("nunique").gt(1)].sort_values(column)


def _panels(
    setting: Setting, rows: pd.DataFrame, column: str, groups: list[tuple[str, dict[str, Style]]]
) -> list[Panel]:
    """Return the curves over one column, a panel per group of styles."""
    panels, printed = [], _printed(setting) if column == "test_steps" else {}
    for ending, styles in groups:
        mine = rows[rows["algorithm"].isin(styles)]
        if len(mine):
            draw = partial(_draw, rows=rows, column=column, styles=styles, printed=printed)
            title, margin = CURVES[column].capitalize(), measure_margin(rows)
            alt = _alt(setting, mine, column)
            panels.append(Panel(title + ending, alt, draw, 3.6, 2.8, margin, gather=title))
    return panels


def _alt(setting: Setting, rows: pd.DataFrame, column: str) -> str:
    said = [
        f"{name} {number(part['mean'].iloc[0], part['metric'].iloc[0])} at {part[column].iloc[0]}, "
        f"{number(part['mean'].iloc[-1], part['metric'].iloc[0])} at {part[column].iloc[-1]}"
        for name, part in rows.groupby("title", sort=False)
    ]
    return f"{setting.label}, against {CURVES[column]}: {'; '.join(said)}."


def _printed(setting: Setting) -> dict[int, float]:
    """Return the errors by number of steps that the MAML paper prints for regression."""
    rows = load_published()
    rows = at(rows[rows["algorithm"].eq("maml") & rows["metric"].eq(main_metric("regression"))], setting)
    counts = rows["variant"].str.extract(r"^(\d+) gradient", expand=False)
    return {int(n): value for n, value in zip(counts, rows["accuracy"], strict=True) if pd.notna(n)}


def _draw(
    ax: Axes, rows: pd.DataFrame, column: str, styles: dict[str, Style], printed: dict[int, float]
) -> None:
    curves(ax, rows, column, styles)
    ax.plot(list(printed), list(printed.values()), "x", color=INK, ms=7, mew=1.6)
    ax.set_xscale("symlog", linthresh=1) if column == "test_steps" else ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(sorted(rows[column].unique())))
    ax.xaxis.set_major_formatter(ScalarFormatter())
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel(CURVES[column])
    ax.set_ylabel(METRICS[rows["metric"].iloc[0]].axis)
    if is_error(rows):
        log_axis(ax, "y")
    elif column == "test_way":
        chance = rows.drop_duplicates(column)
        ax.plot(chance[column], 100 * chance["chance"], **DOTTED)
    else:
        chance_line(ax, rows, "y")


def tables(summary: Summary) -> list[Table]:
    """Return tasks as trained beside those within one alphabet, Lake's runs and other data sets; a row per learner."""
    cells = _unshifted(summary.cells)
    others = cells[cells["test_tasks"].ne(STANDARD)]
    keys = list(dict.fromkeys(zip(*(others[column] for column in KEY), strict=True)))
    columns = [*text_columns("Setting", "Algorithm"), Column("As trained")]
    columns += [Column(_title(*key)) for key in keys]
    table = Table("other-tasks", "Other tasks", columns, caption=_caption(others["test_tasks"].unique()))
    for setting in settings(cells) if keys else []:
        rows = by_family(at(cells, setting))
        own = own_task(rows)
        for algorithm, part in rows.groupby("algorithm", sort=False):
            first = part.iloc[0]
            found = [own[own["algorithm"].eq(algorithm)]]
            found += [part[part[KEY].eq(key).all(axis=1)] for key in keys]
            names = [*words(setting.label), algorithm_cell(setting, algorithm, first["title"])]
            table.rows.append(Row([*names, *map(_value, found)], first["family"]))
    return [table]


def _caption(tasks: Iterable[str]) -> str:
    """Return what a reader must know of these test tasks; those that no experiment names are of other data sets."""
    tasks = set(tasks)
    notes = [note for name, note in NOTES.items() if name in tasks]
    return " ".join([TABLE, *notes, *([OTHER_DATA] if tasks - set(_titles()) else [])])


def _titles() -> dict[str, str]:
    """Return the titles of test tasks that the experiments declare, by name."""
    return {name: title for one in declared().values() for name, title in one.titles.items()}


def _title(tasks: str, steps: int) -> str:
    """Return the heading of a column: the title that an experiment declares, or the name of a data set."""
    title = _titles().get(tasks, f"On {dataset_label(tasks)}")
    return title if steps == OWN_STEPS else f"{title}, {steps} steps"


def _value(rows: pd.DataFrame) -> Cell:
    if rows.empty:
        return EMPTY
    row = rows.iloc[0]
    values = row["low"], row["high"], row["metric"]
    counts = f"{row['n_seeds']} seeds and {row['n_episodes']} episodes each"
    return Cell(
        plus_minus(row["mean"], *values), row["mean"], note=f"95 % interval {reach(*values)}; {counts}"
    )
