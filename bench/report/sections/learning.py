"""Learning curves: validation during training, against seconds and against tasks."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter

import algos
from bench.report.axes import BEHIND, gid
from bench.report.figure import Figure, Panel
from bench.report.numbers import listed
from bench.report.style import Style, coloured_groups, only_in
from bench.report.summary import Summary
from bench.report.training_time import clock, validations
from bench.results.setting import at, settings
from tasks.catalogue import REGRESSION

ID, TITLE, ORDER = "learning", "Learning curves", 80
NOTHING = "No run of this study has recorded a learning curve."
CAPTION = (
    "Frozen meta-validation episodes during training, one line per seed. The checkpoint with the best validation value is "
    "the one that is tested. Seconds are those of one thread where a run was trained on a CPU, and of the clock on a GPU."
)
SHARED = (
    " Learners that share a supervised training, which sees images and no tasks, have no curve against tasks."
)
_POINTS = 120
"""A line is thinned to about so many points."""


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting, with a line per run, against time and against tasks."""
    history, found = validations(summary.history, summary.runs).dropna(subset=["val_score"]), []
    without = [algos.name_of(name) for name, card in summary.study.cards.items() if card.pretraining]
    for setting in settings(history):
        rows = at(history, setting)
        used = only_in(rows, summary.styles)
        scale, top = (1, "min") if setting.dataset in REGRESSION else (100, "max")
        best = rows.groupby("algorithm")["val_score"].agg(top)
        on_tasks = rows[~rows["algorithm"].isin(without)]
        panels, axes = [], {"time": (clock(rows), rows), "tasks": ("tasks seen in training", on_tasks)}
        for column, (label, shown) in axes.items():
            for ending, styles in coloured_groups(only_in(shown, used)) if len(shown) else ():
                draw = partial(_draw, rows=shown, column=column, label=label, styles=styles, scale=scale)
                said = listed(f"{style.title} {scale * best[a]:.3g}" for a, style in styles.items())
                alt = f"{setting.label}: validation against {label}. Best: {said}."
                panels.append(Panel(f"against {label}{ending}", alt, draw, 4.6, 3.0))
        name, caption = f"learning-{setting.slug}", CAPTION + (SHARED if len(on_tasks) < len(rows) else "")
        found.append(
            Figure(name, setting.label, panels, used, columns=2, caption=caption, fold=True, wide=True)
        )
    return found


def _draw(
    ax: Axes, rows: pd.DataFrame, column: str, label: str, styles: dict[str, Style], scale: int
) -> None:
    for (algorithm, _), run in rows.groupby(["algorithm", "seed"], sort=False):
        run = run.iloc[:: max(1, len(run) // _POINTS)]
        line, style = BEHIND, styles.get(algorithm)
        if style:
            line = {"color": style.colour, "marker": style.marker, "ms": 4, "lw": 1.3, "alpha": 0.85}
            line |= {"markevery": max(1, len(run) // 6), "gid": gid(algorithm)}
        ax.plot(run[column], scale * run["val_score"], **line)
    ax.set_xlabel(label)
    ax.set_ylabel("validation accuracy, %" if scale == 100 else "validation mean squared error")
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))  # 20k, not 0.2 and a power of ten in the corner
