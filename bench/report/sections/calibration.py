"""How far the confidence of a learner is the probability that it is right: reliability diagrams and a table."""

from functools import partial

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.axes import DOTTED, gid
from bench.report.figure import Figure, Panel
from bench.report.numbers import number, plus_minus, reach, with_ends
from bench.report.style import Style, by_family, family_order, only_in
from bench.report.summary import FEWEST, SCOPES, Summary
from bench.report.table import EMPTY, Cell, Column, Row, Table, algorithm_cell, text_columns, words
from bench.results.metrics import METRICS
from bench.results.metrics import calibration as calibration_metrics
from bench.results.setting import Setting, at, settings

ID, TITLE, ORDER = "calibration", "Calibration", 70
NOTHING = "No run of this study has recorded the confidence of its answers."
CAPTION = (
    "How often a learner is right (upwards) among answers that it gives with a certain confidence (to the right): {bins} "
    "bins of confidence over {seeds}, pooled. On the dotted line it is right as often as it expects; below the line it is "
    "overconfident. The larger a mark, the larger its share of the queries; bins of fewer than {fewest} queries are left "
    "out, so curves over few seeds are ragged. Hardest shifts: each at its highest severity, pooled, {shift_episodes} per "
    "shift."
)
TABLE = (
    "Mean and half the 95 % interval over seeds and episodes, or its ends where it is cut at zero. Calibration error (ECE): the distance "
    "between confidence and accuracy in {bins} bins, weighted by their queries, for each seed over all its episodes. It "
    "is never below zero and comes out larger the fewer the queries, above all where it is small; its interval takes as "
    "known the side on which each bin errs, and does not cover that bias. Confidence minus accuracy, in percentage points: above zero is overconfident. "
    "Negative log-likelihood and Brier score (0 to 2) judge the whole distribution, the lower the better. Shifts: mean "
    "over the shifts of a scope that all learners share, each at its highest severity, in the mode of each paper only."
)
CONDITIONS = {"clean": "in distribution"} | {
    scope: f"hardest shifts, {words}" for scope, words in SCOPES.items()
}
SCORES = calibration_metrics("classification")


def figures(summary: Summary) -> list[Figure]:
    """Return accuracy against confidence, one panel per family; a figure per setting, unshifted and under shift."""
    bins, scores = summary.calibration, summary.calibration_scores
    bins, found = bins[bins["reported"] & bins["n"].ge(FEWEST)], []
    for setting in settings(bins):
        part, errors = at(bins, setting), at(scores[scores["reported"]], setting)
        ends = part[["confidence", "accuracy"]].to_numpy()
        low = 100 * max(np.floor(10 * ends.min()) / 10, 0)  # one scale in all panels of a setting
        for name in [name for name in ("clean", summary.scope) if name in set(part["conditions"])]:
            rows, mine = part[part["conditions"].eq(name)], errors[errors["conditions"].eq(name)]
            found.append(_figure(setting, name, rows, mine, low, summary.styles))
    return found


def _figure(
    setting: Setting,
    conditions: str,
    rows: pd.DataFrame,
    errors: pd.DataFrame,
    low: float,
    styles: dict[str, Style],
) -> Figure:
    panels, title = [], f"{setting.label}, {CONDITIONS[conditions]}"
    for family in sorted(rows["family"].unique(), key=family_order):
        mine = rows[rows["family"].eq(family)]
        draw = partial(_draw, rows=mine, styles=styles, low=low)
        alt = f"{title}, {family}: {_said(mine, errors)}."
        panels.append(Panel(family.capitalize(), alt, draw, 3.1, 2.9))
    name = f"reliability-{setting.slug}-{conditions}"
    used = only_in(rows, styles)
    return Figure(name, title, panels, used, columns=len(panels), caption=CAPTION, fold=True)


def _said(rows: pd.DataFrame, errors: pd.DataFrame) -> str:
    """Return `SNAIL calibration error 3.1, confidence 2.9 above accuracy; ...`."""
    table = errors.pivot(index="algorithm", columns="metric", values="mean")
    names = rows.drop_duplicates("algorithm").set_index("algorithm")["title"]
    said = []
    for algorithm, title in names[names.index.isin(table.index)].items():
        error, over = table.loc[algorithm, ["ece", "overconfidence"]]
        side = "above" if over > 0 else "below"
        said.append(
            f"{title} calibration error {number(error)}, confidence {number(abs(over))} {side} accuracy"
        )
    return "; ".join(said)


def _draw(ax: Axes, rows: pd.DataFrame, styles: dict[str, Style], low: float) -> None:
    ax.plot([low, 100], [low, 100], **DOTTED)
    for algorithm, part in rows.groupby("algorithm", sort=False):
        style, name = styles[algorithm], gid(algorithm)
        x, y = 100 * part["confidence"], 100 * part["accuracy"]
        share = part["n"] / part["n"].sum()
        ax.plot(x, y, color=style.colour, lw=1.3, alpha=0.7, gid=name)
        ax.scatter(x, y, s=7 + 70 * share, c=style.colour, marker=style.marker, lw=0, zorder=2, gid=name)
    margin = 0.03 * (100 - low)
    ax.set_xlim(low - margin, 100 + margin)
    ax.set_ylim(low - margin, 100 + margin)
    ax.set_xlabel(METRICS["confidence"].axis)
    ax.set_ylabel(METRICS["accuracy"].axis)


def tables(summary: Summary) -> list[Table]:
    """Return one row per setting, algorithm and mode: `SCORES` in distribution and under the hardest shifts."""
    scores = summary.calibration_scores
    shown = [name for name in CONDITIONS if name in set(scores["conditions"])]
    columns = text_columns("Setting", "Algorithm", "Mode")
    columns += [
        Column(METRICS[metric].axis.capitalize(), CONDITIONS[name].capitalize())
        for name in shown
        for metric in SCORES
    ]
    table = Table("calibration", "Calibration", columns, caption=TABLE, filters="Tasks")
    for setting in settings(scores):
        part = by_family(at(scores, setting))
        for (algorithm, mode), rows in part.groupby(["algorithm", "mode"], sort=False):
            first = rows.iloc[0]
            names = [*words(setting.label), algorithm_cell(setting, algorithm, first["title"]), *words(mode)]
            found = {(row["conditions"], row["metric"]): row for row in rows.to_dict("records")}
            values = [_value(found.get((name, metric))) for name in shown for metric in SCORES]
            table.rows.append(Row([*names, *values], first["family"], bool(first["reported"])))
    return [table]


def _value(row: dict | None) -> Cell:
    if row is None:
        return EMPTY
    signed = METRICS[row["metric"]].low < 0 and METRICS[row["metric"]].better is None
    cut = (
        row["metric"] == "ece" and row["low"] < 0
    )  # a sum of distances, whose linear interval reaches below zero
    values = 0.0 if cut else row["low"], row["high"], row["metric"], signed
    counts = f"{row['n_seeds']} seeds, {row['n_episodes']} episodes each"
    note = f"95 % interval {reach(*values)}; {counts}"
    text = with_ends(row["mean"], *values) if cut else plus_minus(row["mean"], *values)
    return Cell(text, row["mean"], note=note)
