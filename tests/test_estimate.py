"""`bench estimate`: what a study will take, from a few updates and episodes of it."""

import json
import math
import re
import subprocess
import sys
from unittest.mock import patch

import pytest
import yaml

from bench import __main__
from bench.protocol.timing import extrapolated, in_own_process, start_seconds
from bench.results import estimate
from bench.results.estimate import MetaTestTime, Timings, TrainingTime
from bench.study.study import Study, load_study
from bench.verbs import estimate as verb
from tests.workspace import ROOT, TINY, Workspace

TRAINING = TrainingTime(3.0, 0.5, 100, 2.0, 1.0, 500.0, 1000)
TEST = MetaTestTime(3.0, 7.0, 400.0, 50)


def test_a_training_is_its_start_its_updates_its_validations_and_its_end():
    assert TRAINING.seconds(validate_every=30, minutes=None) == 3 + 50 + 4 * 2 + 1
    assert TRAINING.seconds(validate_every=30, minutes=100) == 62, "a limit that is not reached"
    assert TRAINING.seconds(validate_every=30, minutes=25 / 60) == 3 + 25 + 2 * 2 + 1, "half of the updates"


def affine(episodes: int) -> dict[str, float]:
    return {"clean": 1 + 0.5 * min(episodes, 100), "shifted": 2 * min(episodes, 30)}


@pytest.mark.parametrize("budget", [0.1, 30.0, 1e9])
def test_costs_that_grow_by_the_episode_are_extrapolated_exactly(budget):
    """Also where the first measurement takes longer than the budget."""
    found = extrapolated(affine, {"clean": 100, "shifted": 30}, budget)
    assert found == pytest.approx({"clean": 51, "shifted": 60})


def test_the_start_of_a_job_counts_the_import_of_torch():
    """Verbs import it last, so importing the verb alone tells a quarter of the seconds."""
    with patch("subprocess.run") as run:
        start_seconds()
    (_, _, code), *_ = run.call_args.args
    loaded = f"{code}; import sys; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "True\n"


def test_no_measurement_is_expected_to_exceed_the_budget():
    taken = []

    def measure(episodes):
        taken.append(0.1 * episodes)
        return {"": taken[-1]}

    assert extrapolated(measure, {"": 1000}, 5.0)[""] == pytest.approx(100)
    assert max(taken) <= 5.0 and len(taken) > 3


def test_jobs_fill_the_cores_and_wait_for_their_pretraining():
    assert verb.wall_seconds([(0.0, [4.0, 3.0, 2.0, 1.0])], cores=2) == 5
    assert verb.wall_seconds([(0.0, [4.0, 3.0, 2.0, 1.0])], cores=8) == 4
    assert verb.wall_seconds([(5.0, [1.0, 1.0])], cores=1) == 7
    assert verb.wall_seconds([(5.0, [1.0]), (0.0, [4.0])], cores=2) == 6


def timed(study: Study) -> Timings:
    """Timings of all jobs of a study."""
    timings = Timings("a machine")
    for run in study.runs():
        timings.training[estimate.training_key(study, run)] = TRAINING
        timings.testing[estimate.testing_key(study, run)] = TEST
    return timings


@pytest.fixture
def study_file(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "200")
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY | {"seeds": [0, 1, 2]}))
    return file


def test_seeds_share_a_timing_and_hyper_parameters_do_not(study_file):
    study = load_study(study_file)
    runs = [run for run in study.runs() if run.algorithm == "protonet"]
    assert len({estimate.training_key(study, run) for run in runs}) == 1
    assert len({estimate.testing_key(study, run) for run in runs}) == 1
    for change in ({"train": TINY["train"] | {"steps": 5}}, {"overrides": {"protonet": {"hidden": 8}}}):
        other = Study(TINY | change)
        assert estimate.training_key(other, runs[0]) != estimate.training_key(study, runs[0])
    other = Study(TINY | {"test": {"episodes": 9}})
    assert estimate.training_key(other, runs[0]) == estimate.training_key(study, runs[0])
    assert estimate.testing_key(other, runs[0]) != estimate.testing_key(study, runs[0])
    faster = Study(TINY | {"train": TINY["train"] | {"device": "auto", "validate_every": 1, "threads": 2}})
    assert estimate.training_key(faster, runs[0]) == estimate.training_key(study, runs[0])


def test_the_table_counts_every_run(study_file):
    study = load_study(study_file)
    timings = timed(study)
    learners = verb.by_learner(study, timings)
    assert {name: jobs.runs for name, jobs in learners.items()} == {"pixel_nn": 3, "protonet": 3}
    seconds = TRAINING.seconds(2, None) + TEST.seconds
    assert learners["protonet"].seconds == pytest.approx(3 * seconds)
    assert sum(len(runs) for _, runs in verb.chains(study, timings)) == 6
    del timings.testing[estimate.testing_key(study, study.runs()[0])]
    assert verb.by_learner(study, timings)["pixel_nn"].unknown == 3, "said, not counted as nothing"


