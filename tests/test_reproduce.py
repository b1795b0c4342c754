"""Reference results checked: their weights tested again, a run trained again by its record, a model of older code added."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.results import reference_store, rerun
from bench.results.frames import write_episodes
from bench.results.run_folder import read_run
from bench.study.study import load_study
from bench.verbs.reproduce import affordable, compared
from tests import planted
from tests.planted import RUN, bench
from tests.synthetic import edit_json

NAME = RUN.format("protonet")
OLDER = "e" * 40
"""Commit of a training by older code, whose records had neither digests nor the later hyper-parameters."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trained and tested run of planted pictures, and a list that names it."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_ROOT", str(home / "data"))
        patch.setenv("RESULTS_ROOT", str(home / "results"))
        study = planted.write_study(home, shifts={"episodes": 6, "severities": {"shear": [1]}})
        assert bench("train", study, NAME) == bench("test", study, NAME) == 0
    (home / "list.yaml").write_text(f"- {{study: {study}, run: {NAME}}}\n")
    return home


@pytest.fixture
def home(trained, tmp_path, monkeypatch):
    """A copy of it; the jobs run in this process."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))

    def call(command, **environment):
        before = os.environ["RESULTS_ROOT"]
        os.environ.update(environment)
        try:
            return bench(*command[3:])
        finally:
            os.environ["RESULTS_ROOT"] = before

    monkeypatch.setattr(rerun, "call", call)
    return tmp_path


def listed(home: Path) -> tuple[str, Path]:
    return "--list", home / "list.yaml"


def run_folder(home: Path) -> Path:
    return home / "results" / "tiny" / NAME


def age(home: Path) -> Path:
    """Let the run be a training of older code, without a test, whose study has changed since."""
    folder = run_folder(home)

    def older(record: dict) -> None:
        for key in ("made_from", "files", "code", "variant_of"):
            record.pop(key, None)
        record["training"]["best_val_accuracy"] = record["training"].pop("best_val_score")
        record["hyper_parameters"].pop("scale", None)
        record["hyper_parameters"]["abandoned"] = 1
        record["provenance"]["git_commit"] = OLDER

    edit_json(folder / "run.json", older)
    for name in ("test.json", "episodes.parquet", "calibration.parquet"):
        (folder / name).unlink()
    study = home / "tiny.yaml"
    study.write_text(study.read_text().replace("hidden: 8", "hidden: 16"))
    return folder


def test_a_model_of_older_code_is_tested_by_the_code_of_now_and_added(home, capsys):
    before = read_run(run_folder(home)).episodes()
    folder = age(home)
    assert bench("reference", home / "list.yaml", "--add", folder, "--weights") == 0
    assert "the algorithm no longer has abandoned" in capsys.readouterr().err
    kept = read_run(home / "results/reference/tiny" / NAME)
    kept.check()
    assert kept.tested and kept.run["provenance"]["git_commit"] == OLDER
    assert kept.test["provenance"]["git_commit"] != OLDER and kept.test["made_from"]["code"]
    assert kept.test["made_from"]["model"] == kept.recorded["model.safetensors"]
    np.testing.assert_array_equal(
        kept.episodes()["accuracy"], before["accuracy"]
    )  # by the network of its record
    assert not (folder / "test.json").exists()  # the given folder is left as it was


def test_weights_are_tested_again_and_compared_with_the_kept_episodes(home, capsys):
    kept = reference_store.add_run(run_folder(home), weights=True)
    assert bench("reproduce", "--weights", "--episodes", 6, *listed(home)) == 0
    assert (
        "24 episodes of 4 conditions are equal to the last digit; the same code and kind of machine"
        in capsys.readouterr().out
    )
    frame = read_run(kept).episodes()
    frame.loc[frame["episode"].lt(3), "accuracy"] = 0.0
    write_episodes(kept / "episodes.parquet", frame)
    edit_json(kept / "test.json", lambda record: record.pop("files"))
    assert bench("reproduce", "--weights", NAME, *listed(home)) == 1
    assert "differ; of a condition's mean, by +" in capsys.readouterr().out
    (kept / "model.safetensors").write_bytes(b"other")
    assert bench("reproduce", "--weights", NAME, *listed(home)) == 2
    assert "model.safetensors has 5 bytes" in capsys.readouterr().err


@pytest.mark.parametrize(("each", "episodes"), [(None, 100), (0.1, 100), (1.0, 45), (2.5, 18), (60.0, 10)])
def test_weights_are_checked_within_minutes(home, monkeypatch, each, episodes):
    """each: seconds that a recorded episode took; those of four conditions are tested in three minutes."""
    kept = read_run(run_folder(home))
    monkeypatch.setitem(kept.test, "seconds", each and each * len(kept.episodes()))
    assert affordable(kept) == episodes


def test_other_code_may_round_differently_on_the_same_machine(home, capsys):
    kept = reference_store.add_run(run_folder(home), weights=True)
    frame = read_run(kept).episodes()
    frame.loc[0, "accuracy"] += 0.005
    write_episodes(kept / "episodes.parquet", frame)
    edit_json(kept / "test.json", lambda record: record.pop("files"))
    assert bench("reproduce", "--weights", NAME, *listed(home)) == 1
    edit_json(kept / "test.json", lambda record: record["made_from"].update(code="older"))
    assert bench("reproduce", "--weights", NAME, *listed(home)) == 0
    assert "the same kind of machine, by code that has changed since" in capsys.readouterr().out


def test_a_run_is_trained_again_by_its_record(home, capsys):
    """The study has other hyper-parameters by now."""
    kept = reference_store.add_run(run_folder(home))
    study = home / "tiny.yaml"
    study.write_text(study.read_text().replace("hidden: 8", "hidden: 16").replace("steps: 30", "steps: 4"))
    assert bench("reproduce", NAME, *listed(home)) == 0
    assert "are equal to the last digit" in capsys.readouterr().out
    again = read_run(home / "results/again/tiny" / NAME)
    assert again.run["hyper_parameters"] == read_run(kept).run["hyper_parameters"]
    assert (again.folder / "model.safetensors").read_bytes() == (
        run_folder(home) / "model.safetensors"
    ).read_bytes()
    assert bench("reproduce", "no/such/run", *listed(home)) == bench("reproduce", *listed(home)) == 2
    assert f"tiny/{NAME}" in capsys.readouterr().err
    assert bench("reproduce", "--weights", *listed(home)) == 2
    assert "reference results with weights: there are none" in capsys.readouterr().err


def test_a_difference_is_told_with_its_condition(home):
    kept = read_run(run_folder(home))
    frame = kept.episodes()
    shifted = frame["shift"].eq("shear") & frame["mode"].eq("inductive") & frame["scope"].eq("query")
    other = home / "other"
    shutil.copytree(kept.folder, other)
    frame.loc[shifted & frame["episode"].eq(0), "accuracy"] = 0.0
    write_episodes(other / "episodes.parquet", frame)
    largest, text = compared(kept, read_run(other))
    was = kept.episodes().loc[shifted & frame["episode"].eq(0), "accuracy"].item()
    assert largest == pytest.approx(was / 6) and "(shear, 1, " in text and "query, inductive)" in text


def test_the_study_of_a_record_is_that_of_its_run_alone(home):
    study = load_study(home / "tiny.yaml")
    config = rerun.study_of(read_run(run_folder(home)), study)
    assert (
        config["seeds"] == [0]
        and config["algorithms"] == ["protonet"]
        and config["test"] == study.config["test"]
    )
    assert config["overrides"]["protonet"]["hidden"] == 8 and config["overrides"]["protonet"]["steps"] == 30
