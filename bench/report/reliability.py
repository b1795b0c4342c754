"""Calibration in the report: reliability diagrams and a table of what `bench.statistics.calibration` summarised."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.contents import EMPTY, anchor
from bench.report.figures import SCOPES
from bench.report.style import Look, at, drawn, family_order, number, settings
from bench.report.svg import INK, Figure, Panel
from bench.report.table import Cell, Column, Row, Table
from bench.statistics.calibration import SCORES

FEWEST = 100
"""A bin of fewer queries is not drawn: its accuracy is known to ten points at best."""
CONDITIONS = {"clean": "in distribution"} | {
    scope: f"hardest shifts, {words}" for scope, words in SCOPES.items()
}
_LABELS = {
    "ece": "Calibration error, %",
    "overconfidence": "Confidence minus accuracy",
    "nll": "Log-loss",
    "brier": "Brier score",
}
_SCALES = {"ece": "accuracy", "overconfidence": "accuracy"}


def reliability_figures(
    bins: pd.DataFrame, scores: pd.DataFrame, looks: dict[str, Look], scope: str | None
) -> list[Figure]:
    """Accuracy against confidence, one panel per family; a figure per setting, in distribution and under the hardest shifts.

    bins, scores: calibration.csv and calibration_scores.csv with the column `reported`. scope: of the shifts to show.
    """
    bins, figures = bins[bins["reported"] & bins["n"].ge(FEWEST)], []
    errors = scores[scores["reported"] & scores["metric"].isin(["ece", "overconfidence"])]
    for setting in settings(bins):
        part = at(bins, setting)
        ends = part[["confidence", "accuracy"]].to_numpy()
        low = 100 * max(np.floor(10 * ends.min()) / 10, 0)  # one scale in all panels of a setting
        for conditions in [name for name in ("clean", scope) if name in set(part["conditions"])]:
            rows = part[part["conditions"].eq(conditions)]
            found = at(errors, setting).query("conditions == @conditions")
            panels = []
            for family in sorted(rows["family"].unique(), key=family_order):
                mine = rows[rows["family"].eq(family)]
                draw = partial(_draw, rows=mine, looks=looks, low=low)
                alt = f"{setting.label}, {CONDITIONS[conditions]}, {family}: {_said(mine, found)}."
                panels.append(Panel(family.capitalize(), alt, draw, 3.1, 2.9))
            used = drawn(looks, rows)
            title = f"{setting.label}, {CONDITIONS[conditions]}"
            figures.append(
                Figure(f"reliability-{setting.slug}-{conditions}", title, panels, used, columns=len(panels))
            )
    return figures


def _said(rows: pd.DataFrame, errors: pd.DataFrame) -> str:
    """`SNAIL calibration error 3.1, confidence 2.9 above accuracy; ...`."""
    table = errors.pivot(index="algorithm", columns="metric", values="mean")
    names = rows.drop_duplicates("algorithm").set_index("algorithm")["title"]
    return "; ".join(
        f"{title} calibration error {number(table.loc[a, 'ece'])}, "
        f"confidence {number(abs(table.loc[a, 'overconfidence']))} "
        f"{'above' if table.loc[a, 'overconfidence'] > 0 else 'below'} accuracy"
        for a, title in names.items()
        if a in table.index
    )


def _draw(ax: Axes, rows: pd.DataFrame, looks: dict[str, Look], low: float) -> None:
    ax.plot([low, 100], [low, 100], color=INK, lw=1, ls=(0, (1, 2)), alpha=0.8)
    for algorithm, part in rows.groupby("algorithm", sort=False):
        look, gid = looks[algorithm], f"series-{algorithm}"
        x, y = 100 * part["confidence"], 100 * part["accuracy"]
        share = part["n"] / part["n"].sum()
        ax.plot(x, y, color=look.colour, lw=1.3, alpha=0.7, gid=gid)
        ax.scatter(x, y, s=7 + 70 * share, c=look.colour, marker=look.marker, lw=0, zorder=2, gid=gid)
    margin = 0.03 * (100 - low)
    ax.set_xlim(low - margin, 100 + margin)
    ax.set_ylim(low - margin, 100 + margin)
    ax.set_xlabel("confidence, %")
    ax.set_ylabel("accuracy, %")


def calibration_table(scores: pd.DataFrame) -> Table | None:
    """One row per setting, algorithm and mode, `SCORES` in distribution and under the hardest shifts."""
    if scores.empty:
        return None
    shown = [name for name in CONDITIONS if name in set(scores["conditions"])]
    columns = [Column(label, numeric=False) for label in ("Setting", "Algorithm", "Mode")]
    columns += [Column(_LABELS[metric], CONDITIONS[name].capitalize()) for name in shown for metric in SCORES]
    body = []
    for setting in settings(scores):
        part = at(scores, setting)
        part = part.assign(order=part["family"].map(family_order)).sort_values("order", kind="stable")
        for (algorithm, mode), rows in part.groupby(["algorithm", "mode"], sort=False):
            first = rows.iloc[0]
            title = Cell(first["title"], first["title"], link=f"#{anchor(setting, algorithm)}")
            named = [Cell(setting.label, setting.label), title, Cell(mode, mode)]
            found = {(row["conditions"], row["metric"]): row for row in rows.to_dict("records")}
            values = [_value(found.get((name, metric))) for name in shown for metric in SCORES]
            reported = "compared" if first["reported"] else "other"
            body.append(Row([*named, *values], first["family"], reported))
    return Table("calibration", "Calibration", columns, body)


def _value(row: dict | None) -> Cell:
    if row is None:
        return EMPTY
    scale, sign = _SCALES.get(row["metric"], row["metric"]), row["metric"] == "overconfidence"
    mean, low, high = (number(row[key], scale, sign) for key in ("mean", "low", "high"))
    half = number((row["high"] - row["low"]) / 2, scale)
    counts = f"{row['n_seeds']} seeds, {row['n_episodes']} episodes each"
    return Cell(f"{mean} ± {half}", row["mean"], note=f"95 % interval {low} to {high}; {counts}")
