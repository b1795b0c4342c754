"""The measure of a study against the depth of networks, where its learners differ in it."""

from functools import partial

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import algos
from bench.report.axes import curves, interval_note, measure_axis
from bench.report.figure import Figure, Panel
from bench.report.numbers import number, reach
from bench.report.style import Style, styles_of
from bench.report.summary import Summary
from bench.results.condition import clean
from bench.results.metrics import METRICS
from bench.results.run_folder import read_run
from bench.results.setting import SETTING_COLUMNS, at, settings
from bench.study.study import Study

ID, TITLE, ORDER, WITHIN = "depth", "Depth", 22, "table"
CAPTION = (
    "The same learner with networks of other depths, in distribution; the number of parameters is the same at each depth "
    "only where the widths were chosen so (see “Parameters” under Cost). Mean over {{seeds}} and {{episodes}}. {intervals} "
    "A line that falls is a learner that can use depth; the line of a learner that is told the task shows how "
    "much of it is due to the network. Errors stand on a logarithmic axis, where a small one may fall by a large factor "
    "and by next to nothing; the claims compare differences."
)
_RUN = [*SETTING_COLUMNS, "algorithm"]


def figures(summary: Summary) -> list[Figure]:
    """Return one figure per setting, with a line for each algorithm that has variants of several `depth`s."""
    found = []
    rows = summary.own[clean(summary.own)].drop(columns=["title"])
    rows = rows.merge(_depths(summary.study), on=_RUN).sort_values("depth")
    rows = rows[rows.groupby([*SETTING_COLUMNS, "code"])["depth"].transform("nunique").gt(1)]
    rows = rows.assign(algorithm=rows["code"])
    for setting in settings(rows):
        part = at(rows, setting)
        lines = styles_of(part)
        draw = partial(_draw, rows=part, styles=lines)
        panel = Panel(setting.label, _alt(setting.label, part), draw, 4.8, 3.0)
        name = f"depth-{setting.slug}"
        caption = CAPTION.format(intervals=interval_note(part, len(lines)))
        found.append(Figure(name, setting.label, [panel], lines, caption=caption, wide=True))
    return found


def _depths(study: Study) -> pd.DataFrame:
    """Return the depth of each learner's network, the algorithm behind the learner, and the title of that algorithm."""
    found = {}
    for run in study.runs():
        record = read_run(run.folder).run or {"hyper_parameters": {}}
        depth, code = record["hyper_parameters"].get("depth"), algos.name_of(study.code(run.algorithm))
        if depth:
            key = (run.dataset, run.way, run.shot, algos.name_of(run.algorithm))
            found[key] = (*key, code, study.cards[run.algorithm].title, depth)
    return pd.DataFrame(found.values(), columns=[*_RUN, "code", "title", "depth"])


def _alt(label: str, rows: pd.DataFrame) -> str:
    said = []
    for title, part in rows.groupby("title", sort=False):
        points = [
            f"{number(row.mean, row.metric)} ({reach(row.low, row.high, row.metric)}) at {row.depth}"
            for row in part.itertuples()
        ]
        said.append(f"{title} {', '.join(points)}")
    measure = METRICS[rows["metric"].iloc[0]].axis
    return f"{label}, {measure} against depth in layers: {'; '.join(said)}."


def _draw(ax: Axes, rows: pd.DataFrame, styles: dict[str, Style]) -> None:
    curves(ax, rows, "depth", styles)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("hidden layers")
    measure_axis(ax, rows, "y")
