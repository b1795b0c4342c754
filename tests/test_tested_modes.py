"""Which modes a learner is tested in, whatever a study asks for."""

import pandas as pd
import pytest

import algos
from bench.__main__ import main
from bench.protocol.conditions import chosen_modes, reported_mode
from bench.results.run_folder import read_run
from bench.study import jobs
from bench.study.experiments import Experiments
from bench.study.settings import Shifts
from tests import planted

BOTH = ["inductive", "transductive"]


@pytest.mark.parametrize(
    ("name", "asked", "tested", "reported"),
    [
        ("protonet", BOTH, BOTH, "inductive"),
        ("maml", BOTH, BOTH, "transductive"),
        ("maml", ["inductive"], ["inductive"], "inductive"),
        ("pixel_nn", BOTH, ["inductive"], "inductive"),
        ("pixel_nn", ["transductive"], ["inductive"], "inductive"),
        ("metanet", ["transductive"], ["inductive"], "inductive"),
    ],
)
def test_a_learner_is_tested_in_modes_that_it_has(name, asked, tested, reported):
    learner, job = algos.load(name), jobs.TestingJob(None, 0, 10, 4, tuple(asked), Shifts(), Experiments())
    assert chosen_modes(learner, job) == tested
    assert reported_mode(learner, job) == reported


def test_a_transductive_study_labels_inductive_learners_truthfully_to_its_tables(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    study = planted.write_study(
        tmp_path,
        algorithms=["protonet", "pixel_nn"],
        seeds=[0, 1],
        train={"steps": 4, "validate_every": 2, "validation_episodes": 8, "device": "cpu"},
        test={"episodes": 6, "query": 3, "modes": ["transductive"]},
        shifts={"episodes": 4, "severities": {"shear": [1]}},
    )
    for name in ("protonet", "pixel_nn"):
        for seed in (0, 1):
            run = f"planted/3way_2shot/{name}/seed{seed}"
            assert main(["train", str(study), run]) == main(["test", str(study), run]) == 0
            modes = set(read_run(tmp_path / "results" / "tiny" / run).episodes()["mode"])
            assert modes == {"transductive" if name == "protonet" else "inductive"}
    assert (
        "has none of the study's modes (transductive): tested in its own, inductive"
        in capsys.readouterr().out
    )
    assert main(["summarize", str(study)]) == 0
    cells = pd.read_csv(tmp_path / "results" / "tiny" / "tables" / "cells.csv")
    assert cells.groupby("algorithm")["mode"].unique().map(list).to_dict() == {
        "pixel_nn": ["inductive"],
        "protonet": ["transductive"],
    }
