"""Sanity rules of data/published.csv: a typing error there would put a wrong number beside ours."""

import re

import pytest

from algos.nets.backbones import BACKBONES
from bench.results.published import load_published, published, shift_readings, used
from tasks.shift_table import SHIFTS

# Stems of the algorithms the project compares (issues 2 to 5); a row for anything else would never be shown.
STEMS = set(
    "lstm ntm mann metanet snail meta_lstm maml fomaml reptile alpaca metaopt_svm metaopt_ridge sca anil mamlpp "
    "siamese matching matching_fce relation protonet pixel_nn finetune cosine_finetune scratch".split()
)
KEY = ["algorithm", "dataset", "way", "shot", "mode", "network"]


@pytest.fixture(scope="module")
def rows():
    return load_published()


def test_names_and_settings_are_ours(rows):
    assert set(rows["algorithm"]) <= STEMS
    assert set(rows["dataset"]) == {"omniglot", "miniimagenet", "sinusoid"}
    assert set(rows["confidence"]) == {"high"}
    assert rows["way"].between(1, 20).all() and rows["shot"].between(0, 10).all()
    first = rows[rows["shot"].eq(0)]  # only a stream asks for a class that has not been seen yet
    assert first["variant"].str.contains("streaming presentations").all()
    assert (rows["way"].eq(1) == rows["metric"].eq("mse")).all(), "one 'way' means regression"


def test_values_are_fractions_above_chance(rows):
    accuracy = rows[rows["metric"].eq("accuracy")]
    assert accuracy["accuracy"].between(0, 1).all()
    assert (accuracy["accuracy"] > 1 / accuracy["way"]).all()
    assert accuracy["ci95"].dropna().between(0.0001, 0.03).all(), (
        "an interval in percent would be 100 times wider"
    )
    assert rows.loc[rows["metric"].eq("mse"), "accuracy"].between(0.05, 10).all()


def test_one_headline_per_setting_mode_and_network(rows):
    headline = rows[rows["headline"]]
    assert not headline.duplicated(KEY).any(), headline[headline.duplicated(KEY, keep=False)][KEY].to_string()
    assert not rows.duplicated([*KEY, "variant", "backbone", "source_paper", "accuracy"]).any()


def test_more_shots_never_hurt_in_the_headlines(rows):
    """Within one paper and mode, 5-shot is above 1-shot and 5-way above 20-way; a swapped pair breaks this."""
    accuracy = rows[rows["headline"] & rows["metric"].eq("accuracy")]
    for _, group in accuracy.groupby(["algorithm", "dataset", "mode", "backbone", "way"]):
        assert group.sort_values("shot")["accuracy"].is_monotonic_increasing
    for _, group in accuracy.groupby(["algorithm", "dataset", "mode", "backbone", "shot"]):
        assert group.sort_values("way")["accuracy"].is_monotonic_decreasing


def test_every_row_names_its_source(rows):
    assert rows["source_paper"].map(lambda s: bool(re.search(r"\b(19|20)\d\d\b", s))).all()
    assert rows["source_table"].notna().all() and rows["variant"].notna().all()


def test_known_values():
    """Spot checks against numbers everybody quotes: catches a shifted column."""
    assert published("protonet", "omniglot", 5, 1)["accuracy"] == 0.988
    assert published("maml", "miniimagenet", 5, 1)["ci95"] == 0.0184
    assert published("reptile", "omniglot", 5, 1, "inductive")["accuracy"] == 0.9539
    assert published("reptile", "omniglot", 5, 1, "transductive")["accuracy"] == 0.9768


def test_mode_must_match_unless_the_paper_leaves_it_open():
    assert published("maml", "omniglot", 5, 1, "inductive") is None
    assert published("matching", "omniglot", 5, 1, "inductive")["mode"] == "unknown"
    assert published("protonet", "glyphs", 5, 1) is None


