"""Write the README's headline table and figure, from results/reference/ alone: `python -m bench readme`.

`--check` writes nothing and exits 1 when README.md or the figure does not match the reference results.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from bench.report.numbers import duration, number
from bench.report.readme_figure import draw
from bench.report.style import family_order
from bench.report.table import Cell, Column, Row, Table
from bench.results.files import write_text
from bench.results.metrics import clipped
from bench.results.published import published, used_network
from bench.results.reference_store import (
    episode_values,
    episodes_path,
    load_reference,
    own_task,
    reference_root,
)
from bench.results.schema import DIVERGED
from bench.results.setting import SETTING_COLUMNS, Setting, dataset_label, settings, task_label
from bench.statistics.intervals import two_level_interval

README = Path("README.md")
FURTHER_SPLITS = ("lake", "noisy")
"""Splits for Lake's runs and for predictive intervals: other tasks than those of published tables."""
BEGIN, END = "<!-- reference:begin -->", "<!-- reference:end -->"
REMEDY = "run `python -m bench readme`"
NOTE = (
    "Accuracy in % (mean squared error for regression) on frozen meta-test episodes, with the 95 % interval over "
    "seeds and episodes; * one seed: over episodes only. *Transductive*: the queries of a task share batch "
    "statistics. *Published* values of another network or harness name it in brackets. On Omniglot, training and test "
    "characters here are Vinyals' lists, with whole alphabets apart; most published values are of random characters, which "
    "share alphabets and are somewhat easier. *Training*: CPU time, on a GPU wall time. *Budget*: share of the number of training tasks that the "
    "paper or its code states. "
    "Written by `make readme` from [results/reference](results/reference)."
)
FIGURE = "![Measured accuracy with intervals beside published values](results/reference/figures/headline.svg)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m bench readme`."""
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when README.md is out of date"
    )


def main(args: argparse.Namespace) -> int:
    """Write or check README.md and its figure."""
    rows = headline(load_reference())
    block = markdown(rows)
    text = replaced(README, block)
    figure = reference_root() / "figures" / "headline.svg"
    mark = hashlib.sha256(block.encode()).hexdigest()
    if args.check:
        stale = [str(README)] if README.read_text(encoding="utf-8") != text else []
        if len(rows) and (not figure.exists() or mark not in figure.read_text(encoding="utf-8")):
            stale.append(str(figure))
        if stale:
            print(f"{' and '.join(stale)} out of date with {reference_root()}: {REMEDY}", file=sys.stderr)
        return int(bool(stale))
    write_text(README, text)
    if len(rows):
        draw(rows, figure, mark)
    print(f"wrote the reference results into {README}")
    return 0


def replaced(path: Path, block: str) -> str:
    """Return the file's text with the block between the two markers.

    Raises ValueError unless each marker occurs once, in order.
    """
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path} needs the lines {BEGIN} and {END}, once each and in this order")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per setting, algorithm and mode: mean, low, high, seeds, costs, and the published value.

    Of each data set, the split that papers report. Of several studies of the same algorithm and setting, the one whose
    budget is closest to the published one.
    """
    own = own_task(frame)
    own = own[~own["split"].isin(FURTHER_SPLITS)]
    if own.empty:
        return own
    own = own.assign(budget_share=own["budget_share"].astype(float))
    cell = [*SETTING_COLUMNS, "algorithm"]
    budget = own.groupby([*cell, "study"])["budget_share"].mean().fillna(0).reset_index()
    best = budget.sort_values([*cell, "budget_share", "study"]).drop_duplicates(cell, keep="last")
    own = own.merge(best[[*cell, "study"]])
    rows = [_headline_row(part) for _, part in own.groupby([*cell, "mode"], sort=True)]
    rows = pd.DataFrame(rows).assign(order=lambda f: f["family"].map(family_order))
    return rows.sort_values([*SETTING_COLUMNS, "order", "algorithm", "mode"], ignore_index=True)


def _headline_row(part: pd.DataFrame) -> dict:
    """Join the seeds of one algorithm under one condition, from their per-episode values."""
    first, scored = part.iloc[0], part[part["status"] != DIVERGED]
    names = [*SETTING_COLUMNS, *"algorithm title family mode paper_mode metric device".split()]
    row = {key: first[key] for key in names}
    clock = "cpu_seconds" if row["device"] == "cpu" else "seconds"  # a CPU's wall time depends on other jobs
    row |= {"seeds": len(scored), "diverged": len(part) - len(scored), "seconds": part[clock].mean()}
    row |= {"budget_share": part["budget_share"].mean(), "mean": np.nan, "low": np.nan, "high": np.nan}
    if len(scored):
        interval = two_level_interval(np.stack([episode_values(line) for _, line in scored.iterrows()]))
        low, high = clipped(row["metric"], float(interval.low), float(interval.high))
        row |= {"mean": float(interval.mean), "low": low, "high": high}
    record = episodes_path(reference_root(), first).with_suffix(".json")
    return row | _literature(
        row, used_network(json.loads(record.read_text(encoding="utf-8"))["hyper_parameters"])
    )


def _literature(row: dict, network: str | None) -> dict:
    """Return the published value and its source; one whose mode the paper leaves open stands beside the paper's mode."""
    paper = published(row["algorithm"], *(row[key] for key in SETTING_COLUMNS), row["mode"], network)
    if paper is None or (paper["mode"] == "unknown" and not row["paper_mode"]):
        return {"published": np.nan, "apart": "", "source": ""}
    return {"published": paper["accuracy"], "apart": paper["apart"], "source": paper["source_paper"]}


