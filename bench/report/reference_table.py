"""The tables of the reference results: every learner and setting, and the ten rows of the README."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from bench.report.numbers import diverged_of, duration, listed, number, plus_minus
from bench.report.style import family_order
from bench.report.summary import Summary, own_task
from bench.report.table import Column, Row, Table, text_columns, words
from bench.results.condition import clean, reported
from bench.results.published import published
from bench.results.schema import DIVERGED, SCORED
from bench.results.setting import SETTING_COLUMNS, Setting, at, dataset_label, settings, task_label

FURTHER_SPLITS = ("lake", "noisy")
"""Splits for Lake's runs and for predictive intervals: other tasks than those of published tables."""
CELL = [*SETTING_COLUMNS, "algorithm"]
FACTS = "seeds diverged seconds tasks gflops budget_share backbone hidden device git_commit".split()
WIDE = ("conv4", "mlp")
"""Backbones whose number of filters or units is chosen; others have that of their paper."""
SHORT = "protonet matching relation maml fomaml reptile metaopt_svm snail metanet lstm mann ntm".split()
"""Learners of the README, of which it shows the first `ROWS` that there are."""
ROWS = 10
SHIFT = "smear"
"""Shift of the README's table, at its highest severity, of whole tasks."""


def headline(summaries: Iterable[Summary]) -> pd.DataFrame:
    """Return one row per setting, algorithm and mode: its cell in distribution, costs, and the published value.

    Of each data set, the split that papers report. Of several studies of the same algorithm and setting, the one whose
    budget is closest to the published one; where no paper states it, the training of most floating-point
    operations: tasks of different ways and networks are no common measure. Of studies of which neither is known to
    have spent more, the first.
    """
    rows = every_study(summaries)
    if rows.empty:
        return rows
    for spent in ("budget_share", "gflops"):
        most = rows.groupby(CELL)[spent].transform("max")
        rows = rows[rows[spent].isna() | rows[spent].eq(most)]
    return rows.drop_duplicates([*CELL, "mode"]).sort_values(
        [*SETTING_COLUMNS, "order", "algorithm", "mode"], ignore_index=True
    )


def every_study(summaries: Iterable[Summary]) -> pd.DataFrame:
    """Return the rows of all studies of which `headline` chooses one for each setting, algorithm and mode; `study` is its name."""
    rows = [
        _of_study(summary).assign(study=summary.study.name) for summary in summaries if not _further(summary)
    ]
    rows = [part for part in rows if len(part)]
    if not rows:
        return pd.DataFrame()
    rows = pd.concat(rows, ignore_index=True)
    literature = pd.DataFrame([_literature(row) for row in rows.to_dict("records")])
    return rows.assign(order=rows["family"].map(family_order)).join(literature)


def _further(summary: Summary) -> bool:
    return any(entry.split in FURTHER_SPLITS for entry in summary.study.settings.datasets.values())


def _of_study(summary: Summary) -> pd.DataFrame:
    cells = own_task(summary.cells.assign(reported=True, stands=reported(summary.cells)))
    cells = cells[clean(cells)].drop(columns=["title", "family"])
    runs = summary.runs[summary.runs["status"].isin([*SCORED, DIVERGED])]
    facts = pd.DataFrame(
        [dict(zip(CELL, key, strict=True)) | _facts(part) for key, part in runs.groupby(CELL, sort=False)],
        columns=[*CELL, "title", "family", *FACTS],
    )
    return facts.merge(cells, on=CELL, how="left").reset_index(drop=True)


def _facts(runs: pd.DataFrame) -> dict:
    """Return what the seeds of a learner share, or their mean."""
    first, diverged = runs.iloc[0], runs["status"].eq(DIVERGED)
    clock = (
        "cpu_seconds" if first["device"] == "cpu" else "seconds"
    )  # a CPU's wall time depends on other jobs
    commits = dict.fromkeys(str(commit)[:7] for commit in runs["git_commit"].dropna())
    return {
        **{key: first[key] for key in ("title", "family", "backbone", "hidden", "device")},
        "seeds": int((~diverged).sum()),
        "diverged": int(diverged.sum()),
        "seconds": runs[clock].mean(),
        "tasks": runs["tasks"].mean(),
        "gflops": (runs["tasks"] * runs["gflops_per_task"]).mean(),
        "budget_share": runs["budget_share"].mean(),
        "git_commit": ", ".join(commits),
    }


def _literature(row: dict) -> dict:
    """Return the published value and its source; one whose mode the paper leaves open stands beside the paper's mode."""
    network = row["backbone"] if isinstance(row["backbone"], str) else None
    paper = published(row["algorithm"], *(row[key] for key in SETTING_COLUMNS), row["mode"], network)
    if paper is None or (paper["mode"] == "unknown" and not row["paper_mode"]):
        return {"published": np.nan, "apart": "", "source": ""}
    return {"published": paper["accuracy"], "apart": paper["apart"], "source": paper["source_paper"]}


def full_tables(rows: pd.DataFrame) -> list[Table]:
    """Return one table per data set: a row per algorithm and mode, two columns per setting."""
    return [_table(rows[rows["dataset"] == dataset]) for dataset in rows["dataset"].unique()]


