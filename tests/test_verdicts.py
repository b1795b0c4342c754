"""The claims of the literature in the READMEs: which study judges, what is counted, and that both are those of the tables."""

import re
from types import SimpleNamespace

import pandas as pd
import pytest

from bench.report.verdicts import verdict_sentence, verdict_table, verdicts
from tests.reference_runs import ROOT

SHARED = {
    "dataset": "omniglot",
    "way": 5,
    "shot": 1,
    "metric": "accuracy",
    "predicts": "greater",
    "margin": 0.0,
}
SHARED |= {"source": "Someone 2020", "figure": "table", "reason": None, "n_episodes": 100}


def judged(name, verdict, n_seeds, mode="inductive", effect=0.05, **other):
    row = SHARED | {
        "id": name,
        "claim": f"{name} holds.",
        "verdict": verdict,
        "n_seeds": n_seeds,
        "mode": mode,
    }
    return row | {"effect": effect, "low": effect - 0.01, "high": effect + 0.01} | other


def study(name, *rows):
    return SimpleNamespace(study=SimpleNamespace(name=name), claims=pd.DataFrame(rows))


@pytest.fixture
def found():
    large = study(
        "large",
        judged("as many", "supported", 3),
        judged("fewer", "supported", 1),
        judged("untested here", "untested", None),
        judged("by mode", "supported", 3),
        judged("by mode", "refuted", 3, "transductive"),
    )
    small = study(
        "small",
        judged("as many", "refuted", 3),
        judged("fewer", "refuted", 3, effect=-0.05),
        judged("untested here", "undecided", 3),
        judged("elsewhere", "refuted", 3, way=20),
    )
    return verdicts(
        [large, small, SimpleNamespace(study=SimpleNamespace(name="none"), claims=pd.DataFrame())]
    )


def test_most_seeds_judge_then_the_first_study_and_what_is_untested_never(found):
    chosen = found.set_index(["id", "mode"])[["study", "verdict"]].apply(tuple, axis=1).to_dict()
    assert chosen == {
        ("as many", "inductive"): ("large", "supported"),
        ("by mode", "inductive"): ("large", "supported"),
        ("by mode", "transductive"): ("large", "refuted"),
        ("fewer", "inductive"): ("small", "refuted"),
        ("untested here", "inductive"): ("small", "undecided"),
        ("elsewhere", "inductive"): ("small", "refuted"),
    }


def test_a_row_has_effect_prediction_and_what_is_behind_it(found):
    (row,) = [row for row in verdict_table(found).rows if row.cells[0].text == "fewer holds."]
    assert [cell.text for cell in row.cells] == [
        *(
            "fewer holds.",
            "Omniglot 5-way 1-shot",
            "inductive",
            "refuted",
            "−5.0",
            "−6.0 to −4.0",
            "above 0.0",
        ),
        *("Someone 2020", "3", "small"),
    ]


def test_the_sentence_counts_claims_of_one_setting_and_quotes_the_refuted(found):
    assert verdict_sentence(found) == (
        "4 claims of the literature were judged on Omniglot 5-way 1-shot: 1 supported, 1 refuted (“fewer holds”) and "
        "2 undecided. 1 further on Omniglot 20-way 1-shot: 0 supported, 1 refuted (“elsewhere holds”) and 0 undecided."
    )
    assert " further on " not in verdict_sentence(found[found["way"].eq(5)])
    assert verdict_sentence(verdicts([])) == ""


def test_the_readme_of_this_project_counts_what_its_tables_say():
    tables = [
        pd.read_csv(path).assign(path=path)
        for path in (ROOT / "results/reference").glob("*/tables/claims.csv")
    ]
    rows = pd.concat(tables).query(
        "dataset == 'omniglot' and way == 5 and shot == 1 and verdict != 'untested'"
    )
    seeds = rows.groupby("id")["n_seeds"].max()
    counted = re.search(
        r"(\d+) claims of the literature .*? (\d+) supported, (\d+) refuted(?: \(“.*?”\))? and (\d+) undecided",
        (ROOT / "README.md").read_text(),
    )
    judged_claims, *by_verdict = map(int, counted.groups())
    assert judged_claims == len(seeds) == sum(by_verdict)
    single = rows[rows.groupby("id")["path"].transform("nunique").eq(1) & ~rows.duplicated("id", keep=False)]
    for verdict, count in zip(("supported", "refuted"), by_verdict, strict=False):
        assert count >= int(single["verdict"].eq(verdict).sum())
    text = (ROOT / "results/reference/README.md").read_text()
    for row in rows[rows["n_seeds"].eq(rows["id"].map(seeds))].drop_duplicates("id").itertuples():
        assert f"| {row.claim} | Omniglot 5-way 1-shot |" in text


@pytest.mark.parametrize("study", ["omniglot_cpu", "omniglot_small"])
def test_the_page_says_how_many_seeds_are_behind_a_verdict(study):
    judged = pd.read_csv(ROOT / f"results/reference/{study}/tables/claims.csv").query("verdict != 'untested'")
    shown = pd.read_csv(ROOT / f"reports/reference/{study}/tables/claims.csv")
    assert shown["Verdict"].tolist() == judged["verdict"].tolist()
    assert shown["Seeds"].tolist() == judged["n_seeds"].astype(int).tolist()
