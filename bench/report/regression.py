"""What only regression has: likelihood and coverage of intervals beside the error, and fitted curves."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.style import Look, Setting, at, family_order, number, settings
from bench.report.svg import INK, Figure, Panel
from bench.report.table import Cell, Column, Row, Table
from bench.results.episode_interval import NORMAL_95
from bench.results.metrics import further
from bench.results.run_folder import read_run
from bench.study.study import Study

STEPS_TOLD = (1, 5, 10)
"""Numbers of steps in the table, those of the MAML paper; the curves over all are in bench/report/others.py."""
_RANGES = {
    "none": "in range",
    "amplitude": "larger amplitude",
    "phase": "other phase",
    "coefficients": "larger coefficients",
}
_MEASURES = {
    "mse": "squared error",
    "nll": "negative log-likelihood",
    "coverage": "share in the 95 % interval",
}


def _own(cells: pd.DataFrame) -> pd.DataFrame:
    kinds = ["mse", *further("regression")]
    regression = cells.groupby(["dataset"])["metric"].transform(lambda metrics: "mse" in set(metrics))
    return cells[regression & cells["metric"].isin(kinds) & cells["reported"]]


def regression_table(cells: pd.DataFrame) -> Table | None:
    """One row per setting and algorithm: error by steps and out of range, likelihood, coverage in and out of range."""
    rows = _own(cells)
    if rows.empty:
        return None
    steps = [
        (f"{n} steps" if n > 1 else "1 step", "mse", "none", n)
        for n in STEPS_TOLD
        if n in set(rows["test_steps"])
    ]
    own = [(_RANGES[shift], metric, shift, -1) for metric in _MEASURES for shift in _RANGES]
    wanted = [key for key in [*steps, *own] if len(_picked(rows, *key[1:]))]
    names = [Column("Setting", numeric=False), Column("Algorithm", numeric=False)]
    labels = [Column(key[0], _MEASURES[key[1]].capitalize()) for key in wanted]
    body = []
    for setting in settings(rows):
        mine = at(rows, setting)
        order = mine[["algorithm", "title", "family"]].drop_duplicates("algorithm")
        order = order.assign(order=order["family"].map(family_order)).sort_values(["order", "title"])
        for algorithm, title, family in order[["algorithm", "title", "family"]].itertuples(index=False):
            part = mine[mine["algorithm"].eq(algorithm)]
            numbers = [_value(_picked(part, *key[1:]), key[1]) for key in wanted]
            body.append(
                Row([Cell(setting.label, setting.label), Cell(title, title), *numbers], family, "compared")
            )
    return Table("regression", "Regression", [*names, *labels], body)


def _picked(rows: pd.DataFrame, metric: str, shift: str, steps: int) -> pd.DataFrame:
    return rows[rows["metric"].eq(metric) & rows["shift"].eq(shift) & rows["test_steps"].eq(steps)]


def _value(rows: pd.DataFrame, metric: str) -> Cell:
    if rows.empty:
        return Cell("–")
    row, scale = rows.iloc[0], "accuracy" if metric == "coverage" else metric
    half = (row["high"] - row["low"]) / 2
    interval = f"95 % interval {number(row['low'], scale)} to {number(row['high'], scale)}"
    return Cell(f"{number(row['mean'], scale)} ± {number(half, scale)}", row["mean"], note=interval)


def fit_figures(study: Study, looks: dict[str, Look]) -> list[Figure]:
    """Each learner's curve for the first test episode, in range and out of it; a figure per setting and range."""
    figures: dict[tuple[Setting, str], list[Panel]] = {}
    for run in study.runs():
        result = read_run(run.folder)
        algorithm = result.run["algorithm"] if result.run else None
        if run.seed != study.config["seeds"][0] or not result.tested or algorithm not in looks:
            continue
        setting = Setting(run.dataset, run.way, run.shot)
        for shift, fit in result.test.get("fits", {}).items():
            look = looks[algorithm]
            panel = Panel(
                look.title, _fit_alt(look.title, fit), partial(_draw_fit, fit=fit, look=look), 3.1, 2.3, 0.45
            )
            figures.setdefault((setting, shift), []).append(panel)
    return [
        Figure(f"fits-{setting.slug}-{shift}", f"{setting.label}, {_RANGES[shift]}", panels)
        for (setting, shift), panels in figures.items()
    ]


def _fit_alt(title: str, fit: dict) -> str:
    error = np.square(np.subtract(fit["mean"], fit["truth"])).mean()
    band = (
        ""
        if fit["deviation"] is None
        else f", 95 % band ± {NORMAL_95 * np.mean(fit['deviation']):.2f} on average"
    )
    return f"{title}: mean squared error {error:.3f} along the curve{band}."


def _draw_fit(ax: Axes, fit: dict, look: Look) -> None:
    x, mean = np.array(fit["x"]), np.array(fit["mean"])
    if fit["deviation"] is not None:
        half = NORMAL_95 * np.array(fit["deviation"])
        ax.fill_between(x, mean - half, mean + half, color=look.colour, alpha=0.2, lw=0)
    ax.plot(x, fit["truth"], color=INK, lw=1.2, ls=(0, (4, 2)))
    ax.plot(x, mean, color=look.colour, lw=2)
    ax.plot(*fit["support"], "o", color=INK, ms=4.5)
    limit = 1.6 * max(map(abs, fit["truth"]))  # the same for every learner; what leaves the panel is far off
    ax.set_ylim(-limit, limit)
    ax.set_xlim(x[0], x[-1])
    ax.set_xlabel("x")
