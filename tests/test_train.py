"""Meta-training and meta-test of whole runs: resume, signals, divergence, wrong input."""

import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from algos.base import Params
from bench.__main__ import main
from bench.protocol import checkpoint
from bench.protocol.learner import build_learner
from bench.protocol.loop import MetaTraining, learning_rate
from bench.protocol.sources import open_source
from bench.results.condition import CONDITION_COLUMNS
from bench.results.run_folder import read_run
from bench.results.schema import TEST_FILES
from bench.study.study import load_study, run_spec
from tests import planted

ROOT = Path(__file__).parents[1]
RUN = "planted/3way_2shot/{}/seed0"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with a planted data set; results go there."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    return tmp_path


def folder(home: Path, algorithm: str = "protonet", study: str = "tiny") -> Path:
    return home / "results" / study / RUN.format(algorithm)


def bench(*arguments) -> int:
    return main([str(argument) for argument in arguments])


def start(study: Path, algorithm: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "bench", "train", str(study), RUN.format(algorithm)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def declared_bytes(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ("model.safetensors", *TEST_FILES)}


def test_train_and_test_write_what_they_declare(home):
    study = planted.write_study(home, shifts={"episodes": 4, "severities": {"shear": [1, 3], "noise": [2]}})
    assert bench("train", study, RUN.format("protonet")) == 0
    assert bench("test", study, RUN.format("protonet")) == 0
    run = read_run(folder(home))
    assert run.status == "ok" and run.run["training"]["steps"] == 30
    assert run.run["hyper_parameters"]["train_way"] == planted.WAY
    assert list(run.history()["step"]) == [10, 20, 30]
    frame = run.episodes()
    assert len(frame) == 2 * 10 + 3 * 2 * 4  # modes x episodes; shifts x scopes x episodes
    assert set(frame.loc[frame["shift"] != "none", "mode"]) == {"inductive"}, "the mode of its paper"
    assert frame["accuracy"].between(0, 1).all()
    assert set(frame["scope"]) == {"clean", "task", "query"}
    bins = run.calibration().groupby(CONDITION_COLUMNS)[["n", "confidence", "correct"]].sum()
    means = frame.groupby(CONDITION_COLUMNS)[["confidence", "accuracy"]].mean()
    assert bins["n"].tolist() == [n * planted.WAY * 3 for n in frame.groupby(CONDITION_COLUMNS).size()]
    np.testing.assert_allclose(bins["confidence"] / bins["n"], means["confidence"], rtol=1e-5)
    np.testing.assert_allclose(bins["correct"] / bins["n"], means["accuracy"], rtol=1e-5)
    gaps = run.calibration().eval("gap = abs(confidence - correct)").groupby(CONDITION_COLUMNS)["gap"]
    errors = frame.groupby(CONDITION_COLUMNS)["ece"].mean()
    np.testing.assert_allclose(errors, gaps.sum() / bins["n"], atol=1e-6)
    assert not (folder(home) / checkpoint.NAME).exists()


def test_exact_strengths_are_tested_beside_severities(home):
    """pi / 4 is severity 5 of shear, too: the same images and so the same scores, but a row of its own."""
    exact = {"shear": [-0.3927, math.pi / 4], "scale": [2]}
    study = planted.write_study(
        home, shifts={"episodes": 4, "severities": {"shear": [5]}, "strengths": exact}
    )
    assert bench("train", study, RUN.format("protonet")) == 0
    assert bench("test", study, RUN.format("protonet")) == 0
    frame = read_run(folder(home)).episodes().query("shift != 'none'")
    named = frame[frame["severity"].eq(0)]
    assert named.groupby(["shift", "scope", "value"]).size().to_dict() == {
        (shift, scope, value): 4
        for shift, values in exact.items()
        for scope in ("task", "query")
        for value in values
    }
    order, measures = ["scope", "episode"], ["accuracy", "nll"]
    same = [frame[frame["severity"].eq(severity) & frame["value"].eq(math.pi / 4)] for severity in (0, 5)]
    first, second = (part.sort_values(order)[measures].to_numpy() for part in same)
    assert len(first) == 8 and (first == second).all()


@pytest.mark.parametrize("algorithm", ["protonet", "maml"])
def test_a_run_killed_at_a_random_step_gives_the_same_bytes(home, algorithm):
    """kill -9 at a random moment, twice, then on to the end: model and episodes equal the undisturbed run's."""
    long = {"steps": 120, "validate_every": 20, "validation_episodes": 8, "device": "cpu"}
    undisturbed = planted.write_study(home, study="undisturbed", algorithms=[algorithm], train=long)
    assert (
        bench("train", undisturbed, RUN.format(algorithm))
        == bench("test", undisturbed, RUN.format(algorithm))
        == 0
    )
    disturbed = planted.write_study(home, study="disturbed", algorithms=[algorithm], train=long)
    path = folder(home, algorithm, "disturbed") / checkpoint.NAME
    resumed = 0
    for _ in range(2):
        process = start_with_frequent_checkpoints(disturbed, algorithm)
        wait_for_new(path, process)
        time.sleep(random.random() * 0.3)
        process.send_signal(signal.SIGKILL)
        resumed += "going on from step" in process.communicate()[0]
    process = start_with_frequent_checkpoints(disturbed, algorithm)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert resumed or "going on from step" in output, "the run was never resumed"
    assert bench("test", disturbed, RUN.format(algorithm)) == 0
    runs = [folder(home, algorithm, name) for name in ("undisturbed", "disturbed")]
    assert declared_bytes(runs[0]) == declared_bytes(runs[1])
    costs = [read_run(run) for run in runs]
    for key in ("gflops_per_task", "tasks"):
        assert costs[0].run["training"][key] == costs[1].run["training"][key] > 0
    assert costs[0].test["adapt_gflops_per_task"] == costs[1].test["adapt_gflops_per_task"] > 0


@pytest.mark.parametrize("algorithm", ["protonet", "mamlpp"])
def test_counting_operations_changes_nothing_of_the_training(home, monkeypatch, algorithm):
    for name in ("counted", "plain"):
        study = planted.write_study(home, study=name, algorithms=[algorithm])
        if name == "plain":
            monkeypatch.setattr("bench.protocol.loop.gflops", lambda work: 0.0)
        assert bench("train", study, RUN.format(algorithm)) == 0
    runs = [folder(home, algorithm, name) for name in ("counted", "plain")]
    histories = [read_run(run).history().drop(columns="seconds") for run in runs]
    pd.testing.assert_frame_equal(*histories)
    models = [(run / "model.safetensors").read_bytes() for run in runs]
    assert models[0] == models[1]
    counts = [read_run(run).run["training"]["gflops_per_task"] for run in runs]
    assert counts[0] > counts[1] == 0.0


def test_what_a_run_costs_is_written(home):
    """Prototypes are all in the embedding, so operations are those of its convolutions, counted by hand."""
    study = planted.write_study(home)
    assert bench("train", study, RUN.format("protonet")) == bench("test", study, RUN.format("protonet")) == 0
    result = read_run(folder(home))
    training, hidden = result.run["training"], 8
    places = [28 * 28 * 1, 14 * 14 * hidden, 7 * 7 * hidden, 3 * 3 * hidden]  # with the channels that come in
    image = 2 * 9 * hidden * sum(places) / 1e9
    images = planted.WAY * (planted.SHOT + 3)
    assert images * image < result.test["adapt_gflops_per_task"] < 1.01 * images * image
    parameters = result.run["hyper_parameters"]
    trained = planted.WAY * (planted.SHOT + parameters["train_query"])
    backward = trained * (3 * image - 2 * 9 * hidden * places[0] / 1e9)  # images need no gradient
    assert backward < training["gflops_per_task"] < 1.01 * backward
    assert 0 < training["memory_at_start_mb"] <= training["peak_memory_mb"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_the_process_that_started_a_training_is_not_its_own():
    """Snakemake's, for one; and what is held and given back counts."""
    child = (
        "import torch; from bench.devices import peak_memory_mb as peak; cpu = torch.device('cpu'); before = peak(cpu);"
        "x = torch.ones(50_000_000); del x; print(before, peak(cpu))"
    )
    parent = (
        f"import subprocess, sys; x = b'1' * 1_000_000_000; subprocess.run([sys.executable, '-c', {child!r}])"
    )
    printed = subprocess.run(
        [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, text=True, check=True
    )
    before, after = map(float, printed.stdout.split())
    assert before < 900
    assert after - before == pytest.approx(200, abs=20)


def start_with_frequent_checkpoints(study: Path, algorithm: str) -> subprocess.Popen:
    code = (
        "import sys, bench.train; bench.train.CHECKPOINT_SECONDS = 0.05; "
        "from bench.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "train", str(study), RUN.format(algorithm)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_new(path: Path, process: subprocess.Popen, seconds: float = 90) -> None:
    """Wait until the process has written the file anew (or has ended)."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    deadline = time.monotonic() + seconds
    while process.poll() is None and not (path.exists() and path.stat().st_mtime_ns > before):
        assert time.monotonic() < deadline, f"{path} was not written"
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_a_checkpoint_and_says_how_to_go_on(home, number):
    train = {"steps": 100_000, "validate_every": 5, "validation_episodes": 8, "device": "cpu"}
    study = planted.write_study(home, train=train)
    process = start(study, "protonet")
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "step" in line:
            break
    process.send_signal(number)
    output = "".join(lines) + process.communicate(timeout=60)[0]
    assert process.returncode == 130, output
    assert "checkpoint saved; the same command goes on from there" in output
    state = torch.load(folder(home) / checkpoint.NAME, weights_only=True)
    assert state["step"] >= 5 and state["history"]


def test_a_checkpoint_of_other_settings_is_not_continued(home, capsys):
    study = planted.write_study(home)
    run = folder(home)
    run.mkdir(parents=True)
    checkpoint.save(run, {"fingerprint": "another"})
    assert bench("train", study, RUN.format("protonet")) == 0
    assert "belongs to other settings, data or code; starting from the first step" in capsys.readouterr().out


def test_a_broken_checkpoint_is_not_continued(home, capsys):
    study = planted.write_study(home)
    folder(home).mkdir(parents=True)
    (folder(home) / checkpoint.NAME).write_bytes(b"PK\x03\x04 truncated")
    assert bench("train", study, RUN.format("protonet")) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_divergence_is_recorded_and_tested_as_such(home):
    study = planted.write_study(
        home, overrides={"protonet": {"hidden": 8, "learning_rate": 1e30, "clip_norm": 0.0}}
    )
    assert bench("train", study, RUN.format("protonet")) == 0
    assert bench("test", study, RUN.format("protonet")) == 0
    run = read_run(folder(home))
    assert run.status == "diverged"
    assert "the training loss became nan" in run.run["reason"]
    costs = [run.run["training"]["gflops_per_task"], run.test["adapt_ms_per_task"]]
    assert costs == [None, None], "what a broken model would take says nothing"
    assert run.episodes().empty


def test_an_untrained_algorithm_passes_through_the_same_stages(home):
    study = planted.write_study(home, algorithms=["pixel_nn"])
    assert bench("train", study, RUN.format("pixel_nn")) == bench("test", study, RUN.format("pixel_nn")) == 0
    run = read_run(folder(home, "pixel_nn"))
    assert run.status == "untrained" and run.run["training"]["parameters"] == 0
    assert set(run.episodes()["mode"]) == {"inductive"}


@pytest.mark.parametrize("algorithm", ["maml", "fomaml", "lstm"])
def test_regression_runs_through_the_same_stages(home, algorithm):
    study = planted.write_study(
        home,
        datasets={"sinusoid": {"shots": [5]}},
        algorithms=[algorithm],
        overrides={algorithm: {"steps": 60, "meta_batch": 10, "hidden": 16}},
        train={"validate_every": 30, "validation_episodes": 20, "device": "cpu"},
        shifts={"episodes": 5, "severities": {"amplitude": [1], "phase": [1]}},
    )
    name = f"sinusoid/1way_5shot/{algorithm}/seed0"
    assert bench("train", study, name) == bench("test", study, name) == 0
    frame = read_run(home / "results" / "tiny" / name).episodes()
    means = frame.groupby("shift")["mse"].mean()
    assert means["amplitude"] > means["none"], "tasks of larger amplitude have larger errors"
    assert frame["accuracy"].isna().all()


def test_the_budget_in_minutes_stops_a_training(home):
    train = {
        "steps": 100_000,
        "minutes": 0.02,
        "validate_every": 50,
        "validation_episodes": 8,
        "device": "cpu",
    }
    study = planted.write_study(home, train=train)
    assert bench("train", study, RUN.format("protonet")) == 0
    run = read_run(folder(home)).run
    assert 0 < run["training"]["steps"] < 100_000
    assert run["training"]["seconds"] < 10


def test_the_best_checkpoint_is_kept(home):
    study = load_study(planted.write_study(home))
    run = study.runs()[0]
    bench("train", study.origin, run.name)
    record = read_run(run.folder)
    history = record.history()
    best = record.run["training"]
    assert best["best_val_accuracy"] == history["val_accuracy"].max()
    assert best["best_step"] == history.loc[history["val_accuracy"].idxmax(), "step"]


def test_restoring_a_state_gives_the_same_state(home):
    study = load_study(planted.write_study(home, algorithms=["maml"]))
    run = study.runs()[0]

    def training() -> MetaTraining:
        source = open_source(run.dataset, None, torch.device("cpu"))
        learner = build_learner(study, run, source)
        return MetaTraining(study, run, run_spec(study, run), source, learner, torch.device("cpu"))

    run.folder.mkdir(parents=True)
    first = training()
    for _ in range(3):
        first._update()
    checkpoint.save(run.folder, first.state())
    second = training()
    assert second.step == 3
    for each in (first, second):
        each._update()
    assert first.loss_sum == second.loss_sum
    for a, b in zip(first.learner.parameters(), second.learner.parameters(), strict=True):
        assert torch.equal(a, b)


def test_schedules():
    halve = Params(schedule="halve", halve_every=10, learning_rate=1.0)
    assert [learning_rate(halve, step) for step in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    cosine = Params(schedule="cosine", steps=100, learning_rate=1.0)
    assert [round(learning_rate(cosine, step), 6) for step in (0, 50, 100)] == [1, 0.5, 0]


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
            "shifts.severities: no shift 'smeer'; known: smear, shear",
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
        ({"datasets": {"nowhere": {"ways": [3], "shots": [2]}}}, "run `python -m bench prepare nowhere`"),
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
    variant, base = (build_learner(study, r, source) for r in (run, own))
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
    ],
)
def test_a_wrong_variant_is_named(home, capsys, variants, message):
    assert bench("train", planted.write_study(home, variants=variants), RUN.format("wide")) != 0
    assert message in capsys.readouterr().err
