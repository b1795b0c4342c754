"""What learning costs: the table of costs, when an accuracy was reached, accuracy against cost."""

import math
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from bench.report.contents import EMPTY, FINE, anchor
from bench.report.figures import MEASURES, chance_line, factor, log_axis, own_task
from bench.report.style import Look, Setting, at, drawn, duration, listed, number, settings
from bench.report.svg import INK, Figure, Panel
from bench.report.table import Cell, Column, Row, Table
from tasks.catalogue import REGRESSION

LEVELS = (0.6, 0.8, 0.9, 0.95)
"""Meta-validation accuracies whose first time is told, the same in every study."""
COSTS = {
    "training": "seconds of training",
    "adapt_ms_per_task": "ms to adapt to a task",
    "adapt_gflops_per_task": "GFLOP to adapt to a task",
}
FLOOR = "pixel_nn"
"""The one yardstick from below: the others know where the tasks come from, and beat learners at no price."""
_KINDS = {
    "": ("Parameters",),
    "Training": ("Time", "CPU time", "Steps", "Tasks/s", "GFLOP/task", "Budget, %"),
    "Adaptation to a task": ("ms", "GFLOP"),
    "Peak memory, MB": ("Training", "of it since start", "Test"),
}


def cost_table(runs: pd.DataFrame) -> Table:
    """Means over the seeds that finished."""
    columns = [Column(c, numeric=False) for c in ("Setting", "Algorithm", "Family")]
    columns += [Column(label, kind) for kind, labels in _KINDS.items() for label in labels]
    table, done = Table("cost", "Cost", columns), runs[runs["status"].isin(FINE)]
    for setting in settings(done):
        for _, rows in at(done, setting).groupby("algorithm", sort=False):
            first, mean = rows.iloc[0], rows.mean(numeric_only=True)
            named = [Cell(setting.label, setting.label), _title(setting, first)]
            named.append(Cell(first["family"], first["family"]))
            table.rows.append(Row([*named, *_costs(mean)], first["family"]))
    return table


def _title(setting: Setting, run: pd.Series) -> Cell:
    return Cell(run["title"], run["title"], link=f"#{anchor(setting, run['algorithm'])}")


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


def reach_table(history: pd.DataFrame, runs: pd.DataFrame) -> Table | None:
    """Tasks and seconds of training until a validation first reached each of `LEVELS`; means over the finished seeds."""
    columns = [Column(c, numeric=False) for c in ("Setting", "Algorithm")]
    columns += [
        Column(label, f"{100 * level:.0f} % accuracy") for level in LEVELS for label in ("Tasks", "Time")
    ]
    table = Table("reach", "Training to an accuracy", columns)
    keys = ["dataset", "way", "shot", "algorithm", "seed"]
    finished = runs[runs["status"].isin(FINE) & ~runs["dataset"].isin(REGRESSION)]
    curves = finished[[*keys, "title", "family"]].merge(history, on=keys)
    for setting in settings(curves):
        for _, rows in at(curves, setting).groupby("algorithm", sort=False):
            first = rows.iloc[0]
            told = [cell for level in LEVELS for cell in _reached(rows, level)]
            named = [Cell(setting.label, setting.label), _title(setting, first)]
            table.rows.append(Row([*named, *told], first["family"]))
    return table if table.rows else None


def _reached(rows: pd.DataFrame, level: float) -> list[Cell]:
    """Tasks and time; where some seeds did not get there, the means are of those that did."""
    firsts = rows[rows["val_accuracy"].ge(level)].groupby("seed")[["tasks", "seconds"]].min()
    seeds, there = rows["seed"].nunique(), len(firsts)
    if not there:
        return [Cell("not reached", note=f"by none of {seeds} seeds"), EMPTY]
    part = f" ({there} of {seeds})" if there < seeds else ""
    tasks, seconds = firsts.mean()
    note = f"{there} of {seeds} seeds"
    return [
        Cell(f"{tasks:,.0f}{part}", tasks, note=note),
        Cell(f"{duration(seconds)}{part}", seconds, note=note),
    ]


def pareto_figures(cells: pd.DataFrame, runs: pd.DataFrame, looks: dict[str, Look]) -> list[Figure]:
    """What was measured in distribution against each of `COSTS`, a panel per cost and a figure per setting."""
    cells, figures = own_task(cells).query("shift == 'none'"), []
    for setting in settings(cells):
        points, clock = _points(at(cells, setting), at(runs, setting))
        panels = []
        for cost, label in (COSTS | {"training": clock}).items():
            known = points.dropna(subset=[cost])
            if len(known) > 1:
                draw = partial(_draw_pareto, points=known, cost=cost, label=label, looks=looks)
                alt = _pareto_alt(setting, known, cost, label)
                panels.append(Panel(f"against {label}", alt, draw, 3.6, 3.0))
        if panels:
            used = drawn(looks, points)
            figures.append(Figure(f"pareto-{setting.slug}", setting.label, panels, used))
    return figures


def _points(cells: pd.DataFrame, runs: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Rows of cells with their mean costs, and how training was timed: by the processor where it was all there was."""
    runs = runs[runs["status"].isin(FINE)]
    on_cpu = runs["device"].eq("cpu").all()
    runs = runs.assign(training=runs["cpu_seconds" if on_cpu else "seconds"])
    costs = runs.groupby("algorithm")[list(COSTS)].mean().reset_index()
    return cells.merge(costs, on="algorithm"), "CPU seconds of training" if on_cpu else COSTS["training"]


def front(points: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The rows that no other one beats: whatever is better costs more. By rising cost."""
    rising = points["metric"].iloc[0] == "mse"
    points = points[~points["yardstick"] | points["algorithm"].eq(FLOOR)]
    points = points.sort_values([cost, "mean"], ascending=[True, rising], kind="stable")
    quality = -points["mean"] if rising else points["mean"]
    return points[quality.gt(quality.cummax().shift(fill_value=-math.inf))]


def _pareto_alt(setting: Setting, points: pd.DataFrame, cost: str, label: str) -> str:
    best = front(points, cost)
    said = [f"{r.title} {number(r.mean, r.metric)} at {getattr(r, cost):.3g}" for r in best.itertuples()]
    rest = points.loc[~points["algorithm"].isin(best["algorithm"]), "title"]
    others = f" Beaten at their cost or below: {listed(rest)}." if len(rest) else ""
    return f"{setting.label}, {MEASURES[points['metric'].iloc[0]]} against {label}. Beaten by none: {'; '.join(said)}.{others}"


def _draw_pareto(ax: Axes, points: pd.DataFrame, cost: str, label: str, looks: dict[str, Look]) -> None:
    scale, best = factor(points), front(points, cost)
    ax.plot(best[cost], scale * best["mean"], color=INK, lw=1.2, alpha=0.7, drawstyle="steps-post")
    for row in points.itertuples():
        look, gid, x = looks[row.algorithm], f"series-{row.algorithm}", getattr(row, cost)
        ax.plot([x, x], [scale * row.low, scale * row.high], color=look.colour, lw=2, alpha=0.5, gid=gid)
        ax.plot(x, scale * row.mean, look.marker, color=look.colour, ms=6.5, gid=gid)
    _cost_axis(ax, points[cost])
    ax.set_xlabel(label)
    ax.set_ylabel(MEASURES[points["metric"].iloc[0]])
    if points["metric"].iloc[0] == "mse":
        log_axis(ax, "y")
    else:
        chance_line(ax, points, "y")


def _cost_axis(ax: Axes, values: pd.Series) -> None:
    """Logarithmic; what costs nothing stands at a zero left of the first decade."""
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
