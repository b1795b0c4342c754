"""What depth is good for: the measure of a study against the depth of networks, where its learners differ in it."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import algos
from bench.report.figures import MEASURES, chance_line, factor, log_axis, own_task
from bench.report.style import Look, at, looks, number, settings
from bench.report.svg import Figure, Panel
from bench.results.run_folder import read_run
from bench.study.study import Study

_RUN = ["dataset", "way", "shot", "algorithm"]


def depth_figures(study: Study, cells: pd.DataFrame) -> list[Figure]:
    """One figure per setting, with a line for each algorithm that has variants of several `depth`s."""
    clean, figures = own_task(cells).query("shift == 'none'"), []
    rows = clean.drop(columns=["title"]).merge(_depths(study), on=_RUN).sort_values("depth")
    rows = rows[rows.groupby(["dataset", "way", "shot", "code"])["depth"].transform("nunique").gt(1)]
    for setting in settings(rows):
        part = at(rows, setting)
        lines = looks(part.assign(algorithm=part["code"]))
        panel = Panel(
            setting.label, _alt(setting.label, part), partial(_draw, rows=part, looks=lines), 4.8, 3.0
        )
        figures.append(Figure(f"depth-{setting.slug}", setting.label, [panel], lines))
    return figures


def _depths(study: Study) -> pd.DataFrame:
    """Depth of the network of each learner of the study that has one, the algorithm behind it and that one's title."""
    found = {}
    for run in study.runs():
        record = read_run(run.folder).run or {"hyper_parameters": {}}
        depth, code = record["hyper_parameters"].get("depth"), algos.name_of(study.code(run.algorithm))
        if depth:
            key = (run.dataset, run.way, run.shot, algos.name_of(run.algorithm))
            found[key] = (*key, code, study.learners[run.algorithm].title, depth)
    return pd.DataFrame(found.values(), columns=[*_RUN, "code", "title", "depth"])


def _alt(label: str, rows: pd.DataFrame) -> str:
    said = [
        f"{title} "
        + ", ".join(
            f"{number(row.mean, row.metric)} ({number(row.low, row.metric)} to {number(row.high, row.metric)}) at {row.depth}"
            for row in part.itertuples()
        )
        for title, part in rows.groupby("title", sort=False)
    ]
    return f"{label}, {MEASURES[rows['metric'].iloc[0]]} against depth in layers: {'; '.join(said)}."


def _draw(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look]) -> None:
    scale, metric = factor(rows), rows["metric"].iloc[0]
    for code, look in looks.items():
        part = rows[rows["code"].eq(code)]
        x, gid = part["depth"], f"series-{code}"
        low, high = scale * part["low"], scale * part["high"]
        ax.fill_between(x, low, high, color=look.colour, alpha=0.16, lw=0, gid=gid)
        ax.plot(x, scale * part["mean"], color=look.colour, marker=look.marker, gid=gid)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("hidden layers")
    ax.set_ylabel(MEASURES[metric])
    chance_line(ax, rows, "y")
    if metric == "mse":
        log_axis(ax, "y")
