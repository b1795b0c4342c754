"""Wrong input is named with the remedy; own files and variants are learners like any other."""

import pandas as pd
import pytest
import torch

from bench.paths import ROOT
from bench.protocol.learner import build_learner
from bench.protocol.sources import open_source
from bench.results.run_folder import read_run
from bench.study.study import load_study
from tests import planted
from tests.planted import RUN, bench, folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"algorithms": ["protonett"]}, "no algorithm 'protonett'"),
        ({"overrides": {"protonet": {"hiden": 3}}}, "protonet has no hyper-parameter 'hiden'"),
        ({"overrides": {"protonet": {"backbone": "vgg"}}}, "backbone: 'vgg' is not one of conv4"),
        ({"overrides": {"protonot": {"hidden": 3}}}, "'protonot' must name one algorithm of the study"),
        ({"overrides": {"protonet 7way": {"hidden": 3}}}, "may add tasks of it"),
        (
            {"shifts": {"severities": {"smeer": [1]}}},
            r"shifts.severities: no shift 'smeer' \(did you mean 'smear'\?\); known: smear, shear",
        ),
        (
            {"shifts": {"strengths": {"shear": [0.5, 2.0]}}},
            r"tiny.yaml: shifts.strengths.shear: value of shift 'shear' must be from -1.5 to 1.5 rad, not 2.0",
        ),
        (
            {"shifts": {"strengths": {"scale": [1]}}},
            "shifts.strengths.scale: 1 changes nothing and is tested in any case, as the clean task; leave it out",
        ),
        (
            {"shifts": {"strengths": {"phase": [1.0]}}},
            "shifts.strengths: no shift 'phase' of images; known: smear",
        ),
        ({"sheds": [1]}, "'sheds' was unexpected"),
        ({"train": {"stepz": 3}}, "train: .*'stepz' was unexpected.*known keys: device, minutes"),
        ({"seeds": []}, "seeds: "),
        (
            {"datasets": {"nowhere": {"ways": [3], "shots": [2]}}},
            "datasets.nowhere: unknown data set 'nowhere'",
        ),
        (
            {"datasets": {"miniimagenet": {"ways": [3], "shots": [2]}}},
            "run `python -m bench prepare miniimagenet`",
        ),
    ],
)
def test_wrong_input_is_named_with_the_remedy(home, capsys, changes, message):
    study = planted.write_study(home, **changes)
    dataset = next(iter(changes.get("datasets", {"planted": 0})))
    algorithm = changes.get("algorithms", ["protonet"])[0]
    assert bench("train", study, f"{dataset}/3way_2shot/{algorithm}/seed0") == 2
    error = capsys.readouterr().err
    assert pd.Series([error]).str.contains(message).all(), error
    assert "Traceback" not in error


def test_testing_an_untrained_run_says_what_to_do(home, capsys):
    study = planted.write_study(home)
    assert bench("test", study, RUN.format("protonet")) == 2
    assert "has no trained model: run `python -m bench train" in capsys.readouterr().err


def test_a_run_that_the_study_does_not_have(home, capsys):
    study = planted.write_study(home)
    assert bench("train", study, "planted/5way_1shot/protonet/seed9") == 2
    assert "has no run 'planted/5way_1shot/protonet/seed9'" in capsys.readouterr().err


def test_an_algorithm_file_outside_the_repository(home):
    outside = home / "mine.py"
    text = (ROOT / "algos" / "metric" / "protonet.py").read_text()
    outside.write_text(text.replace('title = "ProtoNet"', 'title = "Mine"'))
    study = planted.write_study(home, algorithms=[str(outside)], overrides={"mine": {"hidden": 8}})
    assert bench("train", study, RUN.format("mine")) == 0
    assert read_run(folder(home, "mine")).run["title"] == "Mine"


VARIANT = {"algorithm": "protonet", "params": {"learning_rate": 0.01, "train_way": 4}}


def test_a_variant_is_its_algorithm_with_other_settings(home):
    file = planted.write_study(home, variants={"wide": VARIANT}, overrides={"protonet": {"hidden": 8}})
    study = load_study(file)
    run, own = (study.run(RUN.format(name)) for name in ("wide", "protonet"))
    source = open_source("planted", None, torch.device("cpu"))
    variant, base = (build_learner(study.training_job(r), source) for r in (run, own))
    assert (variant.params.train_way, variant.params.hidden) == (4, 8), "its own, and its algorithm's"
    assert base.params.train_way != 4
    for one, other in zip(variant.parameters(), base.parameters(), strict=True):
        assert torch.equal(one, other), "both start from the same weights"
    assert bench("train", file, run.name) == 0 and bench("test", file, run.name) == 0
    record = read_run(run.folder).run
    assert (record["algorithm"], record["variant_of"]) == ("wide", "protonet")
    assert record["title"] == "ProtoNet (learning_rate 0.01, train_way 4)"


@pytest.mark.parametrize(
    "variants, message",
    [
        ({"maml": VARIANT}, "variants: 'maml' is an algorithm; give the variant another name"),
        ({"wide": {"algorithm": "protonets", "params": {"hidden": 8}}}, "no algorithm 'protonets'"),
        ({"wide": {"algorithm": "protonet", "params": {"widht": 8}}}, "wide has no hyper-parameter 'widht'"),
        ({"wide": {"algorithm": "protonet", "params": {}}}, "variants.wide.params"),
        (
            {"wide": {"algorithm": "protonet"}},
            "variants.wide.params: name a hyper-parameter, or a pretraining",
        ),
        (
            {"wide": {"algorithm": "finetune", "pretraining": "supervized"}},
            "variants.wide.pretraining: there is no 'supervized' (did you mean 'supervised'?); there are supervised",
        ),
        (
            {"wide": {"algorithm": "protonet", "pretraining": "supervised"}},
            "variants.wide.pretraining: protonet starts from no pretraining; leave the key out",
        ),
    ],
)
def test_a_wrong_variant_is_named(home, capsys, variants, message):
    assert bench("train", planted.write_study(home, variants=variants), RUN.format("wide")) != 0
    assert message in capsys.readouterr().err
