"""The supervised pretrainings of Baseline and Baseline++, alone and as part of a study (card E26)."""

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from safetensors.torch import load_file

from bench.__main__ import main
from bench.protocol import checkpoint
from bench.results.run_folder import read_run
from bench.study.study import load_study
from tests import planted
from tests.workspace import Workspace

ROOT = Path(__file__).parents[1]
STAGES = {"finetune": "supervised", "cosine_finetune": "supervised_cosine"}


@pytest.mark.parametrize("name", STAGES.values())
def test_the_pretraining_learns_to_tell_the_training_classes(name):
    pretraining = planted.small_pretraining(name, steps=150, learning_rate=0.01)
    losses = planted.trained(pretraining, 150)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
    assert planted.accuracy(pretraining, planted.episodes(tasks=50)) > 0.9


def test_the_cosine_stage_trains_the_classifier_of_the_paper_and_selects_by_the_cosine():
    stage = planted.small_pretraining("supervised_cosine", hidden=4).eval()
    features = torch.randn(1, 6, stage.encoder.features)
    classes = stage.head.direction / stage.head.direction.norm(dim=0) * stage.head.length
    expected = 2 * F.cosine_similarity(features[0].unsqueeze(2), classes.unsqueeze(0), dim=1)
    lengths = stage.head.length / classes.norm(dim=0)
    torch.testing.assert_close(
        stage.head(features)[0], expected * stage.head.length * lengths, rtol=1e-3, atol=1e-4
    )
    means = torch.randn(1, 3, stage.encoder.features)
    scores = stage.score(means, features)[0]
    torch.testing.assert_close(scores, F.cosine_similarity(features[0].unsqueeze(1), means, dim=2))
    torch.testing.assert_close(stage.score(7 * means, features)[0], scores), "lengths do not matter"


def test_every_hyper_parameter_of_the_pretraining_has_an_effect():
    changes = {"batch_size": 7, "learning_rate": 0.1, "hidden": 5, "backbone": "conv4_stride", "steps": 4,
               "augment": True, "schedule": "constant"}  # fmt: skip

    def outcome(**values):
        return planted.trained(planted.small_pretraining("supervised", **{"steps": 8, **values}), 3)

    default = outcome()
    assert all(outcome(**{key: value}) != default for key, value in changes.items())
    halved = {"schedule": "halve", "halve_every": 1}
    assert outcome(**halved) != outcome(**halved | {"halve_every": 2})
    known = {entry.name for entry in dataclasses.fields(planted.small_pretraining("supervised").Params)}
    assert known == {*changes, "halve_every"}


BOTH = ["finetune", "cosine_finetune"]
PRETRAINING = "planted/supervised/seed0"
SIZES = {"hidden": 8, "batch_size": 32}
SMALL = {"supervised": SIZES}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    return tmp_path


