"""What learning costs: accuracy against cost, the table of costs, and when an accuracy was reached."""

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from bench.report.axes import gid, is_error, log_axis, measure_axis, measure_margin, scale_of
from bench.report.figure import Figure, Panel
from bench.report.numbers import duration, listed, number
from bench.report.style import INK, Style, only_in
from bench.report.summary import Summary
from bench.report.table import EMPTY, Cell, Column, Row, Table, algorithm_cell, text_columns, words
from bench.report.training_time import clock, spent, validations
from bench.results.condition import clean
from bench.results.metrics import METRICS
from bench.results.schema import SCORED
from bench.results.setting import Setting, at, settings
from tasks.catalogue import REGRESSION

ID, TITLE, ORDER = "cost", "Cost", 100
NOTHING = "No run has finished yet."
FLOPS = (
    "GFLOP are billions of additions and multiplications in matrix products, convolutions and recurrent layers, counted "
    "as executed, gradients included; element-by-element work (batch norm, activations) and small linear systems are not "
    "counted."
)
CAPTION = (
    "Mean in distribution with its 95 % interval, over {seeds} and {episodes} each, against mean costs over the same "
    "seeds; to the upper left (lower left for errors) is better. The line joins the learners that no other one beats at "
    "their cost or below, judged by the means: intervals may overlap.{told} A cost of 0 means that nothing was trained. "
    "Times of training are those of one thread on a CPU and of the clock on a GPU, and belong to the machines under Runs. "
    f"{FLOPS}"
)
TOLD = " Left out of the line, as told where the tasks come from: {}."
TABLE = (
    "Means over the seeds that finished, on the devices named under Runs. Adaptation: learning one new task at test and "
    "answering its queries; on a CPU, time of one thread. “Budget” is the share of the paper's training tasks that was used. Memory is the largest that "
    "the process (on a GPU: its tensors) held; “since start” leaves out what interpreter and libraries took before any "
    f"data was read. {FLOPS}"
)
REACH = (
    "Tasks and time of training (on a CPU, time of one thread) until the meta-validation accuracy first reached a level, seen only at "
    "validations; means over seeds. Where some seeds never reached it, the mean is over those that did, with their number. Learners that "
    "share a supervised training count its images as tasks and are validated on 5-way 1-shot tasks."
)
LEVELS = (0.6, 0.8, 0.9, 0.95)
"""Meta-validation accuracies whose first time is told, the same in every study."""
COSTS = {
    "training": "seconds of training",
    "adapt_ms_per_task": "ms to adapt to a task",
    "adapt_gflops_per_task": "GFLOP to adapt to a task",
}
FLOOR = "pixel_nn"
"""The one yardstick from below: the others know where the tasks come from, and beat learners at no price."""
GROUPS = {
    "": ("Parameters",),
    "Training": ("Time", "CPU time", "Steps", "Tasks/s", "GFLOP/task", "Budget, %"),
    "Adaptation to a task": ("ms", "GFLOP"),
    "Peak memory, MB": ("Training", "of it since start", "Test"),
}


def tables(summary: Summary) -> list[Table]:
    """Return the table of costs and the table of what was reached when."""
    return [cost_table(summary.runs), reach_table(summary.history, summary.runs)]


def cost_table(runs: pd.DataFrame) -> Table:
    """Return means over the seeds that finished, one row per setting and algorithm."""
    columns = text_columns("Setting", "Algorithm", "Family")
    columns += [Column(label, group) for group, labels in GROUPS.items() for label in labels]
    table, done = Table("cost", "Cost", columns, caption=TABLE), runs[runs["status"].isin(SCORED)]
    for setting in settings(done):
        for algorithm, rows in at(done, setting).groupby("algorithm", sort=False):
            first, mean = rows.iloc[0], rows.mean(numeric_only=True)
            names = [*words(setting.label), algorithm_cell(setting, algorithm, first["title"])]
            names += words(first["family"])
            table.rows.append(Row([*names, *_costs(mean)], first["family"]))
    return table


def _costs(mean: pd.Series) -> list[Cell]:
    def cell(key: str, form: str = ",.0f", value: float | None = None) -> Cell:
        value = mean.get(key, np.nan) if value is None else value
        return Cell(format(value, form), value) if np.isfinite(value) else EMPTY

    def operations(key: str) -> Cell:
        return cell(key, ",.0f" if mean.get(key, np.nan) >= 100 else ".3g")

    times = [Cell(duration(mean[key]), mean[key]) for key in ("seconds", "cpu_seconds")]
    budget = cell("budget_share", ",.1f", 100 * mean.get("budget_share", np.nan))
    training = [cell("steps"), cell("tasks_per_second"), operations("gflops_per_task"), budget]
    adaptation = [cell("adapt_ms_per_task", ",.2f"), operations("adapt_gflops_per_task")]
    peak = mean.get("peak_memory_mb", np.nan)
    own = cell("", value=peak - mean.get("memory_at_start_mb", np.nan))
    memory = [cell("peak_memory_mb"), own, cell("test_memory_mb")]
    return [cell("parameters"), *times, *training, *adaptation, *memory]


