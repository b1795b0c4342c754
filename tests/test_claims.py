"""Verdicts on claims: known effects in synthetic studies, margins, and files that are wrong."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

from bench.paths import results_root
from bench.statistics import claims
from bench.statistics.claim_effects import subtracted
from bench.statistics.claims import judge, judge_study, load_claims
from bench.statistics.intervals import Interval
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import edit_json, make_study

BASE = {
    "id": "a-claim",
    "claim": "A.",
    "source": "B",
    "predicts": "greater",
    "margin": 0.0,
    "figure": "table",
}

pytestmark = pytest.mark.filterwarnings("ignore:Precision loss")  # equal costs within a side: made up
DEFAULTS = {"metric": "accuracy", "change": False, "mode": "same"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """Skills and losses per severity are set in tests/synthetic_learners.py: protonet 2.2 and 0.35, lstm 1.2 and 0.55."""
    root = tmp_path_factory.mktemp("claims")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        path = make_study(
            root,
            algorithms=("pixel_nn", "protonet", "matching", "maml", "snail", "lstm"),
            datasets={"glyphs": {"ways": [5], "shots": [1]}},
            experiments={"steps": [50], "shots": [5], "within_alphabet": True},
            seeds=(0, 1, 2),
        )
        yield load_study(path)


def verdict(study, left, right, **changes) -> pd.Series:
    changes = {"mode": "paper"} | changes
    (row,) = judge_study(study, [BASE | DEFAULTS | {"left": left, "right": right} | changes]).to_dict(
        "records"
    )
    return pd.Series(row)


def by_mode(study, left, right, **changes) -> pd.DataFrame:
    return judge_study(study, [BASE | DEFAULTS | {"left": left, "right": right} | changes]).set_index("mode")


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


MODEL, METRIC = {"family": "model-based"}, {"family": "metric-based"}


def test_costs_are_means_by_algorithm(study):
    """Two algorithms a side, whatever the number of seeds: the curves are alike, so nothing is decided."""
    row = verdict(study, MODEL, METRIC, metric="images_to_reach", reach=0.5, margin=3.0)
    assert row["verdict"] == "refuted" and abs(row["effect"]) < 1 and row["n_seeds"] == 3
    row = verdict(study, {"algorithms": ["lstm"]}, METRIC, metric="images_to_reach", reach=0.5, margin=3.0)
    assert (row["verdict"], row["reason"]) == ("untested", "fewer than two algorithms on a side have a cost")


def test_an_accuracy_never_reached_is_a_bound(study):
    """Both sides saw all images without reaching it: neither direction can be decided, whatever the interval."""
    row = verdict(study, MODEL, METRIC, metric="images_to_reach", reach=1.0, margin=3.0)
    assert row["verdict"] == "undecided" and row["reason"].startswith("not reached by snail, lstm, protonet")
    row = verdict(study, MODEL, METRIC, metric="images_to_reach", reach=0.01, margin=3.0)
    assert row["verdict"] == "undecided" and "reached by the first validation of snail, lstm" in row["reason"]


def altered(study, tmp_path, monkeypatch, change, *algorithms: str):
    """The study with other records of some algorithms."""
    shutil.copytree(results_root(), tmp_path / "results")
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    for name in algorithms:
        for path in (tmp_path / f"results/synthetic/glyphs/5way_1shot/{name}").glob("seed*/run.json"):
            edit_json(path, change)
    return study


def test_images_count_not_tasks(study, tmp_path, monkeypatch):
    """Tasks of eight times as many ways hold eight times as many images."""
    before = verdict(study, MODEL, METRIC, metric="images_to_reach", reach=0.5)["effect"]
    wide = altered(
        study,
        tmp_path,
        monkeypatch,
        lambda r: r["hyper_parameters"].update(train_way=40),
        "protonet",
        "matching",
    )
    assert verdict(wide, MODEL, METRIC, metric="images_to_reach", reach=0.5)["effect"] == pytest.approx(
        before - 3
    )


def test_times_of_different_devices_are_not_compared(study, tmp_path, monkeypatch):
    assert verdict(study, MODEL, METRIC, metric="adapt_ms")["verdict"] != "untested"
    root = tmp_path / "results/synthetic/glyphs/5way_1shot/snail"
    mixed = altered(study, tmp_path, monkeypatch, lambda record: None)
    for path in root.glob("seed*/test.json"):
        edit_json(path, lambda record: record["provenance"].update(device="cuda"))
    row = verdict(mixed, MODEL, METRIC, metric="adapt_ms")
    assert (row["verdict"], row["reason"]) == ("untested", "times of different devices: cpu, cuda")


@pytest.mark.parametrize(
    ("key", "change", "reason"),
    [
        ("network", {"backbone": "conv4_stride"}, "different networks: protonet conv4_stride, matching "),
        ("meta_batch", {"meta_batch": 1}, "different meta-batches: protonet 1, matching 16"),
        ("train_way", {"train_way": 20}, "different ways: protonet 20, matching 5"),
        ("images", {"train_query": 9}, "different training images: protonet 480000, matching 288000"),
    ],
)
def test_learners_that_were_trained_differently_are_not_judged(
    study, tmp_path, monkeypatch, key, change, reason
):
    sides, alike = ({"algorithms": ["protonet"]}, {"algorithms": ["matching"]}), {"alike": [key]}
    assert verdict(study, *sides, **alike)["verdict"] != "untested"
    other = altered(study, tmp_path, monkeypatch, lambda r: r["hyper_parameters"].update(change), "protonet")
    row = verdict(other, *sides, **alike)
    assert row["verdict"] == "untested" and row["reason"] == f"trained with {reason}"
    assert verdict(other, *sides)["verdict"] != "untested"


def test_both_sides_are_judged_in_one_mode(study):
    """MAML's paper is transductive, SNAIL's inductive, and the LSTM has no batch statistics: it stands for both modes."""
    rows = by_mode(study, {"algorithms": ["maml"]}, {"algorithms": ["snail", "lstm"]})
    assert list(rows.index) == ["inductive", "transductive"]
    assert rows["effect"].nunique() == 2
    assert list(by_mode(study, {"algorithms": ["protonet"]}, {"algorithms": ["snail", "lstm"]}).index) == [
        "inductive"
    ]
    assert list(by_mode(study, {"algorithms": ["pixel_nn"]}, {"algorithms": ["lstm"]}).index) == ["paper"]


def test_a_claim_belongs_to_its_splits(study):
    sides = {"left": {"algorithms": ["protonet"]}, "right": {"algorithms": ["lstm"]}}
    assert judge_study(study, [BASE | DEFAULTS | sides | {"splits": ["noisy"]}]).empty
    assert len(judge_study(study, [BASE | DEFAULTS | sides | {"splits": ["default"]}])) == 1


def test_claims_and_comparisons_have_the_same_interval(study):
    """One function: a verdict never contradicts the table of differences."""
    pairs = pd.read_csv(summarize(study) / "comparisons.csv").set_index(["algorithm_a", "algorithm_b"])
    pair = pairs[pairs["shift"].eq("none") & pairs["test_shot"].eq(1) & pairs["test_tasks"].eq("standard")]
    pair = pair[pair["test_steps"].eq(-1)].loc[("protonet", "maml")]
    row = verdict(study, {"algorithms": ["protonet"]}, {"algorithms": ["maml"]})
    assert (row["low"], row["high"]) == pytest.approx((pair["low"], pair["high"]), abs=1e-5)


def test_what_the_study_lacks_is_named(study):
    row = verdict(study, {"algorithms": ["reptile", "metanet"]}, {"algorithms": ["maml"]})
    assert (row["verdict"], row["reason"]) == ("untested", "no reptile, metanet")
    row = verdict(study, {"algorithms": ["protonet"], "at": {"test_tasks": "lake"}}, {"algorithms": ["maml"]})
    assert (
        row["verdict"] == "untested"
        and "protonet was not tested under {'test_tasks': 'lake'}" in row["reason"]
    )
    regression = BASE | {
        **DEFAULTS,
        "metric": "coverage",
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
        ({"metric": "images_to_reach"}, "a-claim: `reach` belongs to metric images_to_reach"),
        (
            {"right": {"algorithms": ["maml"], "at": {"test_shot": 5}}, "left": {"algorithms": ["a"]}},
            "need the same `at`",
        ),
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
    one = Interval(*(np.array(x) for x in (0.5, 0.4, 0.7)), "episodes")
    two = Interval(*(np.array(x) for x in (0.2, 0.1, 0.3)), "episodes")
    found = subtracted(one, two)
    assert float(found.mean) == pytest.approx(0.3)
    assert float(found.low) == pytest.approx(0.3 - np.hypot(0.1, 0.1))
    assert float(found.high) == pytest.approx(0.3 + np.hypot(0.2, 0.1))


def test_one_seed_is_judged_by_the_spread_of_the_other_learners(study, tmp_path, monkeypatch):
    one = altered(study, tmp_path, monkeypatch, lambda record: None)
    for seed in (1, 2):
        shutil.rmtree(tmp_path / f"results/synthetic/glyphs/5way_1shot/protonet/seed{seed}")
    row = verdict(one, {"algorithms": ["protonet"]}, {"algorithms": ["lstm"]})
    assert row["n_seeds"] == 1 and row["verdict"] == "supported"


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
