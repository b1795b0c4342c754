"""The figures of a study, drawn from the tables of `bench summarize`."""

from collections.abc import Iterable
from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from bench.style import Look, Setting, at, family_order, listed, number, settings
from bench.svg import INK, Figure, Panel
from tasks.shifts import SHIFTS

MEASURES = {"accuracy": "accuracy, %", "mse": "mean squared error"}
SCOPES = {"task": "whole task shifted", "query": "only queries shifted"}
_CURVE_POINTS = 120


def own_task(cells: pd.DataFrame) -> pd.DataFrame:
    """Rows tested as trained (same way and shot, the algorithm's own steps) on the study's measure, in the paper's mode."""
    return cells[
        cells["test_way"].eq(cells["way"])
        & cells["test_shot"].eq(cells["shot"])
        & cells["test_steps"].eq(-1)
        & cells["metric"].isin(MEASURES)
        & cells["paper_mode"]
    ]


def hardest(cells: pd.DataFrame, scope: str) -> pd.Series:
    """Mean over the shifts, each at its highest severity, by algorithm."""
    shifted = cells[cells["scope"].eq(scope)]
    top = shifted[shifted["severity"].eq(shifted.groupby("shift")["severity"].transform("max"))]
    return top.groupby("algorithm")["mean"].mean()


def headline_figure(cells: pd.DataFrame, looks: dict[str, Look], scope: str | None) -> Figure:
    """In distribution (filled, interval) and under the hardest shifts (open), one panel per setting."""
    cells, panels = own_task(cells), []
    for setting in settings(cells):
        rows = at(cells, setting)
        clean = rows[rows["shift"].eq("none")].assign(order=rows["family"].map(family_order))
        clean = clean.sort_values(["order", "mean"], ascending=[False, clean["metric"].iloc[0] == "accuracy"])
        worst = hardest(rows, scope) if scope else pd.Series(dtype=float)
        said = [_said(row, worst.get(row.algorithm)) for row in clean[::-1].itertuples()]
        draw = partial(_draw_headline, clean=clean, worst=worst, looks=looks)
        height = 0.75 + 0.25 * len(clean)
        panels.append(
            Panel(
                setting.label,
                f"{setting.label}: {'; '.join(said)}.",
                draw,
                4.8,
                height,
                label_margin(clean["title"]),
            )
        )
    return Figure("headline", "In and out of distribution", panels, columns=2)


def label_margin(labels: Iterable[str]) -> float:
    """Inches that the longest of these labels takes beside an axis."""
    return 0.16 + 0.066 * max(map(len, labels))


def _said(row, worst: float | None) -> str:
    shifted = "" if worst is None else f", under the hardest shifts {number(worst, row.metric)}"
    return f"{row.title} {number(row.mean, row.metric)} ({number(row.low, row.metric)} to {number(row.high, row.metric)}){shifted}"


def _draw_headline(ax: Axes, clean: pd.DataFrame, worst: pd.Series, looks: dict[str, Look]) -> None:
    metric, factor = clean["metric"].iloc[0], _factor(clean)
    for y, row in enumerate(clean.itertuples()):
        look, gid = looks[row.algorithm], f"series-{row.algorithm}"
        hard = worst.get(row.algorithm)
        if hard is not None:
            ax.plot(
                [factor * hard, factor * row.mean], [y, y], color=look.colour, lw=1.2, alpha=0.45, gid=gid
            )
            ax.plot(factor * hard, y, look.marker, mec=look.colour, mfc="none", mew=1.4, ms=6.5, gid=gid)
        ax.plot([factor * row.low, factor * row.high], [y, y], color=look.colour, lw=3.2, alpha=0.8, gid=gid)
        ax.plot(factor * row.mean, y, look.marker, color=look.colour, ms=6.5, gid=gid)
    ax.set_yticks(range(len(clean)), clean["title"])
    ax.set_ylim(-0.7, len(clean) - 0.3)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(MEASURES[metric])
    _chance(ax, clean, "x")
    if metric == "mse":
        ax.set_xscale("log")


