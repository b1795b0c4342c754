"""Meta-training and meta-test of whole runs: what they write, divergence, budgets, costs."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from algos.base import Params
from bench.paths import ROOT
from bench.protocol import checkpoint
from bench.protocol.optimizer import learning_rate
from bench.results.condition import CONDITION_COLUMNS
from bench.results.run_folder import read_run
from bench.study.study import load_study
from tests import planted
from tests.planted import RUN, bench, folder


def test_train_and_test_write_what_they_declare(home):
    study = planted.write_study(home, shifts={"episodes": 4, "severities": {"shear": [1, 3], "noise": [2]}})
    assert bench("train", study, RUN.format("protonet")) == 0
    assert bench("test", study, RUN.format("protonet")) == 0
    run = read_run(folder(home))
    assert run.status == "ok" and run.run["training"]["steps"] == 30
    assert run.run["provenance"]["tf32"] is False and run.test["provenance"]["tf32"] is False
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


@pytest.mark.parametrize("algorithm", ["protonet", "mamlpp"])
def test_counting_operations_changes_nothing_of_the_training(home, monkeypatch, algorithm):
    for name in ("counted", "plain"):
        study = planted.write_study(home, study=name, algorithms=[algorithm])
        if name == "plain":
            monkeypatch.setattr("bench.protocol.record.gflops", lambda work: 0.0)
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
    backward += (
        trained * 2 * 9 * 9 * places[0] / 1e9
    )  # second moments of the patches, for the first batch norm
    assert backward < training["gflops_per_task"] < 1.01 * backward
    assert 0 < training["memory_at_start_mb"] <= training["peak_memory_mb"]


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_of_the_process_that_started_a_training_is_not_its_own():
    """Snakemake's, for one; and what is held and given back counts."""
    child = (
        "import torch; from bench.protocol.memory import peak_memory_mb as peak; cpu = torch.device('cpu'); before = peak(cpu);"
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
    assert best["best_val_score"] == history["val_score"].max()
    assert best["best_step"] == history.loc[history["val_score"].idxmax(), "step"]


def test_schedules():
    halve = Params(schedule="halve", halve_every=10, learning_rate=1.0)
    assert [learning_rate(halve, step) for step in (0, 9, 10, 25)] == [1, 1, 0.5, 0.25]
    cosine = Params(schedule="cosine", steps=100, learning_rate=1.0)
    assert [round(learning_rate(cosine, step), 6) for step in (0, 50, 100)] == [1, 0.5, 0]
