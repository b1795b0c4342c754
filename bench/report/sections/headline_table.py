"""The headline table: every algorithm in both modes, in distribution, beside the published values."""

import numpy as np
import pandas as pd

from bench.report.axes import is_error
from bench.report.numbers import SIGNIFICANT, number, plus_minus, reach
from bench.report.style import family_order
from bench.report.summary import Summary, own_task
from bench.report.table import EMPTY, Cell, Column, Row, Table, runs_anchor, text_columns, words
from bench.results.condition import clean
from bench.results.metrics import METRICS
from bench.results.published import published
from bench.results.schema import SCORED
from bench.results.setting import SETTING_COLUMNS, Setting, at, settings, task_label

ID, TITLE, ORDER = "table", "Table", 20
CAPTION = (
    "Mean and half the 95 % interval, or its ends where it is cut at the range of the measure. What two or three seeds tell "
    "of their spread is helped by all learners of the setting. A learner is reported in the mode of its paper, or in the only one that was tested; "
    "rows in the other mode are grey. “Episode ±” is the interval that most papers print: over the episodes of one trained "
    "model, blind to how much another training would differ. Bold marks the best value among the reported modes; ≈ marks "
    "values that a paired test on the same episodes, corrected for the comparisons of one learner with all others, cannot tell from it; † marks fewer seeds than planned. "
    "“Transductive” predictions may use batch statistics of the other queries. A published value stands only beside the "
    "same data set, way, shot and mode, and with the network or harness in brackets where ours is another; hover over it for its source. “Budget” is the share of the paper's training "
    "tasks that ours had, where the paper states them. Every number links to its runs."
)


def tables(summary: Summary) -> list[Table]:
    """Return one row per algorithm and mode, one group of columns per setting, yardsticks and chance at the bottom."""
    every = _both_modes(summary.cells)
    if every.empty:
        return []
    columns = text_columns("Algorithm", "Family", "Mode", minor=("Family",))
    keys = every[["algorithm", "title", "family", "row", "yardstick"]].drop_duplicates()
    keys = keys.assign(order=keys["family"].map(family_order))
    keys = keys.sort_values(["yardstick", "order", "title", "row"])
    rows = [_identity(every, key) for key in keys.itertuples()]
    chance = [*words("Chance", "floor"), EMPTY]
    for setting in settings(every):
        part = at(every, setting)
        marks = _marks(part, at(summary.comparisons, setting))
        runs = at(summary.runs, setting)
        group = [_group_cells(part, runs, setting, key, marks) for key in keys.itertuples()]
        shown = [any(row[i] is not EMPTY for row in group) for i in range(len(group[0]))]
        measure = METRICS[part["metric"].iloc[0]].axis.capitalize()
        labels = (measure, "Episode ±", "Trained on", "Budget", "Network", "Published", "Difference")
        columns += [Column(c, setting.label) for c, show in zip(labels, shown, strict=True) if show]
        for row, more in zip(rows, group, strict=True):
            row.cells.extend(cell for cell, show in zip(more, shown, strict=True) if show)
        floor = part["chance"].iloc[0]
        chance += [Cell(number(floor), floor) if np.isfinite(floor) else EMPTY, *[EMPTY] * (sum(shown) - 1)]
    if every["chance"].notna().any():
        rows.append(Row(chance, "floor", floor=True))
    return [Table("headline", "In distribution", columns, rows, CAPTION, filters="Setting")]


