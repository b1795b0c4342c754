"""The headline table of the report and the published values beside it."""

import numpy as np
import pandas as pd

from bench.report.figures import own_task
from bench.report.style import Setting, at, family_order, number, settings, task_label
from bench.report.table import Cell, Column, Row, Table
from bench.results.published import load_published, published

LEVEL = 0.05
MEASURES = {"accuracy": "Accuracy, %", "mse": "Squared error"}
FINE = {"ok", "untrained"}

EMPTY = Cell("–")


def anchor(setting: Setting, algorithm: str) -> str:
    """Where the page keeps the runs behind a number."""
    return f"runs-{setting.slug}-{algorithm}"


def headline_table(cells: pd.DataFrame, runs: pd.DataFrame, comparisons: pd.DataFrame) -> Table:
    """One row per algorithm and mode, one group of columns per setting, yardsticks and chance at the bottom."""
    everything = _clean(cells)
    table = Table(
        "headline",
        "Accuracy in distribution",
        [
            Column("Algorithm", numeric=False),
            Column("Family", numeric=False, minor=True),
            Column("Mode", numeric=False),
        ],
    )
    keys = everything[["algorithm", "title", "family", "row", "yardstick"]].drop_duplicates()
    keys = keys.assign(order=keys["family"].map(family_order)).sort_values(
        ["yardstick", "order", "title", "row"]
    )
    rows = [_identity(everything, key) for key in keys.itertuples()]
    chance = [Cell("Chance", "Chance"), Cell("floor", "floor"), EMPTY]
    for setting in settings(everything):
        part = at(everything, setting)
        marks = _marks(part, at(comparisons, setting))
        group = [_group_cells(part, at(runs, setting), setting, key, marks) for key in keys.itertuples()]
        shown = [any(row[i] is not EMPTY for row in group) for i in range(len(group[0]))]
        labels = (MEASURES[part["metric"].iloc[0]], "Episode ±", "Trained on", "Published", "Difference")
        table.columns.extend(Column(c, setting.label) for c, show in zip(labels, shown, strict=True) if show)
        for row, more in zip(rows, group, strict=True):
            row.cells.extend(cell for cell, show in zip(more, shown, strict=True) if show)
        floor = part["chance"].iloc[0]
        chance += [Cell(number(floor), floor) if np.isfinite(floor) else EMPTY, *[EMPTY] * (sum(shown) - 1)]
    table.rows.extend([*rows, Row(chance, "floor", "", floor=True)])
    return table


def _clean(cells: pd.DataFrame) -> pd.DataFrame:
    """In-distribution rows in both modes; `row` is the mode under which the table shows them."""
    clean = own_task(cells.assign(reported=True, compared=cells["reported"])).query("shift == 'none'")
    return clean.assign(row=_row_modes(clean))


def _row_modes(clean: pd.DataFrame) -> pd.Series:
    """The mode itself; where a setting has only one (regression), that of the algorithm's paper elsewhere."""
    groups = clean.groupby(["dataset", "way", "shot", "algorithm"])
    both = groups["mode"].transform("nunique").gt(1)
    main = clean[both & clean["paper_mode"]].groupby("algorithm")["mode"].first()
    return clean["mode"].where(both, clean["algorithm"].map(main).fillna(clean["mode"]))


def _identity(rows: pd.DataFrame, key) -> Row:
    mine = rows[rows["algorithm"].eq(key.algorithm)]
    here = mine[mine["row"].eq(key.row)]
    paper = here["paper_mode"].any()
    mode = f"{key.row}, paper" if paper and mine["row"].nunique() > 1 else key.row
    note = "the mode of its paper" if paper else "not the mode of its paper"
    cells = [
        Cell(key.title, key.title, note=key.algorithm),
        Cell(key.family, key.family),
        Cell(mode, mode, note=note),
    ]
    return Row(cells, key.family, "compared" if here["compared"].any() else "other", floor=key.yardstick)


def _marks(part: pd.DataFrame, comparisons: pd.DataFrame) -> dict[tuple[str, str], str]:
    """The best paper-mode row and those the paired test cannot tell from it."""
    paper = part[part["compared"] & ~part["yardstick"]]
    ranked = paper.sort_values("mean", ascending=paper["metric"].iloc[0] == "mse") if len(paper) else paper
    if len(ranked) < 2:
        return {}
    best = (ranked["algorithm"].iloc[0], ranked["mode"].iloc[0])
    marks = {best: "best"}
    for row in comparisons[comparisons["shift"].eq("none")].itertuples():
        pair = [(row.algorithm_a, row.mode_a), (row.algorithm_b, row.mode_b)]
        if best in pair and row.p_holm >= LEVEL:
            marks[pair[1 - pair.index(best)]] = "tied"
    return marks