def test_a_value_of_another_network_or_harness_is_named():
    """MetaOptNet's 62.6 is of ResNet-12; our run with Conv4 stands beside the 52.9 that the paper has for it."""

    def beside(algorithm, dataset, network, mode="inductive"):
        row = published(algorithm, dataset, 5, 1, mode, network)
        return row["accuracy"], row["apart"]

    assert beside("metaopt_svm", "miniimagenet", "conv4") == (0.5287, "")
    assert beside("metaopt_ridge", "miniimagenet", "conv4") == (0.5323, "")
    assert beside("metaopt_svm", "miniimagenet", "resnet12") == (0.6264, "")
    assert beside("metaopt_svm", "miniimagenet", "r2d2") == (0.6264, "ResNet-12")
    assert beside("snail", "miniimagenet", "conv4") == (0.5571, "modified ResNet-12 + SNAIL")
    assert beside("snail", "miniimagenet", "snail_resnet") == (0.5571, "")
    assert beside("maml", "omniglot", "conv4", "transductive") == (0.987, "Conv4-64 strided")
    assert beside("maml", "omniglot", "conv4_stride", "transductive") == (0.987, "")
    assert beside("fomaml", "omniglot", "conv4_stride", "transductive") == (0.983, "Nichol's harness")
    assert beside("relation", "omniglot", "conv4_valid", "transductive") == (0.996, "")
    assert beside("siamese", "omniglot", "conv4") == (0.967, "conv siamese")
    assert beside("metanet", "omniglot", None) == (0.9895, ""), "its network is part of the method"


def test_networks_are_ours_and_a_run_names_its_own(rows):
    assert set(rows["network"].dropna()) <= set(BACKBONES) | {"snail_resnet"}
    assert used("backbone", {"steps": 3, "backbone": "conv4"}) == "conv4"
    assert used("backbone", {"epochs": 3, "supervised.backbone": "resnet12"}) == "resnet12"
    assert used("backbone", {"steps": 3}) is None


def test_an_unknown_word_is_an_error(tmp_path):
    bad = tmp_path / "published.csv"
    text = "algorithm,dataset,way,shot,accuracy,ci95,metric,transductive,headline\nmaml,omniglot,5,1,0.9,,accuracy,maybe,True\n"
    bad.write_text(text)
    with pytest.raises(ValueError, match=r"published.csv: column transductive holds \['maybe'\]"):
        load_published(bad)


def test_readings_of_a_figure_are_whole_curves_with_their_peak_at_the_clean_task():
    rows = shift_readings()
    assert set(rows["algorithm"]) == {"maml", "snail", "metanet"}
    for (shift, _), curve in rows.groupby(["shift", "algorithm"]):
        for value in curve["value"]:
            SHIFTS[shift].check(value)
        assert len(curve) == {"shear": 7, "scale": 6}[shift] and curve["value"].is_unique
        clean = curve["value"].eq(SHIFTS[shift].identity)
        assert clean.sum() == 1 and not curve.loc[clean, "upper"].any()
        falling = curve["accuracy"] - curve.loc[clean, "accuracy"].iloc[0]
        assert falling.between(-0.31, 0.0015).all(), "readings are accurate to 0.001"
    clean = rows[rows["value"].eq(rows["shift"].map(lambda name: SHIFTS[name].identity))]
    assert (clean.groupby("algorithm")["accuracy"].nunique() == 1).all(), "both plots show the same models"
    assert rows.loc[rows["upper"], "algorithm"].tolist() == ["metanet"] * 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("shear,0.1,maml,0.9,lower", r"readings.csv: column bound holds \['lower'\]"),
        ("shear,0.1,maml,90,", "readings.csv: column accuracy holds 90"),
    ],
)
def test_a_wrong_reading_is_an_error(tmp_path, row, message):
    (tmp_path / "readings.csv").write_text(f"# a comment\nshift,value,algorithm,accuracy,bound\n{row}\n")
    with pytest.raises(ValueError, match=message):
        shift_readings(tmp_path / "readings.csv")
