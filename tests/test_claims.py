"""Verdicts on claims: known effects in synthetic studies, margins, and files that are wrong."""

import numpy as np
import pandas as pd
import pytest
import yaml

from bench.statistics import claims
from bench.statistics.claim_effects import subtracted
from bench.statistics.claims import judge, judge_study, load_claims
from bench.statistics.intervals import Interval
from bench.study.study import load_study
from tests.synthetic import make_study

BASE = {
    "id": "a-claim",
    "claim": "A.",
    "source": "B",
    "predicts": "greater",
    "margin": 0.0,
    "figure": "table",
}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Skills and losses per severity are set in tests/synthetic_learners.py: protonet 2.2 and 0.35, lstm 1.2 and 0.55."""
    root = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        path = make_study(
            root,
            algorithms=("pixel_nn", "protonet", "matching", "maml", "lstm"),
            datasets={"glyphs": {"ways": [5], "shots": [1]}},
            experiments={"steps": [50], "shots": [5], "within_alphabet": True},
            seeds=(0, 1, 2),
        )
        yield load_study(path)


def verdict(study, left, right, **changes) -> pd.Series:
    claim = BASE | {"metric": "accuracy", "change": False, "left": left, "right": right} | changes
    (row,) = judge_study(study, [claim]).to_dict("records")
    return pd.Series(row)


@pytest.mark.parametrize(
    ("low", "high", "predicts", "margin", "expected"),
    [
        (0.03, 0.05, "greater", 0.02, "supported"),
        (0.01, 0.05, "greater", 0.02, "undecided"),
        (0.01, 0.015, "greater", 0.02, "refuted"),
        (-0.05, -0.03, "less", 0.02, "supported"),
        (-0.01, 0.01, "less", 0.02, "refuted"),
        (-0.005, 0.02, "not_less", 0.01, "supported"),
        (-0.03, -0.02, "not_less", 0.01, "refuted"),
        (-0.02, 0.0, "not_less", 0.01, "undecided"),
        (-0.005, 0.005, "equal", 0.01, "supported"),
        (0.02, 0.03, "equal", 0.01, "refuted"),
        (-0.03, -0.02, "equal", 0.01, "refuted"),
        (-0.005, 0.02, "equal", 0.01, "undecided"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low, high, predicts, margin, expected):
    assert judge(low, high, predicts, margin) == expected


def test_a_large_difference_is_found_and_its_opposite_refuted(study):
    better, worse = {"algorithms": ["protonet"]}, {"algorithms": ["lstm"]}
    row = verdict(study, better, worse, margin=0.02)
    assert row["verdict"] == "supported" and row["low"] > 0.02 and row["n_seeds"] == 3
    assert verdict(study, worse, better)["verdict"] == "refuted"
    assert verdict(study, better, worse, predicts="less")["verdict"] == "refuted"


def test_a_change_is_measured_from_the_clean_episodes(study):
    """lstm falls by more per severity than maml does; its level is lower, too, which must not matter."""
    at = {"shift": ["smear", "shear"], "severity": "highest", "scope": "task"}
    sides = {"algorithms": ["maml"], "at": at}, {"algorithms": ["lstm"], "at": at}
    row = verdict(study, *sides, change=True, margin=0.02)
    assert row["verdict"] == "supported" and row["n_episodes"] == 100
    value = (
        verdict(study, *sides)["effect"]
        - verdict(study, {"algorithms": ["maml"]}, {"algorithms": ["lstm"]})["effect"]
    )
    assert row["effect"] == pytest.approx(value, abs=0.02)


def test_the_same_models_are_paired_by_seed_as_well(study):
    row = verdict(
        study,
        {"algorithms": ["maml"], "at": {"test_steps": 50}},
        {"algorithms": ["maml"]},
        predicts="equal",
        margin=0.03,
    )
    assert row["verdict"] == "supported" and abs(row["effect"]) < 0.01


def test_other_tasks_have_episodes_of_their_own(study):
    sides = (
        {"family": "metric-based", "at": {"test_shot": 5}},
        {"algorithms": ["lstm"], "at": {"test_shot": 5}},
    )
    row = verdict(study, *sides, change=True, predicts="equal", margin=0.2)
    assert row["verdict"] == "supported" and row["n_episodes"] == 60


@pytest.mark.filterwarnings("ignore:Precision loss")  # equal costs within a side: these runs are made up
def test_costs_are_compared_by_run(study):
    row = verdict(
        study,
        {"family": "model-based"},
        {"family": "metric-based"},
        metric="tasks_to_reach",
        reach=0.5,
        margin=3.0,
    )
    assert row["verdict"] == "refuted" and abs(row["effect"]) < 1 and row["n_seeds"] == 3


def test_what_the_study_lacks_is_named(study):
    row = verdict(study, {"algorithms": ["snail", "metanet"]}, {"algorithms": ["maml"]})
    assert (row["verdict"], row["reason"]) == ("untested", "no snail, metanet")
    row = verdict(study, {"algorithms": ["protonet"], "at": {"test_tasks": "lake"}}, {"algorithms": ["maml"]})
    assert (
        row["verdict"] == "untested"
        and "protonet was not tested under {'test_tasks': 'lake'}" in row["reason"]
    )
    regression = BASE | {
        "metric": "coverage",
        "change": False,
        "left": {"family": "baseline"},
        "right": {"constant": 0.95},
    }
    assert judge_study(study, [regression]).empty, (
        "no claim on intervals applies to a study of classification"
    )


def test_the_declared_claims_are_valid_and_many():
    declared = load_claims(claims.FILE)
    assert len(declared) >= 12
    assert {claim["figure"] for claim in declared} <= {"table", "shifts", "other", "learning", "cost"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lfet": 1}, "'lfet' was unexpected"),
        ({"predicts": "more"}, "'more' is not one of"),
        ({"metric": "tasks_to_reach"}, "a-claim: `reach` belongs to metric tasks_to_reach"),
        ({"left": {"algorithms": ["a"], "family": "baseline"}}, "claims\\[0\\].left"),
    ],
)
def test_wrong_claims_are_refused(tmp_path, changes, message):
    sides = {"left": {"algorithms": ["maml"]}, "right": {"constant": 0.5}}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"claims": [BASE | sides | changes]}))
    with pytest.raises(ValueError, match=message):
        load_claims(path)
    path.write_text(yaml.safe_dump({"claims": [BASE | sides, BASE | sides]}))
    with pytest.raises(ValueError, match="the id 'a-claim' occurs twice"):
        load_claims(path)


def test_quadrature_of_independent_differences():
    one = Interval(*(np.array(x) for x in (0.5, 0.4, 0.7, 0.0)), "episodes")
    two = Interval(*(np.array(x) for x in (0.2, 0.1, 0.3, 0.0)), "episodes")
    found = subtracted(one, two)
    assert float(found.mean) == pytest.approx(0.3)
    assert float(found.low) == pytest.approx(0.3 - np.hypot(0.1, 0.1))
    assert float(found.high) == pytest.approx(0.3 + np.hypot(0.2, 0.1))


def test_one_seed_decides_no_claim(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path,
        algorithms=("protonet", "lstm"),
        datasets={"glyphs": {"ways": [5], "shots": [1]}},
        shifts={},
        seeds=(0,),
    )
    row = verdict(load_study(path), {"algorithms": ["protonet"]}, {"algorithms": ["lstm"]}, margin=0.02)
    assert row["low"] > 0.02 and row["verdict"] == "undecided" and row["reason"].startswith("one seed")