def _table(rows: pd.DataFrame) -> Table:
    tasks = settings(rows)
    columns = text_columns("Algorithm", "Mode")
    for task in tasks:
        columns += [Column(task_label(task.way, task.shot)), Column("published")]
    columns += [*map(Column, ("seeds", "training", "budget")), *text_columns("network", "trained at")]
    body = [
        _cells(part, tasks)
        for _, part in rows.groupby(["order", "algorithm", "mode"], sort=True, dropna=False)
    ]
    if rows["metric"].dropna().iloc[0] == "accuracy":
        chance = [cell for task in tasks for cell in (number(1 / task.way), "")]
        body.append(["chance", "", *chance, *[""] * 5])
    label = dataset_label(tasks[0].dataset)
    return Table("headline", label, columns, [Row(words(*line)) for line in body])


def _cells(part: pd.DataFrame, tasks: list[Setting]) -> list[str]:
    """Return the texts of one algorithm and mode."""
    first, cells = part.iloc[0], []
    for task in tasks:
        rows = at(part, task).to_dict("records")
        cells += [_measured(rows[0]), _published(rows[0])] if rows else ["", ""]
    seconds = [s for s in part["seconds"] if s > 0]
    training = f"{_span(seconds, duration)} {first['device'].upper()}" if seconds else "none"
    seeds, commits = _span(part["seeds"], str), dict.fromkeys(", ".join(part["git_commit"]).split(", "))
    mode = first["mode"] if isinstance(first["mode"], str) else ""
    return [first["title"], mode, *cells, seeds, training, budget(part), _network(first), ", ".join(commits)]


def budget(part: pd.DataFrame) -> str:
    """Return the smallest and the largest share of the published training tasks, empty where none is stated."""
    return _span(part["budget_share"].dropna(), lambda share: f"{100 * share:.3g} %")


def _network(row: pd.Series) -> str:
    """Return the backbone, with its width where that is a choice: `conv4-64`."""
    name, width = row["backbone"], row["hidden"]
    if not isinstance(name, str):
        return "its own"
    return f"{name}-{width:.0f}" if name.startswith(WIDE) and width > 0 else name


def _published(row: dict) -> str:
    apart = f" ({row['apart']})" if row["apart"] else ""
    return number(row["published"], row["metric"] if isinstance(row["metric"], str) else "accuracy") + apart


def _measured(row: dict) -> str:
    if not row["seeds"]:
        return DIVERGED
    text = plus_minus(row["mean"], row["low"], row["high"], row["metric"])
    one_seed = "*" if row["seeds"] == 1 else ""
    left_out = f" (without {diverged_of(row)}, on which it diverged)" if row["n_diverged"] > 0 else ""
    return text + one_seed + left_out + (f" ({row['diverged']} {DIVERGED})" if row["diverged"] else "")


def _span(values: Iterable[float], form) -> str:
    """Return the smallest and the largest, `8 min–15 min`; one text where both read the same."""
    values = sorted(values)
    return "–".join(dict.fromkeys(form(value) for value in (values[0], values[-1]))) if values else ""


def short_table(rows: pd.DataFrame, summaries: Sequence[Summary]) -> Table | None:
    """Return the rows of the README: learners of one setting in the mode of their paper, clean, shifted, and their loss.

    rows: those of `headline`; the setting is the first of the first study.
    """
    rows = rows[rows["stands"].eq(True)]
    if rows.empty:
        return None
    setting = settings(summaries[0].own)[0]
    rows = at(rows, setting)
    lost = {summary.study.name: _hardest(summary, setting) for summary in summaries}
    names = [name for name in SHORT if name in set(rows["algorithm"])] or list(rows["algorithm"])
    rows = rows.set_index("algorithm", drop=False).loc[names[:ROWS]]
    columns = [*text_columns("Algorithm", "Mode"), *map(Column, ("clean", "smeared", "loss", "published"))]
    columns += [Column("budget"), *text_columns("network"), Column("seeds")]
    body = [_short_row(row, lost[row["study"]]) for _, row in rows.iterrows()]
    return Table("short", setting.label, columns, body, _studies(rows, summaries[0].study.name))


def _studies(rows: pd.DataFrame, own: str) -> str:
    """Say from which studies the rows are; empty where all are from the one that the README's sentences are about."""
    other = rows[rows["study"] != own]
    said = [f"{listed(list(part['title']))} from `{study}`" for study, part in other.groupby("study")]
    start = f" Each row is from the study with the learner's largest budget: `{own}`, like the sentences above, but"
    return f"{start} {listed(said)}." if said else ""


def _hardest(summary: Summary, setting: Setting) -> pd.DataFrame:
    """Return the accuracies under the README's shift at its highest severity, by algorithm."""
    rows = at(summary.severities, setting)
    rows = rows[rows["scope"].eq("task") & rows["shift"].eq(SHIFT)]
    return rows[rows["severity"].eq(rows["severity"].max())].set_index("algorithm")


def _short_row(row: pd.Series, lost: pd.DataFrame) -> Row:
    smeared = ["", ""]
    if row["algorithm"] in lost.index:
        hit = lost.loc[row["algorithm"]]
        smeared = [
            plus_minus(hit["mean"], hit["low"], hit["high"]),
            plus_minus(-hit["change"], -hit["change_high"], -hit["change_low"]),
        ]
    facts = [_published(row), budget(row.to_frame().T) or "not stated", _network(row), str(row["seeds"])]
    return Row(words(row["title"], row["mode"], _measured(row), *smeared, *facts))
