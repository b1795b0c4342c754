"""What all reference results say on the claims of config/claims.yaml, in one table and one sentence."""

from collections.abc import Iterable

import pandas as pd

from bench.report.numbers import listed
from bench.report.sections.claims import effect_cells
from bench.report.summary import Summary
from bench.report.table import Column, Row, Table, text_columns, words
from bench.results.setting import SETTING_COLUMNS, Setting, settings

SIDES = ["id", *SETTING_COLUMNS]
JUDGED = ("supported", "refuted", "undecided")
CAPTION = (
    "Claims of textbooks and papers, declared in config/claims.yaml before the numbers were seen. *Effect*: left minus right of "
    "the declared comparison, in percentage points (costs: the factor), with its 95 % interval over seeds and episodes. A claim is "
    "supported or refuted where the whole interval lies on one side of the declared margin, and holds for the budgets and networks "
    "of its *study* (`config/`). Of several studies of a setting, the one with the most seeds judges; of as many, that with the "
    "larger budgets."
)


def verdicts(summaries: Iterable[Summary]) -> pd.DataFrame:
    """Return the rows of `claims` that were judged, with their `study`: of a claim and setting, those of one study.

    That is the study with the most seeds, and the first of the list among those with as many.
    """
    tables = [summary.claims.assign(study=summary.study.name) for summary in summaries]
    judged = [table[table["verdict"].isin(JUDGED)] for table in tables if len(table)]
    judged = [part for part in judged if len(part)]  # an empty table has columns without a type
    if not judged:
        return pd.DataFrame()
    rows = pd.concat(judged, ignore_index=True)
    seeds = rows.groupby([*SIDES, "study"])["n_seeds"].transform("min")
    rows = rows[seeds.eq(seeds.groupby([rows[column] for column in SIDES]).transform("max"))]
    first = rows.groupby(SIDES)["study"].transform("first")
    return rows[rows["study"].eq(first)].reset_index(drop=True)


def verdict_table(rows: pd.DataFrame) -> Table:
    """Return one row per claim and setting, with what was predicted beside the effect."""
    columns = [
        *text_columns("Claim", "Setting", "Mode", "Verdict"),
        *map(Column, ("Effect", "95 % interval")),
    ]
    columns += [*text_columns("Predicted", "Source"), Column("Seeds"), *text_columns("Study")]
    body = []
    for row in rows.itertuples():
        setting = Setting(row.dataset, int(row.way), int(row.shot)).label
        facts = words(row.source, f"{row.n_seeds:.0f}", row.study)
        body.append(Row([*words(row.claim, setting, row.mode, row.verdict), *effect_cells(row), *facts]))
    return Table("verdicts", "Claims of the literature", columns, body, caption=CAPTION)


def verdict_sentence(rows: pd.DataFrame) -> str:
    """Say how many claims hold in the first setting and how many of the others elsewhere, and quote those that do not.

    A claim that differs by mode or setting is undecided.
    """
    if rows.empty:
        return ""
    first = settings(rows)[0]
    here = rows[SETTING_COLUMNS].eq(list(first)).all(axis=1)
    others = rows[~rows["id"].isin(rows.loc[here, "id"])]
    said = f"{rows.loc[here, 'id'].nunique()} claims of the literature were judged on {first.label}: {_tally(rows[here])}."
    if others.empty:
        return said
    places = listed([setting.label for setting in settings(others)])
    return f"{said} {others['id'].nunique()} further on {places}: {_tally(others)}."


def _tally(rows: pd.DataFrame) -> str:
    """Return `6 supported, 2 refuted (“a” and “b”) and 6 undecided`."""
    found = rows.groupby("id", sort=False)["verdict"].agg(
        lambda all_: all_.iloc[0] if all_.nunique() == 1 else "undecided"
    )
    refuted = rows[rows["id"].isin(found[found.eq("refuted")].index)].drop_duplicates("id")
    counts = {verdict: f"{int(found.eq(verdict).sum())} {verdict}" for verdict in JUDGED}
    if len(refuted):
        quoted = [f"“{claim.rstrip('.')}”" for claim in refuted["claim"]]
        counts["refuted"] += f" ({listed(quoted)})"
    return listed(counts.values())