def markdown(rows: pd.DataFrame) -> str:
    """Return the block between the markers."""
    if rows.empty:
        return "There are no reference results yet: `make reference` makes them.\n"
    tables = []
    for dataset in rows["dataset"].unique():
        table = _table(rows[rows["dataset"] == dataset])
        tables.append(f"**{table.title}**\n\n{table.to_markdown()}")
    sources = sorted({source for source in rows["source"] if source})
    published_by = f" Published: {'; '.join(sources)}." if sources else ""
    return "\n".join([*tables, FIGURE, "", NOTE + published_by, ""])


def _table(rows: pd.DataFrame) -> Table:
    """Return the table of one data set: a row per algorithm and mode, two columns per setting."""
    tasks = settings(rows)
    columns = [Column("Algorithm", numeric=False), Column("Mode", numeric=False)]
    for task in tasks:
        columns += [Column(task_label(task.way, task.shot)), Column("published")]
    columns += [Column("seeds"), Column("training"), Column("budget")]
    body = [_cells(part, tasks) for _, part in rows.groupby(["order", "algorithm", "mode"], sort=True)]
    if rows["metric"].iloc[0] == "accuracy":
        chance = [cell for task in tasks for cell in (number(1 / task.way), "")]
        body.append(["chance", "", *chance, "", "", ""])
    label = dataset_label(tasks[0].dataset)
    return Table("headline", label, columns, [Row([Cell(text) for text in line]) for line in body])


def _cells(part: pd.DataFrame, tasks: list[Setting]) -> list[str]:
    """Return the texts of one algorithm and mode."""
    first, cells = part.iloc[0], []
    for task in tasks:
        rows = part[(part["way"] == task.way) & (part["shot"] == task.shot)]
        cells += [text for row in rows.to_dict("records") for text in _numbers(row)] or ["", ""]
    seconds = [s for s in part["seconds"] if s > 0]
    training = f"{_span(seconds, duration)} {first['device'].upper()}" if seconds else "none"
    budget = _span(part["budget_share"].dropna(), lambda share: f"{100 * share:.3g} %")
    return [first["title"], first["mode"], *cells, _span(part["seeds"], str), training, budget]


def _numbers(row: dict) -> tuple[str, str]:
    apart = f" ({row['apart']})" if row["apart"] else ""
    return _measured(row), number(row["published"], row["metric"]) + apart


def _measured(row: dict) -> str:
    if not row["seeds"]:
        return DIVERGED
    half_width = max(row["high"] - row["mean"], row["mean"] - row["low"])
    text = f"{number(row['mean'], row['metric'])} ± {number(half_width, row['metric'])}"
    one_seed = "*" if row["seeds"] == 1 else ""
    return text + one_seed + (f" ({row['diverged']} {DIVERGED})" if row["diverged"] else "")


def _span(values: Iterable[float], form: Callable[[float], str]) -> str:
    """Return the smallest and the largest, `8 min–15 min`; one text where both read the same."""
    values = sorted(values)
    return "–".join(dict.fromkeys(form(value) for value in (values[0], values[-1]))) if values else ""
