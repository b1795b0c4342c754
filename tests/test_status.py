"""`python -m bench status` on synthetic run folders in every state."""

import io
import os
import subprocess
import sys
import time

import pytest
import torch
from rich.console import Console

from bench import __main__
from bench.paths import ROOT
from bench.protocol import checkpoint
from bench.protocol.outdated import Outdated
from bench.results import run_lock
from bench.results.checkpoint_summary import read_progress
from bench.study.study import Study, load_study
from bench.verbs import status
from tests.synthetic import make_study

FOLDER = "results/synthetic/glyphs/5way_1shot"


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    monkeypatch.setenv("COLUMNS", "200")
    # Synthetic results were made by no code; tests/test_truth.py tells when a real one is outdated.
    monkeypatch.setattr(Outdated, "why", lambda *_: "")
    return make_study(
        tmp_path,
        algorithms=("pixel_nn", "protonet", "maml"),
        datasets={"glyphs": {"ways": [5], "shots": [1]}},
        shifts={},
        episodes=20,
        diverged=["glyphs/5way_1shot/maml/seed1"],
        missing=["glyphs/5way_1shot/protonet/seed0", "glyphs/5way_1shot/protonet/seed1"],
        untested=["glyphs/5way_1shot/maml/seed0"],
    )


def save_checkpoint(root, seed, seconds_ago, locked=True):
    folder = root / FOLDER / f"protonet/seed{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    history = [{"step": 50, "val_score": 0.71}, {"step": 100, "val_score": 0.83}]
    checkpoint.save(
        folder, {"step": 120, "seconds": 33.3, "history": history, "learner": {"w": torch.zeros(3)}}
    )
    then = time.time() - seconds_ago
    os.utime(folder / checkpoint.NAME, (then, then))
    if locked:
        (folder / run_lock.NAME).touch()


def states(study):
    return {
        state.run.name.removeprefix("glyphs/5way_1shot/"): state for state in status.states(load_study(study))
    }


def test_every_state_is_told_apart(study, tmp_path):
    save_checkpoint(tmp_path, seed=0, seconds_ago=0)
    found = states(study)
    assert {name: state.status for name, state in found.items()} == {
        "pixel_nn/seed0": "untrained",
        "pixel_nn/seed1": "untrained",
        "protonet/seed0": "running",
        "protonet/seed1": "missing",
        "maml/seed0": "untested",
        "maml/seed1": "diverged",
    }
    live = found["protonet/seed0"]
    assert (live.step, live.score, live.seconds) == (120, 0.83, 33.3)
    assert "not finite" in found["maml/seed1"].note
    assert found["maml/seed0"].step == 600


def test_old_checkpoint_is_a_stopped_run_and_a_damaged_one_does_not_end_the_table(study, tmp_path):
    save_checkpoint(tmp_path, seed=0, seconds_ago=3600)
    save_checkpoint(tmp_path, seed=1, seconds_ago=0)
    path = tmp_path / FOLDER / "protonet/seed1" / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:100])
    (tmp_path / FOLDER / "maml/seed0/run.json").write_text("{")
    found = states(study)
    assert found["protonet/seed0"].status == "stopped"
    assert found["protonet/seed1"].status == "unreadable"
    assert found["maml/seed0"].status == "unreadable" and "run.json" in found["maml/seed0"].note


def test_a_training_that_was_just_stopped_does_not_run(study, tmp_path):
    save_checkpoint(tmp_path, seed=0, seconds_ago=0, locked=False)
    assert states(study)["protonet/seed0"].status == "stopped"


def test_table_counts_and_names_what_runs(study, tmp_path, capsys):
    save_checkpoint(tmp_path, seed=0, seconds_ago=0)
    assert __main__.main(["status", str(study)]) == 0
    text = capsys.readouterr().out
    assert "Synthetic study" in text
    assert "3 of 6 runs finished (2 untrained, 1 running, 1 untested, 1 missing, 1 diverged)" in text
    assert "running now: glyphs/5way_1shot/protonet/seed0" in text
    row = next(line for line in text.splitlines() if line.startswith("glyphs/5way_1shot/protonet/seed0"))
    assert row.split() == ["glyphs/5way_1shot/protonet/seed0", "running", "120", "83.00", "33"]


def test_narrow_terminal_keeps_run_and_status(study):
    console = Console(width=60, record=True, file=io.StringIO())
    loaded = load_study(study)
    status.show(loaded, status.states(loaded), console)
    text = console.export_text()
    assert "glyphs/5way_1shot/maml/seed1" in text and "diverged" in text


def test_the_best_error_of_a_regression_is_the_lowest(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path))
    sinusoid = {"study": "waves", "datasets": {"sinusoid": {"shots": [5]}}, "algorithms": ["maml"]}
    study = Study(sinusoid)
    folder = study.runs()[0].folder
    folder.mkdir(parents=True)
    history = [{"step": step, "val_score": score} for step, score in ((50, 2.5), (100, 1.25), (150, 1.5))]
    checkpoint.save(folder, {"step": 170, "seconds": 9.0, "history": history})
    found = status.states(study)
    assert found[0].score == 1.25
    console = Console(width=120, record=True, file=io.StringIO())
    status.show(study, found, console)
    text = console.export_text()
    assert "val mse" in text and "1.2500" in text


def test_a_checkpoint_is_read_without_running_what_it_names(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "ran"),))

    state = {"step": 3, "seconds": 1.5, "history": [], "learner": {"w": torch.ones(2)}, "other": Hostile()}
    checkpoint.save(tmp_path, state)
    assert read_progress(tmp_path / checkpoint.NAME) == (3, [], 1.5)
    assert not (tmp_path / "ran").exists()


def test_a_large_study_has_the_same_rows_in_plain_lines(study, capsys, monkeypatch):
    monkeypatch.setattr(status, "LARGE", 5)
    loaded = load_study(study)
    status.show(loaded, status.states(loaded), Console(width=60, record=True, file=io.StringIO()))
    text = capsys.readouterr().out
    row = next(line for line in text.splitlines() if line.startswith("glyphs/5way_1shot/maml/seed0"))
    assert row.split()[1:3] == ["untested", "600"]
    assert len([line for line in text.splitlines() if line.startswith("glyphs/")]) == 6


def test_another_program_gets_each_run_in_one_line(study, capsys, monkeypatch):
    """`status FILE | grep outdated`: at the 80 columns of no terminal, a note would be cut into eight letters a line."""
    why = "the code of its training has been edited; " * 3
    monkeypatch.setattr(status.Outdated, "why", lambda self, run, result: why)
    assert __main__.main(["status", str(study)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("glyphs/")]
    assert len(rows) == 6
    assert sum(why in row for row in rows) == sum("outdated" in row for row in rows) > 0


def test_status_loads_no_numpy_no_rich_and_no_torch(study):
    """They take longer to load than everything that `status` does."""
    code = "import sys; from bench.__main__ import main; main(sys.argv[1:]); print({'numpy', 'rich', 'torch'} & set(sys.modules))"
    ran = [sys.executable, "-c", code, "status", str(study)]
    done = subprocess.run(ran, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
