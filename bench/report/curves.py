"""Curves of a study: accuracy against severity, validation against training."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from bench.report.figures import (
    BEHIND,
    MEASURES,
    SCOPES,
    chance_line,
    factor,
    log_axis,
    others_behind,
    own_task,
)
from bench.report.style import Look, Setting, abreast, at, casts, drawn, listed, number, settings
from bench.report.svg import Figure, Panel
from tasks.catalogue import REGRESSION
from tasks.shift_table import SHIFTS

_CURVE_POINTS = 120


def shift_figures(cells: pd.DataFrame, looks: dict[str, Look]) -> dict[tuple[Setting, str], Figure]:
    """Accuracy against severity, one panel per shift, by setting and scope."""
    cells, figures = own_task(cells), {}
    for setting in settings(cells):
        rows = at(cells, setting)
        clean = rows[rows["shift"].eq("none")]
        shifted = rows[rows["scope"].isin(SCOPES) & rows["severity"].gt(0)]
        common = limits(pd.concat([clean, shifted]))
        for scope in [s for s in SCOPES if s in set(shifted["scope"])]:
            panels = []
            used = drawn(looks, shifted)
            groups = casts(used)
            for name, part in shifted[shifted["scope"].eq(scope)].groupby("shift", sort=False):
                curves = pd.concat([clean[clean["algorithm"].isin(used)], part]).sort_values("severity")
                title = SHIFTS[name].title if name in SHIFTS else name
                for ending, cast in groups:
                    draw = partial(_draw_curves, curves=curves, looks=cast, limits=common)
                    alt = _shift_alt(setting, title, scope, curves[curves["algorithm"].isin(cast)])
                    panels.append(Panel(title + ending, alt, draw, 3.1, 2.5))
            title = f"{setting.label}, {SCOPES[scope]}"
            figures[setting, scope] = Figure(
                f"shifts-{setting.slug}-{scope}", title, panels, used, abreast(groups, 3)
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


def limits(rows: pd.DataFrame) -> tuple[float, float]:
    """Common limits of all panels of a setting, so that panels can be compared by eye."""
    scale = factor(rows)
    low, high = scale * rows["low"].min(), scale * rows["high"].max()
    if rows["metric"].iloc[0] == "mse":
        return low / 1.3, high * 1.3
    low = min(low, 100 * rows["chance"].min())
    return max(low - 3, 0), min(high + 3, 101)


def _draw_curves(ax: Axes, curves: pd.DataFrame, looks: dict[str, Look], limits: tuple[float, float]) -> None:
    scale = factor(curves)
    others_behind(ax, curves, "severity", looks)
    for algorithm, look in looks.items():
        part = curves[curves["algorithm"].eq(algorithm)]
        if part["severity"].gt(0).any():
            x, gid = part["severity"], f"series-{algorithm}"
            ax.fill_between(
                x, scale * part["low"], scale * part["high"], color=look.colour, alpha=0.16, lw=0, gid=gid
            )
            ax.plot(x, scale * part["mean"], color=look.colour, ls=look.line, marker=look.marker, gid=gid)
    ax.set_xlabel("severity")
    ax.set_ylabel(MEASURES[curves["metric"].iloc[0]])
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    if curves["metric"].iloc[0] == "mse":
        log_axis(ax, "y")
    ax.set_ylim(limits)
    chance_line(ax, curves, "y")


def learning_figures(history: pd.DataFrame, looks: dict[str, Look]) -> list[Figure]:
    """Validation against seconds and against tasks, a line per run; a figure per setting."""
    history, figures = history.dropna(subset=["val_accuracy"]), []
    for setting in settings(history):
        rows = at(history, setting)
        used = drawn(looks, rows)
        scale, top = (1, "min") if setting.dataset in REGRESSION else (100, "max")
        best = rows.groupby("algorithm")["val_accuracy"].agg(top)
        panels, groups = [], casts(used)
        for column, label in (("seconds", "seconds of training"), ("tasks", "tasks seen in training")):
            for ending, cast in groups:
                draw = partial(_draw_learning, rows=rows, column=column, label=label, looks=cast, scale=scale)
                said = listed(f"{look.title} {scale * best[a]:.3g}" for a, look in cast.items())
                alt = f"{setting.label}: validation against {label}. Best: {said}."
                panels.append(Panel(f"against {label}{ending}", alt, draw, 4.6, 3.0))
        figures.append(Figure(f"learning-{setting.slug}", setting.label, panels, used, columns=2))
    return figures


def _draw_learning(
    ax: Axes, rows: pd.DataFrame, column: str, label: str, looks: dict[str, Look], scale: int
) -> None:
    for (algorithm, _), run in rows.groupby(["algorithm", "seed"], sort=False):
        run = run.iloc[:: max(1, len(run) // _CURVE_POINTS)]
        style, look = BEHIND, looks.get(algorithm)
        if look:
            style = {"color": look.colour, "marker": look.marker, "ms": 4, "lw": 1.3, "alpha": 0.85}
            style |= {"markevery": max(1, len(run) // 6), "gid": f"series-{algorithm}"}
        ax.plot(run[column], scale * run["val_accuracy"], **style)
    ax.set_xlabel(label)
    ax.set_ylabel("validation accuracy, %" if scale == 100 else "validation score")
    if rows[column].max() > 1e4:
        formatter = ScalarFormatter(useMathText=True)
        formatter.set_powerlimits((0, 4))
        ax.xaxis.set_major_formatter(formatter)
