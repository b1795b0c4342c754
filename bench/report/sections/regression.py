"""What only regression has: error by steps, likelihood and coverage of intervals, and the fitted curves."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import band
from bench.report.figure import Figure, Panel
from bench.report.numbers import diverged_of, plus_minus, reach
from bench.report.style import INK, Style, by_family
from bench.report.summary import Summary
from bench.report.table import EMPTY, Cell, Column, Row, Table, text_columns, words
from bench.results.episode_interval import NORMAL_95
from bench.results.metrics import METRICS, further, main_metric
from bench.results.run_folder import read_run
from bench.results.setting import Setting, at, settings

ID, TITLE, ORDER, WITHIN = "regression", "Regression", 21, "table"
CAPTION = (
    "Mean and half the 95 % interval, on the same episodes for every learner: the error after a number of gradient steps, "
    "then by each learner's own procedure. A task on which a learner diverges, with an error of at least twice the mean square "
    "of the largest function, is left out of its mean and counted under Diverged: tasks in range of all seeds. "
    "Likelihood and coverage (in %) belong to learners that predict a distribution: an interval that "
    "is called 95 % should hold 95 % of the targets."
)
FITS = (
    "The first test episode, the same for every learner: its support points, the true curve (dashed), and the prediction "
    "of each learner's first seed, with a 95 % band where it predicts one. A curve that leaves the panel is far off."
)
STEPS_SHOWN = (1, 5, 10)
"""Numbers of steps in the table, those of the MAML paper; the curves over all of them are under Other tasks."""
RANGES = {
    "none": "in range",
    "amplitude": "larger amplitude",
    "phase": "other phase",
    "coefficients": "larger coefficients",
}
ERROR = main_metric("regression")
MEASURES = (ERROR, *further("regression"))


def tables(summary: Summary) -> list[Table]:
    """Return one row per setting and algorithm: error by steps and out of range, likelihood, coverage."""
    rows = _regression(summary.cells)
    tried = [steps for steps in STEPS_SHOWN if steps in set(rows["test_steps"])]
    by_steps = [(f"{n} steps" if n > 1 else "1 step", ERROR, "none", n) for n in tried]
    own = [(label, metric, shift, -1) for metric in MEASURES for shift, label in RANGES.items()]
    wanted = [key for key in [*by_steps, *own] if len(_picked(rows, *key[1:]))]
    columns = text_columns("Setting", "Algorithm")
    columns += [Column(label, METRICS[metric].label.capitalize()) for label, metric, *_ in wanted]
    columns.append(Column("Diverged"))
    table = Table("regression", "Regression", columns, caption=CAPTION)
    for setting in settings(rows):
        learners = at(rows, setting)[["algorithm", "title", "family"]].drop_duplicates("algorithm")
        for learner in by_family(learners.sort_values("title")).itertuples():
            part = at(rows, setting)
            part = part[part["algorithm"].eq(learner.algorithm)]
            values = [_value(_picked(part, *key[1:]), key[1]) for key in wanted]
            values.append(_diverged(_picked(part, ERROR, "none", -1)))
            table.rows.append(Row([*words(setting.label, learner.title), *values], learner.family))
    return [table]


def _regression(cells: pd.DataFrame) -> pd.DataFrame:
    regression = cells.groupby("dataset")["metric"].transform(lambda metrics: ERROR in set(metrics))
    return cells[regression.astype(bool) & cells["metric"].isin(MEASURES) & cells["reported"]]


def _picked(rows: pd.DataFrame, metric: str, shift: str, steps: int) -> pd.DataFrame:
    return rows[rows["metric"].eq(metric) & rows["shift"].eq(shift) & rows["test_steps"].eq(steps)]


def _value(rows: pd.DataFrame, metric: str) -> Cell:
    if rows.empty:
        return EMPTY
    row = rows.iloc[0]
    note = f"95 % interval {reach(row['low'], row['high'], metric)}"
    note += f"; {diverged_of(row)} diverged and are left out" if row["n_diverged"] else ""
    return Cell(plus_minus(row["mean"], row["low"], row["high"], metric), row["mean"], note=note)


def _diverged(rows: pd.DataFrame) -> Cell:
    """Return `1 of 3,000`: the tasks in range on which the learner diverged."""
    return EMPTY if rows.empty else Cell(diverged_of(rows.iloc[0]), rows.iloc[0]["n_diverged"])


def figures(summary: Summary) -> list[Figure]:
    """Return each learner's curve for the first test episode, in range and out of it; a figure per setting and range."""
    panels: dict[tuple[Setting, str], list[Panel]] = {}
    first = summary.study.settings.seeds[0]
    for run in summary.study.runs():
        result = read_run(run.folder)
        style = summary.styles.get(result.run["algorithm"]) if result.run else None
        if run.seed != first or not result.tested or style is None:
            continue
        for shift, fit in result.test.get("fits", {}).items():
            panel = Panel(
                style.title, _alt(style.title, fit), partial(_draw, fit=fit, style=style), 3.1, 2.3, 0.45
            )
            panels.setdefault((Setting(run.dataset, run.way, run.shot), shift), []).append(panel)
    return [
        Figure(
            f"fits-{setting.slug}-{shift}",
            f"Fitted curves, {setting.label}, {RANGES[shift]}",
            found,
            caption=FITS,
            fold=True,
        )
        for (setting, shift), found in panels.items()
    ]


def _alt(title: str, fit: dict) -> str:
    error, band = np.square(np.subtract(fit["mean"], fit["truth"])).mean(), ""
    if fit["deviation"] is not None:
        band = f", 95 % band ± {NORMAL_95 * np.mean(fit['deviation']):.2f} on average"
    return f"{title}: mean squared error {error:.3f} along the curve{band}."


def _draw(ax: Axes, fit: dict, style: Style) -> None:
    x, mean, ends = np.array(fit["x"]), np.array(fit["mean"]), None
    if fit["deviation"] is not None:
        half = NORMAL_95 * np.array(fit["deviation"])
        ends = mean - half, mean + half
    ax.plot(x, fit["truth"], color=INK, lw=1.2, ls=(0, (4, 2)))
    band(ax, x, mean, ends, style, lw=2, ls="-", marker="")
    ax.plot(*fit["support"], "o", color=INK, ms=4.5)
    limit = 1.6 * max(map(abs, fit["truth"]))  # the same for every learner; what leaves the panel is far off
    ax.set_ylim(-limit, limit)
    ax.set_xlim(x[0], x[-1])
    ax.set_xlabel("x")