def _both_modes(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the in-distribution cells of both modes; `row` is the mode under which the table shows them."""
    rows = own_task(cells.assign(reported=True, stands=cells["reported"]))
    rows = rows[clean(rows)]
    return rows.assign(row=_row_modes(rows))


def _row_modes(rows: pd.DataFrame) -> pd.Series:
    """Return the mode itself; where a setting has only one (regression), that of the algorithm's paper elsewhere."""
    groups = rows.groupby([*SETTING_COLUMNS, "algorithm"])
    both = groups["mode"].transform("nunique").gt(1)
    main = rows[both & rows["paper_mode"].astype(bool)].groupby("algorithm")["mode"].first()
    return rows["mode"].where(both, rows["algorithm"].map(main).fillna(rows["mode"]))


def _identity(rows: pd.DataFrame, key) -> Row:
    mine = rows[rows["algorithm"].eq(key.algorithm)]
    here = mine[mine["row"].eq(key.row)]
    paper = here["paper_mode"].any()
    mode = f"{key.row}, paper" if paper and mine["row"].nunique() > 1 else key.row
    note = "the mode of its paper" if paper else "not the mode of its paper"
    title = Cell(key.title, key.title, note=key.algorithm)
    cells = [title, *words(key.family), Cell(mode, mode, note=note)]
    return Row(cells, key.family, bool(here["stands"].any()), floor=key.yardstick)


def _marks(part: pd.DataFrame, comparisons: pd.DataFrame) -> dict[tuple[str, str], str]:
    """Return the marks by algorithm and mode: the best reported row, and those that the paired test cannot tell from it."""
    competing = part[part["stands"] & ~part["yardstick"]]
    if len(competing) < 2:
        return {}
    ranked = competing.sort_values("mean", ascending=is_error(part))
    best = (ranked["algorithm"].iloc[0], ranked["mode"].iloc[0])
    marks = {best: "best"}
    for row in comparisons[clean(comparisons)].itertuples():
        pair = [(row.algorithm_a, row.mode_a), (row.algorithm_b, row.mode_b)]
        if best in pair and not row.p_best < SIGNIFICANT:  # undefined with one seed: not told apart
            marks[pair[1 - pair.index(best)]] = "tied"
    return marks


def _group_cells(part: pd.DataFrame, runs: pd.DataFrame, setting: Setting, key, marks: dict) -> list[Cell]:
    """Return accuracy, episode interval, training, published value and difference of one row in one setting."""
    hit = part[part["algorithm"].eq(key.algorithm) & part["row"].eq(key.row)]
    mine = runs[runs["algorithm"].eq(key.algorithm)]
    link = f"#{runs_anchor(setting, key.algorithm)}" if len(mine) else ""
    if hit.empty:
        failed = mine[~mine["status"].isin(SCORED)]["status"]
        why = Cell(failed.iloc[0], link=link, note="see missing and failed") if len(failed) else EMPTY
        return [why, *[EMPTY] * 6]
    row = hit.iloc[0]
    measure = _measure(row, mine, marks.get((row["algorithm"], row["mode"]), ""), link)
    episode = Cell(number(row["episode_half_width"], row["metric"]), row["episode_half_width"])
    return [measure, episode, _trained(mine), *_means(mine), *_literature(row, setting, mine)]


def _measure(row: pd.Series, runs: pd.DataFrame, mark: str, link: str) -> Cell:
    values = row["low"], row["high"], row["metric"]
    partial = "†" if row["n_seeds"] < runs["seed"].nunique() else ""
    counts = f"{row['n_seeds']} seeds, {row['n_episodes']} episodes each, {row['mode']}"
    note = f"95 % interval {reach(*values)}; {counts}"
    return Cell(plus_minus(row["mean"], *values) + partial, row["mean"], mark, link, note)


def _trained(runs: pd.DataFrame) -> Cell:
    rows = runs[runs["status"].eq("ok")].dropna(subset=["train_way", "train_shot"])
    if rows.empty:
        return EMPTY
    way, shot = rows["train_way"].iloc[0], rows["train_shot"].iloc[0]
    return Cell(task_label(way, shot), 1000 * way + shot)


def _means(runs: pd.DataFrame) -> list[Cell]:
    """Return the budget, as a share of the published one, and the network."""
    share, networks = runs["budget_share"].mean(), runs["backbone"].dropna()
    budget = Cell(f"{100 * share:.3g} %", share) if np.isfinite(share) else EMPTY
    return [budget, Cell(networks.iloc[0], networks.iloc[0]) if len(networks) else EMPTY]


def _literature(row: pd.Series, setting: Setting, runs: pd.DataFrame) -> list[Cell]:
    """Return the published value and the difference to it; one that is measured otherwise is named and has none."""
    networks = runs["backbone"].dropna()
    network = networks.iloc[0] if len(networks) else None
    paper, metric = published(row["algorithm"], *setting, row["mode"], network), row["metric"]
    if paper is None or paper["metric"] != metric or (paper["mode"] == "unknown" and not row["stands"]):
        return [EMPTY, EMPTY]
    value, gap = paper["accuracy"], row["mean"] - paper["accuracy"]
    half = f" ± {number(paper['ci95'], metric)}" if np.isfinite(paper["ci95"]) else ""
    source = f"{paper['source_paper']}, {paper['source_table']}"
    source += f": {paper['variant']}; {paper['backbone']}; mode {paper['mode']}"
    if paper["apart"]:
        return [Cell(f"{number(value, metric)} ({paper['apart']})", value, note=source), EMPTY]
    return [Cell(number(value, metric) + half, value, note=source), Cell(number(gap, metric, sign=True), gap)]
