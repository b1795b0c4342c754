"""Figure of the stream runs: accuracy by presentation, beside the published values and the count-only guess."""

import json
from functools import partial
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from bench.report.axes import gid
from bench.report.figure import Figure, Panel
from bench.report.numbers import counted, listed, number
from bench.report.style import COLOURS, MARKERS, Style
from bench.results.published import load_published

TITLES = {"mann": "MANN", "ntm": "NTM", "lstm": "LSTM"}
COUNT_ONLY = "count-only"
PUBLISHED_UPDATES = 100_000


def draw(folder: Path, labels: str) -> None:
    """Write presentations.svg and .pdf into `folder` from the runs below it."""
    figure(collect(folder), labels).save(folder)


def collect(folder: Path) -> pd.DataFrame:
    """Return one row per finished run below `folder` and presentation.

    Columns: learner, variant, seed, updates, presentation, accuracy, count_only. Raises FileNotFoundError without a run.
    """
    tables = []
    for path in sorted(folder.glob("*/seed*/presentations.csv")):
        run = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
        facts = {"learner": run["learner"], "variant": path.parents[1].name, "seed": run["seed"]}
        tables.append(pd.read_csv(path).assign(**facts, updates=run["updates"]))
    if not tables:
        raise FileNotFoundError(f"{folder} holds no finished run: start with `python -m bench stream mann`")
    return pd.concat(tables, ignore_index=True)


def published_curves(learners: list[str]) -> dict[str, pd.Series]:
    """Return accuracy by presentation from Santoro et al., table 1; the presentation counts from 1."""
    rows = load_published()
    rows = rows[rows["variant"].str.contains("streaming presentations") & rows["way"].eq(5)]
    curves = {learner: rows[rows["algorithm"].eq(learner)].sort_values("shot") for learner in learners}
    return {
        name: curve.set_index(curve["shot"] + 1)["accuracy"] for name, curve in curves.items() if len(curve)
    }


def figure(table: pd.DataFrame, labels: str) -> Figure:
    """Return the mean over seeds of each variant; published values are dashed, with open markers."""
    means = table.groupby(["learner", "variant", "presentation"], sort=False)[
        ["accuracy", "count_only"]
    ].mean()
    styles = _styles(table)
    said = [
        f"{style.title} {number(means.loc[(slice(None), variant, 2), 'accuracy'].iloc[0])} %"
        for variant, style in styles.items()
        if variant != COUNT_ONLY
    ]
    alt = f"Accuracy by presentation, labels {labels}. At the second presentation: {listed(said)}."
    title = f"5 classes, labels {labels}\n{_effort(table)}"
    panel = Panel(title, alt, partial(_draw, table=table, styles=styles), 5.0, 3.4)
    return Figure("presentations", "Accuracy by presentation", [panel], styles)


def _effort(table: pd.DataFrame) -> str:
    """Say how many updates and seeds are behind the figure, beside the published length."""
    updates = sorted(table["updates"].unique())
    span = " to ".join(f"{count:,}" for count in dict.fromkeys((updates[0], updates[-1])))
    return f"{span} of {PUBLISHED_UPDATES:,} updates, {counted(table.groupby('variant')['seed'].nunique(), 'seed')}"


def _styles(table: pd.DataFrame) -> dict[str, Style]:
    styles = {}
    for i, (variant, learner) in enumerate(table.groupby("variant", sort=False)["learner"].first().items()):
        title = variant.replace(learner, TITLES[learner], 1).replace("-", ", ")
        colours, markers = COLOURS["model-based"], MARKERS["model-based"]
        styles[variant] = Style(title, "model-based", colours[i % len(colours)], markers[i % len(markers)])
    styles[COUNT_ONLY] = Style("labels only", "baseline", COLOURS["baseline"][0], MARKERS["baseline"][0])
    return styles


def _draw(ax: Axes, table: pd.DataFrame, styles: dict[str, Style]) -> None:
    for variant, rows in table.groupby("variant", sort=False):
        curve, style = 100 * rows.groupby("presentation")["accuracy"].mean(), styles[variant]
        ax.plot(curve.index, curve, color=style.colour, marker=style.marker, gid=gid(variant))
    blind, style = 100 * table.groupby("presentation")["count_only"].mean(), styles[COUNT_ONLY]
    ax.plot(blind.index, blind, color=style.colour, marker=style.marker, ms=3, lw=1, gid=gid(COUNT_ONLY))
    first = {learner: rows["variant"].iloc[0] for learner, rows in table.groupby("learner", sort=False)}
    for learner, curve in published_curves(list(first)).items():
        style = styles[first[learner]]
        ax.plot(
            curve.index, 100 * curve, style.marker, ls="--", color=style.colour, mfc="none", lw=1, alpha=0.8
        )
        ax.annotate("published", (curve.index[-1], 100 * curve.iloc[-1]), (0, 5), textcoords="offset points",
                    ha="right", fontsize=8, color=style.colour)  # fmt: skip
    ax.set_xlabel("presentation of a class")
    ax.set_ylabel("accuracy, %")
    ax.set_ylim(0, 101)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