def test_a_study_is_timed_once_and_told_at_once_the_next_time(study_file, tmp_path, capsys, monkeypatch):
    command = ["estimate", str(study_file), "--seconds", "0.2", "--cores", "2"]
    assert __main__.main(command) == 0
    first = capsys.readouterr()
    assert "1 of 2: glyphs/5way_1shot/pixel_nn/seed0" in first.err
    assert "ProtoNet" in first.out and "with 2 jobs at a time" in first.out
    file = tmp_path / "results" / "tiny" / "timings.json"
    timings = estimate.read_timings(file)
    (protonet,) = [t for t in timings.training.values() if t.updates]
    assert protonet.updates == 4 and 0 < protonet.update < 5 and protonet.memory_mb > 100
    assert all(t.rows == 8 + 4 and t.scoring > 0 for t in timings.testing.values())

    monkeypatch.setattr(verb, "_measure_one", None)
    assert __main__.main(command) == 0
    again = capsys.readouterr()
    assert again.out == first.out and again.err == ""

    elsewhere = tmp_path / "elsewhere.json"
    file.rename(elsewhere)
    assert __main__.main([*command, "--timings", str(elsewhere)]) == 0
    assert capsys.readouterr().out == first.out
    assert not file.exists()


def test_data_that_are_not_prepared_are_named_before_anything_is_timed(study_file, capsys, monkeypatch):
    monkeypatch.setattr(verb, "_measure_one", None)
    study = yaml.safe_load(study_file.read_text())
    others = ["folder:/my birds", "omniglot"]
    study_file.write_text(yaml.safe_dump(study | {"experiments": {"episodes": 2, "other_data": others}}))
    monkeypatch.setattr(verb, "is_prepared", lambda name: name == "glyphs")
    assert __main__.main(["estimate", str(study_file)]) == 2
    assert "first run `python -m bench prepare 'folder:/my birds' omniglot`" in capsys.readouterr().err


def test_a_damaged_file_and_a_missing_one_are_named(study_file, tmp_path, capsys):
    for content in ("{", "[]", json.dumps({"machine": "x", "training": {"a": {}}, "testing": {}})):
        (tmp_path / "bad.json").write_text(content)
        assert __main__.main(["estimate", str(study_file), "--timings", str(tmp_path / "bad.json")]) == 2
        assert "bad.json is not a file of timings" in capsys.readouterr().err
    assert __main__.main(["estimate", str(study_file), "--timings", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err


def test_status_says_what_is_left(study_file, capsys):
    study = load_study(study_file)
    command = ["status", str(study_file)]
    assert __main__.main(command) == 0
    assert "left" not in capsys.readouterr().out
    estimate.write_timings(estimate.timings_file(study.name), timed(study))
    assert __main__.main(command) == 0
    seconds = 6 * (TRAINING.seconds(2, None) + TEST.seconds)
    assert f"left: about {estimate.duration(seconds)} of computing" in capsys.readouterr().out


def test_a_cluster_is_asked_for_what_a_job_needs(tmp_path):
    workspace = Workspace(tmp_path)
    file = workspace.study()
    run = "results/tiny/glyphs/5way_1shot/protonet/seed0"
    command = ["-n", "--configfile", file, "--", f"{run}/test.json"]
    first = asked_for(workspace.snakemake(*command))
    assert sorted(first) == [("60", "4000"), ("720", "4000")]
    study = load_study(tmp_path / file)
    estimate.write_timings(tmp_path / "results" / "tiny" / "timings.json", timed(study))
    asked = asked_for(workspace.snakemake(*command))
    test_minutes, training_minutes = (
        5 + math.ceil(1.5 * seconds / 60) for seconds in (TEST.seconds, TRAINING.seconds(2, None))
    )
    assert asked == [(str(training_minutes), "1150"), (str(test_minutes), "1020")]


def asked_for(printed: str) -> list[tuple[str, str]]:
    """Minutes and MB of each job that asks for them, in whatever order Snakemake prints its resources."""
    found = [
        (re.search(r"runtime=(\d+)", line), re.search(r"mem_mb=(\d+)", line)) for line in printed.split("\n")
    ]
    return [(minutes[1], megabytes[1]) for minutes, megabytes in found if minutes and megabytes]


def fails(message):
    raise KeyError(message)


def test_a_fault_in_a_measurement_is_one_line_that_names_it():
    with pytest.raises(RuntimeError, match="no such layer"):
        in_own_process(fails, "no such layer")
