"""The README's headline table and figure, made from results/reference/ alone: `python -m bench readme`.

`--check` writes nothing and exits 1 when README.md or the figure is not what the kept results say.
"""

import argparse
import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from bench.report.readme_figure import draw
from bench.report.style import Setting, dataset_label, duration, family_order, number, settings, task_label
from bench.results import reference_store
from bench.results.condition import CONDITION_COLUMNS
from bench.results.files import write_text
from bench.results.published import published
from bench.statistics import intervals

README = Path("README.md")
FURTHER_SPLITS = ("lake", "noisy")
"""Kept for their own sake (Lake's runs, predictive intervals): other tasks than those of published tables."""
BEGIN, END = "<!-- reference:begin -->", "<!-- reference:end -->"
REMEDY = "run `python -m bench readme`"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 when README.md is out of date"
    )


def main(args: argparse.Namespace) -> int:
    rows = headline(reference_store.load_reference())
    block = markdown(rows)
    text = replaced(README, block)
    figure = reference_store.reference_root() / "figures" / "headline.svg"
    mark = hashlib.sha256(block.encode()).hexdigest()
    if args.check:
        stale = [str(README)] if README.read_text(encoding="utf-8") != text else []
        if len(rows) and (not figure.exists() or mark not in figure.read_text(encoding="utf-8")):
            stale.append(str(figure))
        if stale:
            print(
                f"{' and '.join(stale)} out of date with {reference_store.reference_root()}: {REMEDY}",
                file=sys.stderr,
            )
        return int(bool(stale))
    write_text(README, text)
    if len(rows):
        draw(rows, figure, mark)
    print(f"wrote the reference results into {README}")
    return 0


def replaced(path: Path, block: str) -> str:
    """The file's text with the block between the two markers. ValueError unless each marker occurs once, in order."""
    text = path.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"{path} needs the lines {BEGIN} and {END}, once each and in this order")
    head, rest = text.split(BEGIN)
    return f"{head}{BEGIN}\n{block}{END}{rest.split(END)[1]}"


def headline(frame: pd.DataFrame) -> pd.DataFrame:
    """One row per task, algorithm and mode: mean, low, high, seeds, costs and the published value beside it.

    Of each data set, the split that papers report. Where several studies kept the same algorithm, the one that came closest to the published budget counts.
    """
    own = reference_store.own_task(frame)
    own = own[~own["split"].isin(FURTHER_SPLITS)]
    if own.empty:
        return own
    own = own.assign(budget_share=own["budget_share"].astype(float))
    cell = ["dataset", "way", "shot", "algorithm"]
    budget = own.groupby([*cell, "study"])["budget_share"].mean().fillna(0).reset_index()
    best = budget.sort_values([*cell, "budget_share", "study"]).drop_duplicates(cell, keep="last")
    own = own.merge(best[[*cell, "study"]])
    rows = [_headline_row(part) for _, part in own.groupby([*cell, "mode"], sort=True)]
    rows = pd.DataFrame(rows).assign(order=lambda f: f["family"].map(family_order))
    return rows.sort_values(["dataset", "way", "shot", "order", "algorithm", "mode"], ignore_index=True)


def _headline_row(part: pd.DataFrame) -> dict:
    """Seeds of one algorithm under one condition, brought together from their per-episode values."""
    first, scored = part.iloc[0], part[part["status"] != "diverged"]
    row = {
        key: first[key]
        for key in "dataset way shot algorithm title family mode paper_mode metric device".split()
    }
    clock = (
        "cpu_seconds" if row["device"] == "cpu" else "seconds"
    )  # a CPU's wall time depends on its other jobs
    row |= {"seeds": len(scored), "diverged": len(part) - len(scored), "seconds": part[clock].mean()}
    row |= {"budget_share": part["budget_share"].mean(), "mean": np.nan, "low": np.nan, "high": np.nan}
    if len(scored):
        interval = intervals.two_level_interval(np.stack([_values(line) for _, line in scored.iterrows()]))
        top = 1.0 if row["metric"] == "accuracy" else np.inf
        low, high = max(float(interval.low), 0.0), min(float(interval.high), top)
        row |= {"mean": float(interval.mean), "low": low, "high": high}
    paper = published(row["algorithm"], row["dataset"], row["way"], row["shot"], row["mode"])
    mode_left_open = paper is not None and paper["mode"] == "unknown"
    shown = paper is not None and (not mode_left_open or row["paper_mode"])
    return row | {
        "published": paper["accuracy"] if shown else np.nan,
        "source": paper["source_paper"] if shown else "",
    }