def _group_cells(part: pd.DataFrame, runs: pd.DataFrame, setting: Setting, key, marks: dict) -> list[Cell]:
    """Accuracy, episode interval, training task, published value and difference of one row in one setting."""
    hit = part[part["algorithm"].eq(key.algorithm) & part["row"].eq(key.row)]
    mine = runs[runs["algorithm"].eq(key.algorithm)]
    link = f"#{anchor(setting, key.algorithm)}" if len(mine) else ""
    if hit.empty:
        failed = mine[~mine["status"].isin(FINE)]["status"]
        return [
            Cell(failed.iloc[0], link=link, note="see missing and failed") if len(failed) else EMPTY,
            *[EMPTY] * 4,
        ]
    row = hit.iloc[0]
    measure = _measure(row, mine, marks.get((row["algorithm"], row["mode"]), ""), link)
    episode = Cell(number(row["episode_half_width"], row["metric"]), row["episode_half_width"])
    return [measure, episode, _trained(mine), *_literature(row, setting)]


def _measure(row: pd.Series, runs: pd.DataFrame, mark: str, link: str) -> Cell:
    metric, half = row["metric"], (row["high"] - row["low"]) / 2
    partial = "†" if row["n_seeds"] < runs["seed"].nunique() else ""
    text = f"{number(row['mean'], metric)} ± {number(half, metric)}{partial}"
    interval = f"95 % interval {number(row['low'], metric)} to {number(row['high'], metric)}"
    note = f"{interval}; {row['n_seeds']} seeds, {row['n_episodes']} episodes each, {row['mode']}"
    return Cell(text, row["mean"], mark, link, note)


def _trained(runs: pd.DataFrame) -> Cell:
    rows = runs[runs["status"].eq("ok")].dropna(subset=["train_way", "train_shot"])
    if rows.empty:
        return EMPTY
    way, shot = rows["train_way"].iloc[0], rows["train_shot"].iloc[0]
    return Cell(task_label(way, shot), 1000 * way + shot)


def _literature(row: pd.Series, setting: Setting) -> list[Cell]:
    paper = published(row["algorithm"], *setting, mode=row["mode"])
    if (
        paper is None
        or paper["metric"] != row["metric"]
        or (paper["mode"] == "unknown" and not row["compared"])
    ):
        return [EMPTY, EMPTY]
    value, metric = paper["accuracy"], row["metric"]
    half = f" ± {number(paper['ci95'], metric)}" if np.isfinite(paper["ci95"]) else ""
    source = f"{paper['source_paper']}, {paper['source_table']}: {paper['variant']}; {paper['backbone']}; mode {paper['mode']}"
    gap = row["mean"] - value
    return [Cell(number(value, metric) + half, value, note=source), Cell(number(gap, metric, sign=True), gap)]


def published_table(cells: pd.DataFrame) -> Table | None:
    """Every published value on file for the settings and algorithms of the study, with its source."""
    rows = load_published()
    here = _clean(cells)
    wanted = set(zip(here["algorithm"], here["dataset"], here["way"], here["shot"], strict=True))
    rows = rows[
        [
            key in wanted
            for key in zip(rows["algorithm"], rows["dataset"], rows["way"], rows["shot"], strict=True)
        ]
    ]
    if rows.empty:
        return None
    titles = dict(zip(here["algorithm"], here["title"], strict=True))
    columns = [
        Column("Setting", numeric=False),
        Column("Algorithm", numeric=False),
        Column("Value"),
        Column("± 95 %"),
    ]
    columns += [Column(c, numeric=False) for c in ("Mode", "Variant", "Backbone", "Source", "In the table")]
    body = []
    for row in rows.itertuples():
        label = Setting(row.dataset, row.way, row.shot).label
        shown = "yes" if row.headline else "no"
        source = f"{row.source_paper}, {row.source_table}"
        words = [row.mode, row.variant, row.backbone, source, shown]
        numbers = [Cell(number(value, row.metric), value) for value in (row.accuracy, row.ci95)]
        body.append(
            Row(
                [
                    Cell(label, label),
                    Cell(titles[row.algorithm], row.algorithm),
                    *numbers,
                    *[Cell(w, w) for w in words],
                ]
            )
        )
    return Table("published", "Published values", columns, body)
