"""Which modes a learner is tested in, whatever a study asks for."""

import pandas as pd
import pytest
import torch

import algos
from bench.__main__ import main
from bench.protocol.conditions import chosen_modes, image_conditions, reported_mode, shift_modes
from bench.protocol.sources import open_source
from bench.results.run_folder import read_run
from bench.study import jobs
from bench.study.experiments import Experiments
from bench.study.settings import Shifts
from bench.study.study import Study
from tasks.preparation.write import write_prepared
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


@pytest.mark.parametrize(
    ("name", "asked", "tested"),
    [
        ("maml", (), ["transductive"]),
        ("maml", BOTH, BOTH),
        ("maml", ["inductive"], BOTH),
        ("protonet", ["inductive"], ["inductive"]),
        ("metanet", BOTH, ["inductive"]),
    ],
)
def test_shifts_are_tested_in_the_reported_mode_and_in_those_asked_for(name, asked, tested):
    shifts = Shifts(modes=asked)
    job = jobs.TestingJob(None, 0, 10, 4, tuple(BOTH), shifts, Experiments())
    assert shift_modes(algos.load(name), job) == tested


def test_a_mode_under_shift_needs_its_clean_task():
    study = {"study": "s", "datasets": {"glyphs": {"ways": [5], "shots": [1]}}, "algorithms": ["maml"]}
    study |= {"test": {"modes": ["inductive"]}, "shifts": {"modes": ["transductive"]}}
    with pytest.raises(ValueError, match="shifts.modes: 'transductive' is not in test.modes \\(inductive\\)"):
        Study(study)


def test_both_modes_see_the_same_shifted_episodes(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    write_prepared("planted", planted.pictures(), planted.meta(), root=tmp_path / "prepared")
    source = open_source("planted", None, torch.device("cpu"))
    frozen = source.frozen("test", 6, planted.WAY, planted.SHOT, 4, 0)
    learner = planted.small(algos.load("maml")).eval()
    found = {}
    for modes in ((), BOTH):
        shifts = Shifts(episodes=4, severities={"shear": [2, 5]}, modes=modes)
        job = jobs.TestingJob(None, 0, 6, 4, tuple(BOTH), shifts, Experiments())
        found[len(modes)] = [
            (c, digest, scores["nll"])
            for c, digest, scores in image_conditions(source, learner, frozen, job)
            if not c.clean
        ]
    assert [c for c, *_ in found[2] if c.mode == "transductive"] == [c for c, *_ in found[0]]
    assert len(found[2]) == 2 * len(found[0]) == 8 and len({digest for _, digest, _ in found[2]}) == 1
    by_mode = {mode: [nll for c, _, nll in found[2] if c.mode == mode] for mode in BOTH}
    for before, after, other in zip(found[0], by_mode["transductive"], by_mode["inductive"], strict=True):
        assert (before[2] == after).all() and not (after == other).all()


def test_further_modes_and_scopes_may_be_tested_at_the_highest_severities_only(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    write_prepared("planted", planted.pictures(), planted.meta(), root=tmp_path / "prepared")
    source = open_source("planted", None, torch.device("cpu"))
    frozen = source.frozen("test", 4, planted.WAY, planted.SHOT, 4, 0)
    shifts = Shifts(episodes=2, severities={"shear": [2, 5], "smear": [1]}, modes=BOTH, further="highest")
    job = jobs.TestingJob(None, 0, 4, 4, tuple(BOTH), shifts, Experiments())
    learner = planted.small(algos.load("protonet")).eval()
    found = [c for c, *_ in image_conditions(source, learner, frozen, job) if not c.clean]
    one_differs = {("inductive", "task"), ("inductive", "query"), ("transductive", "task")}
    assert {(c.mode, c.scope) for c in found if (c.shift, c.severity) == ("shear", 2)} == {
        ("inductive", "task")
    }
    for top in (("shear", 5), ("smear", 1)):
        assert {(c.mode, c.scope) for c in found if (c.shift, c.severity) == top} == one_differs


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