def _values(line: pd.Series) -> np.ndarray:
    """Per-episode values [T] of one row of results.csv."""
    frame = pd.read_parquet(reference_store.episodes_path(reference_store.reference_root(), line))
    same = (frame[CONDITION_COLUMNS] == line[CONDITION_COLUMNS]).all(axis=1)
    return frame.loc[same].sort_values("episode")[line["metric"]].to_numpy(np.float64)


def markdown(rows: pd.DataFrame) -> str:
    """The block between the markers."""
    if rows.empty:
        return "No reference results are kept yet: `make reference` makes them.\n"
    tables = [_table(rows[rows["dataset"] == dataset]) for dataset in rows["dataset"].unique()]
    sources = sorted({source for source in rows["source"] if source})
    notes = (
        "Accuracy in % (mean squared error for regression) on frozen meta-test episodes, with the 95 % interval over "
        "seeds and episodes; * one seed: over episodes only. *Transductive*: the queries of a task share batch "
        "statistics. *Training*: CPU time, on a GPU wall time. *Budget*: share of the published number of training tasks. Written by `make readme` from "
        "[results/reference](results/reference)."
    )
    if sources:
        notes += f" Published: {'; '.join(sources)}."
    figure = (
        "![Measured accuracy with intervals beside published values](results/reference/figures/headline.svg)"
    )
    return "\n".join([*tables, figure, "", notes, ""])


def _table(rows: pd.DataFrame) -> str:
    tasks = settings(rows)
    heads = ["Algorithm", "Mode", *[cell for t in tasks for cell in (task_label(t.way, t.shot), "published")]]
    lines = [f"**{dataset_label(tasks[0].dataset)}**", ""]
    lines += [
        _line([*heads, "seeds", "training", "budget"]),
        _line(["---"] * 2 + ["---:"] * (2 * len(tasks) + 3)),
    ]
    for _, part in rows.groupby(["order", "algorithm", "mode"], sort=True):
        lines.append(_line(_cells(part, tasks)))
    if rows["metric"].iloc[0] == "accuracy":
        chance = [cell for t in tasks for cell in (number(1 / t.way), "")]
        lines.append(_line(["chance", "", *chance, "", "", ""]))
    return "\n".join([*lines, ""])


def _cells(part: pd.DataFrame, tasks: list[Setting]) -> list[str]:
    first, cells = part.iloc[0], []
    for task in tasks:
        row = part[(part["way"] == task.way) & (part["shot"] == task.shot)]
        cells += (
            [_measured(row.iloc[0]), number(row.iloc[0]["published"], first["metric"])]
            if len(row)
            else ["", ""]
        )
    seconds = [s for s in part["seconds"] if s > 0]
    training = f"{_span(seconds, duration)} {first['device'].upper()}" if seconds else "none"
    budget = _span(part["budget_share"].dropna(), lambda share: f"{100 * share:.3g} %")
    return [first["title"], first["mode"], *cells, _span(part["seeds"], str), training, budget]


def _measured(row: pd.Series) -> str:
    if not row["seeds"]:
        return "diverged"
    half_width = max(row["high"] - row["mean"], row["mean"] - row["low"])
    text = f"{number(row['mean'], row['metric'])} ± {number(half_width, row['metric'])}"
    return (
        text
        + ("*" if row["seeds"] == 1 else "")
        + (f" ({row['diverged']} diverged)" if row["diverged"] else "")
    )


def _span(values: Iterable[float], form: Callable[[float], str]) -> str:
    """Smallest and largest: `8 min–15 min`; one word where both read the same."""
    values = sorted(values)
    return "–".join(dict.fromkeys(form(value) for value in (values[0], values[-1]))) if values else ""


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