def reach_table(history: pd.DataFrame, runs: pd.DataFrame) -> Table:
    """Return tasks and time until a validation first reached each of `LEVELS`; means over the finished seeds."""
    columns = text_columns("Setting", "Algorithm")
    columns += [
        Column(label, f"{100 * level:.0f} % accuracy") for level in LEVELS for label in ("Tasks", "Time")
    ]
    title = "Training to an accuracy"
    table = Table("reach", title, columns, caption=REACH, heading=title)
    lines = validations(history, runs[runs["status"].isin(SCORED) & ~runs["dataset"].isin(REGRESSION)])
    for setting in settings(lines):
        for algorithm, rows in at(lines, setting).groupby("algorithm", sort=False):
            first = rows.iloc[0]
            names = [*words(setting.label), algorithm_cell(setting, algorithm, first["title"])]
            reached = [cell for level in LEVELS for cell in _reached(rows, level)]
            table.rows.append(Row([*names, *reached], first["family"]))
    return table


def first_reached(validations: pd.DataFrame, level: float) -> pd.DataFrame:
    """Return the smallest value of each column at which a validation reached a level, one row per seed that got there."""
    return validations[validations["val_score"].ge(level)].groupby("seed").min(numeric_only=True)


def _reached(rows: pd.DataFrame, level: float) -> list[Cell]:
    """Return tasks and time; where some seeds did not get there, the means are of those that did."""
    firsts = first_reached(rows, level)[["tasks", "time"]]
    seeds, there = rows["seed"].nunique(), len(firsts)
    if not there:
        return [Cell("not reached", note=f"by none of {seeds} seeds"), EMPTY]
    part, note = f" ({there} of {seeds})" if there < seeds else "", f"{there} of {seeds} seeds"
    tasks, time = firsts.mean()
    return [
        Cell(f"{tasks:,.0f}{part}", tasks, note=note),
        Cell(f"{duration(time)}{part}", time, note=note),
    ]


def figures(summary: Summary) -> list[Figure]:
    """Return what was measured in distribution against each of `COSTS`, a panel per cost and a figure per setting."""
    cells, found = summary.own[clean(summary.own)], []
    for setting in settings(cells):
        points, clock = _points(at(cells, setting), at(summary.runs, setting))
        panels = []
        for cost, label in (COSTS | {"training": clock}).items():
            known = points.dropna(subset=[cost])
            if len(known) > 1:
                draw = partial(_draw, points=known, cost=cost, label=label, styles=summary.styles)
                panels.append(
                    Panel(
                        f"against {label}",
                        _alt(setting, known, cost, label),
                        draw,
                        3.6,
                        3.0,
                        measure_margin(known),
                    )
                )
        if panels:
            used, name = only_in(points, summary.styles), f"pareto-{setting.slug}"
            titles = points.loc[_told(points), "title"].unique()
            caption = CAPTION.replace("{told}", TOLD.format(listed(titles)) if len(titles) else "")
            found.append(Figure(name, setting.label, panels, used, caption=caption, fold=True, wide=True))
    return found


def _points(cells: pd.DataFrame, runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Return cells with their mean costs, and how training was timed."""
    runs = runs[runs["status"].isin(SCORED)]
    costs = runs.assign(training=spent(runs)).groupby("algorithm")[list(COSTS)].mean().reset_index()
    return cells.merge(costs, on="algorithm"), clock(runs)


def _told(points: pd.DataFrame) -> pd.Series:
    return points["yardstick"] & points["algorithm"].ne(FLOOR)


def front(points: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Return the rows that no other one beats, by rising cost: whatever is better costs more."""
    error = is_error(points)
    points = points[~_told(points)]
    points = points.sort_values([cost, "mean"], ascending=[True, error], kind="stable")
    quality = -points["mean"] if error else points["mean"]
    return points[quality.gt(quality.cummax().shift(fill_value=-math.inf))]


def _alt(setting: Setting, points: pd.DataFrame, cost: str, label: str) -> str:
    best = front(points, cost)
    said = [f"{r.title} {number(r.mean, r.metric)} at {getattr(r, cost):.3g}" for r in best.itertuples()]
    rest = points.loc[~points["algorithm"].isin(best["algorithm"]), "title"]
    others = f" Beaten at their cost or below: {listed(rest)}." if len(rest) else ""
    measure = METRICS[points["metric"].iloc[0]].axis
    return f"{setting.label}, {measure} against {label}. Beaten by none: {'; '.join(said)}.{others}"


def _draw(ax: Axes, points: pd.DataFrame, cost: str, label: str, styles: dict[str, Style]) -> None:
    scale, best = scale_of(points), front(points, cost)
    ax.plot(best[cost], scale * best["mean"], color=INK, lw=1.2, alpha=0.7, drawstyle="steps-post")
    for row in points.itertuples():
        style, name, x = styles[row.algorithm], gid(row.algorithm), getattr(row, cost)
        ax.plot([x, x], [scale * row.low, scale * row.high], color=style.colour, lw=2, alpha=0.5, gid=name)
        ax.plot(x, scale * row.mean, style.marker, color=style.colour, ms=6.5, gid=name)
    _cost_axis(ax, points[cost])
    ax.set_xlabel(label)
    measure_axis(ax, points, "y")


def _cost_axis(ax: Axes, values: pd.Series) -> None:
    """Make the axis logarithmic; what costs nothing stands at a zero left of the first decade."""
    costs = values[values > 0]
    if len(costs) == len(values) or costs.empty:
        log_axis(ax, "x") if len(costs) else None
        return
    low, high = math.floor(math.log10(costs.min())), math.ceil(math.log10(costs.max()))
    ax.set_xscale("symlog", linthresh=10.0**low, linscale=0.5)
    ax.xaxis.set_major_locator(FixedLocator([0, *(10.0**k for k in range(low, high + 1))]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(-0.3 * 10.0**low, 1.6 * costs.max())