def _factor(rows: pd.DataFrame) -> float:
    return 100.0 if rows["metric"].iloc[0] == "accuracy" else 1.0


def _chance(ax: Axes, rows: pd.DataFrame, axis: str) -> None:
    chance = rows["chance"].iloc[0]
    if np.isfinite(chance):
        line = ax.axvline if axis == "x" else ax.axhline
        line(100 * chance, color=INK, lw=1, ls=(0, (1, 2)), alpha=0.8)


def shift_figures(cells: pd.DataFrame, looks: dict[str, Look]) -> dict[tuple[Setting, str], Figure]:
    """Accuracy against severity, one panel per shift, by setting and scope."""
    cells, figures = own_task(cells), {}
    for setting in settings(cells):
        rows = at(cells, setting)
        clean = rows[rows["shift"].eq("none")]
        shifted = rows[rows["scope"].isin(SCOPES) & rows["severity"].gt(0)]
        limits = _limits(pd.concat([clean, shifted]))
        for scope in [s for s in SCOPES if s in set(shifted["scope"])]:
            panels = []
            for name, part in shifted[shifted["scope"].eq(scope)].groupby("shift", sort=False):
                curves = pd.concat([clean, part]).sort_values("severity")
                draw = partial(_draw_curves, curves=curves, looks=looks, limits=limits)
                title = SHIFTS[name].title if name in SHIFTS else name
                panels.append(Panel(title, _shift_alt(setting, title, scope, curves), draw, 3.1, 2.5))
            used = {a: look for a, look in looks.items() if a in set(shifted["algorithm"])}
            figures[setting, scope] = Figure(
                f"shifts-{setting.slug}-{scope}", f"{setting.label}, {SCOPES[scope]}", panels, used
            )
    return figures


def _shift_alt(setting: Setting, name: str, scope: str, curves: pd.DataFrame) -> str:
    ends = curves[curves["severity"].isin([0, curves["severity"].max()])]
    said = [
        f"{title} from {number(part['mean'].iloc[0], part['metric'].iloc[0])} to {number(part['mean'].iloc[-1], part['metric'].iloc[0])}"
        for title, part in ends.groupby("title", sort=False)
        if len(part) == 2
    ]
    return f"{setting.label}, {name}, {SCOPES[scope]}, severity 0 to {curves['severity'].max()}: {'; '.join(said)}."