def bench(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def run_name(algorithm: str) -> str:
    return f"planted/3way_2shot/{algorithm}/seed0"


def test_each_starts_from_the_features_of_its_own_stage_and_states_their_cost(home):
    steps = {
        "supervised": 120,
        "supervised_cosine": 400,
    }  # with scale 2, a cosine classifier of 160 classes learns slowly
    values = {stage: SIZES | {"steps": count, "learning_rate": 0.01} for stage, count in steps.items()}
    train = {
        "validate_every": 400,
        "validation_episodes": 8,
        "device": "cpu",
    }  # so that the last checkpoint is kept
    study = planted.write_study(home, algorithms=BOTH, overrides=values, train=train)
    root = home / "results" / "tiny"
    heads = {"finetune": {"head.weight", "head.bias"}, "cosine_finetune": {"head.direction", "head.length"}}
    for algorithm, stage in STAGES.items():
        shared = f"planted/{stage}/seed0"
        assert bench("train", study, shared) == 0
        trunk = load_file(root / shared / "model.safetensors")
        pretraining = read_run(root / shared)
        name = run_name(algorithm)
        assert bench("train", study, name) == bench("test", study, name) == 0
        run = read_run(root / name)
        weights = load_file(root / name / "model.safetensors")
        assert all(torch.equal(weights[key], trunk[key]) for key in weights)
        assert set(trunk) - set(weights) == heads[algorithm]
        assert run.status == "ok" and run.history().equals(pretraining.history())
        assert run.run["training"]["cpu_seconds"] == pretraining.run["training"]["cpu_seconds"] > 0
        assert run.run["hyper_parameters"][f"{stage}.hidden"] == 8
        assert run.episodes().query("shift == 'none' and mode == 'inductive'")["accuracy"].mean() > 0.8


def test_a_variant_may_start_from_another_pretraining(home):
    """Baseline++'s head on Baseline's features: a method of its own, beside which no value of Baseline++ stands."""
    variants = {"linear_features": {"algorithm": "cosine_finetune", "pretraining": "supervised"}}
    values = {"supervised": SIZES | {"steps": 3}, "supervised_cosine": SIZES | {"steps": 3}}
    study = planted.write_study(home, algorithms=["cosine_finetune"], variants=variants, overrides=values)
    root, name = home / "results" / "tiny", run_name("linear_features")
    shared = load_study(study).pretrainings()
    assert [run.name for run in shared] == ["planted/supervised_cosine/seed0", PRETRAINING]
    assert (
        bench("train", study, PRETRAINING) == bench("train", study, name) == bench("test", study, name) == 0
    )
    trunk, weights = (load_file(root / run / "model.safetensors") for run in (PRETRAINING, name))
    assert all(torch.equal(weights[key], trunk[key]) for key in weights)
    record = read_run(root / name).run
    assert (record["algorithm"], record["variant_of"]) == ("linear_features", "cosine_finetune")
    assert record["title"] == "Baseline++ (pretraining supervised)"
    assert record["hyper_parameters"]["supervised.hidden"] == 8


def test_a_missing_pretraining_is_named_with_the_command(home, capsys):
    study = planted.write_study(home, algorithms=["finetune"], overrides=SMALL)
    assert bench("train", study, run_name("finetune")) == 2
    assert f"python -m bench train {study} {PRETRAINING}`" in capsys.readouterr().err


def test_a_diverged_pretraining_makes_diverged_runs(home):
    wild = {"supervised": {"hidden": 8, "learning_rate": 1e30}}
    study = planted.write_study(home, algorithms=["finetune"], overrides=wild)
    assert bench("train", study, PRETRAINING) == 0
    assert bench("train", study, run_name("finetune")) == bench("test", study, run_name("finetune")) == 0
    run = read_run(home / "results" / "tiny" / run_name("finetune"))
    assert run.status == "diverged" and run.episodes().empty


def test_a_stopped_pretraining_resumes_to_the_same_bytes(home):
    """SIGTERM in the middle, then the same command again; augmentation draws from the global generator."""
    values = {"supervised": SMALL["supervised"] | {"augment": True}}
    train = {"steps": 300, "validate_every": 50, "validation_episodes": 8, "device": "cpu"}
    models = []
    for name in ("undisturbed", "disturbed"):
        study = planted.write_study(home, study=name, algorithms=["finetune"], overrides=values, train=train)
        folder = home / "results" / name / PRETRAINING
        if name == "disturbed":
            command = [sys.executable, "-m", "bench", "train", str(study), PRETRAINING]
            process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
            process.stderr.readline()  # the first validation
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            assert process.returncode == 130 and (folder / checkpoint.NAME).exists()
        assert bench("train", study, PRETRAINING) == 0
        models.append((folder / "model.safetensors").read_bytes())
    assert models[0] == models[1]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


def test_the_dag_has_one_pretraining_per_data_set_and_seed(workspace):
    study = workspace.study(
        algorithms=[*BOTH, "pixel_nn"],
        seeds=[0, 1],
        datasets={"glyphs": {"ways": [5, 10], "shots": [1, 5]}, "omniglot": {"ways": [5], "shots": [1]}},
    )
    printed = workspace.snakemake("--dry-run", "--printshellcmds", "--configfile", study)
    pretrainings = [
        f"{dataset}/{stage}/seed{seed}"
        for dataset in ("glyphs", "omniglot")
        for stage in STAGES.values()
        for seed in (0, 1)
    ]
    jobs = [line.split(" > ")[0].split()[-1] for line in printed.splitlines() if "-m bench train" in line]
    assert sorted(job for job in jobs if "supervised" in job) == pretrainings
    assert len(jobs) == len(set(jobs)) == len(pretrainings) + 5 * 3 * 2
    assert not any("bench test" in line and "supervised" in line for line in printed.splitlines())


def test_snakemake_trains_the_pretraining_first_and_repeats_what_depends_on_it(workspace):
    small = {"hidden": 4, "batch_size": 8}
    study = workspace.study(algorithms=BOTH, overrides={stage: dict(small) for stage in STAGES.values()})
    cell = "glyphs/5way_1shot"
    targets = [f"results/tiny/{cell}/{algorithm}/seed0/episodes.parquet" for algorithm in BOTH]
    workspace.snakemake(*targets, "--configfile", study)
    assert workspace.plan(*targets, "--configfile", study) == set()
    document = yaml.safe_load((workspace.folder / study).read_text())
    document["overrides"]["supervised"]["hidden"] = 5
    (workspace.folder / study).write_text(yaml.safe_dump(document))
    expected = {f"{verb} {cell}/finetune/seed0" for verb in ("train", "test")}
    assert workspace.plan(*targets, "--configfile", study) == expected | {"train glyphs/supervised/seed0"}
    document["overrides"] = dict.fromkeys(STAGES.values(), small) | {"finetune": {"epochs": 7}}
    (workspace.folder / study).write_text(yaml.safe_dump(document))
    plan = workspace.plan(*targets, "--configfile", study)
    assert plan == {f"{verb} {cell}/finetune/seed0" for verb in ("train", "test")}