def _limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Common limits of all panels of a setting, so that panels can be compared by eye."""
    factor = _factor(rows)
    low, high = factor * rows["low"].min(), factor * rows["high"].max()
    if rows["metric"].iloc[0] == "mse":
        return low / 1.3, high * 1.3
    low = min(low, 100 * rows["chance"].min())
    return max(low - 3, 0), min(high + 3, 101)


def _draw_curves(ax: Axes, curves: pd.DataFrame, looks: dict[str, Look], limits: tuple[float, float]) -> None:
    factor = _factor(curves)
    for algorithm, look in looks.items():
        part = curves[curves["algorithm"].eq(algorithm)]
        if part["severity"].gt(0).any():
            x, gid = part["severity"], f"series-{algorithm}"
            ax.fill_between(
                x, factor * part["low"], factor * part["high"], color=look.colour, alpha=0.16, lw=0, gid=gid
            )
            ax.plot(x, factor * part["mean"], color=look.colour, marker=look.marker, gid=gid)
    ax.set_xlabel("severity")
    ax.set_ylabel(MEASURES[curves["metric"].iloc[0]])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if curves["metric"].iloc[0] == "mse":
        ax.set_yscale("log")
    ax.set_ylim(limits)
    _chance(ax, curves, "y")


def learning_figures(
    history: pd.DataFrame, looks: dict[str, Look], metric: dict[Setting, str]
) -> dict[Setting, Figure]:
    """Validation against seconds and against tasks, a line per run, by setting."""
    figures = {}
    for setting in settings(history):
        rows = at(history, setting).dropna(subset=["val_accuracy"])
        if rows.empty:
            continue
        used = {a: look for a, look in looks.items() if a in set(rows["algorithm"])}
        panels = []
        for column, label in (("seconds", "seconds of training"), ("tasks", "tasks seen in training")):
            draw = partial(
                _draw_learning, rows=rows, column=column, label=label, looks=used, metric=metric[setting]
            )
            best = rows.groupby("algorithm")["val_accuracy"].max() if metric[setting] == "accuracy" else None
            said = (
                ""
                if best is None
                else " Best: " + listed(f"{used[a].title} {number(v)}" for a, v in best.items()) + "."
            )
            panels.append(
                Panel(
                    f"against {label}", f"{setting.label}: validation against {label}.{said}", draw, 4.6, 3.0
                )
            )
        figures[setting] = Figure(f"learning-{setting.slug}", setting.label, panels, used, columns=2)
    return figures


def _draw_learning(
    ax: Axes, rows: pd.DataFrame, column: str, label: str, looks: dict[str, Look], metric: str
) -> None:
    factor = 100 if metric == "accuracy" else 1
    for algorithm, look in looks.items():
        for _, run in rows[rows["algorithm"].eq(algorithm)].groupby("seed"):
            run = run.iloc[:: max(1, len(run) // _CURVE_POINTS)]
            every = max(1, len(run) // 6)
            ax.plot(
                *(run[column], factor * run["val_accuracy"]),
                color=look.colour,
                marker=look.marker,
                markevery=every,
                ms=4,
                lw=1.3,
                alpha=0.85,
                gid=f"series-{algorithm}",
            )
    ax.set_xlabel(label)
    ax.set_ylabel(f"validation {MEASURES[metric]}")
    if rows[column].max() > 1e4:
        formatter = ScalarFormatter(useMathText=True)
        formatter.set_powerlimits((0, 4))
        ax.xaxis.set_major_formatter(formatter)
    if metric == "mse":
        ax.set_yscale("log")


def rank_figure(ranks: pd.DataFrame, looks: dict[str, Look]) -> Figure | None:
    """Average rank with half the critical difference on either side: bars that do not overlap differ."""
    panels = []
    for scope, rows in ranks.groupby("scope", sort=False):
        rows = rows.sort_values("average_rank", ascending=False)
        said = listed(f"{looks[r.algorithm].title} {r.average_rank:.2f}" for r in rows[::-1].itertuples())
        first = rows.iloc[0]
        alt = f"Average ranks over {first['n_blocks']} blocks, critical difference {first['critical_difference']:.2f}: {said}."
        panels.append(
            Panel(
                str(scope),
                alt,
                partial(_draw_ranks, rows=rows, looks=looks),
                4.8,
                0.75 + 0.25 * len(rows),
                label_margin(looks[a].title for a in rows["algorithm"]),
            )
        )
    return Figure("ranks", "Average ranks", panels, columns=2) if panels else None


def _draw_ranks(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    for y, row in enumerate(rows.itertuples()):
        look, gid, half = looks[row.algorithm], f"series-{row.algorithm}", row.critical_difference / 2
        if np.isfinite(half):
            ends = [max(row.average_rank - half, 0.5), row.average_rank + half]
            ax.plot(ends, [y, y], color=look.colour, lw=3.2, alpha=0.45, gid=gid)
        ax.plot(row.average_rank, y, look.marker, color=look.colour, ms=6.5, gid=gid)
    ax.set_yticks(range(len(rows)), [looks[a].title for a in rows["algorithm"]])
    ax.set_ylim(-0.7, len(rows) - 0.3)
    ax.grid(axis="y", visible=False)
    ax.tick_params(axis="y", length=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("average rank (1 is best)")
