"""Reference results: what is kept of a run, and in which order they are made."""

import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

import pandas as pd
import pytest

from bench import __main__
from bench.results import reference_list, reference_store, rerun
from bench.results.files import ResultError
from bench.results.run_folder import read_run
from bench.verbs import reference
from tests.reference_runs import LEARNERS, ROOT, folder, kept, synthetic, write_list


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    monkeypatch.chdir(tmp_path)
    return synthetic(tmp_path)


def add_all():
    for algorithm in LEARNERS:
        for seed in (0, 1):
            reference_store.add_run(folder(algorithm, seed))


def digests(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_what_is_kept_of_a_run_is_a_run(study):
    """The main metric is exact, the others have three decimals; digests are those of the kept files."""
    path = reference_store.add_run(folder("protonet", 0))
    assert path.resolve() == kept("protonet", 0).resolve()
    source, copy = read_run(folder("protonet", 0)), read_run(path)
    copy.check()
    assert set(copy.recorded) == {"episodes.parquet", "calibration.parquet", "history.parquet"}
    assert copy.tested and copy.run["provenance"] == source.run["provenance"]
    mine, theirs = copy.episodes(), source.episodes()
    pd.testing.assert_series_equal(mine["accuracy"], theirs["accuracy"])
    assert 0 < (mine["nll"] - theirs["nll"]).abs().max() <= 5.1e-4
    pd.testing.assert_frame_equal(copy.calibration(), source.calibration())
    assert not (path / "model.safetensors").exists()
    reference_store.add_run(folder("protonet", 0), weights=True)
    assert (path / "model.safetensors").read_bytes() == (
        folder("protonet", 0) / "model.safetensors"
    ).read_bytes()
    assert "model.safetensors" in read_run(path).recorded


def test_adding_is_idempotent_and_independent_of_the_order(study):
    add_all()
    before = digests(Path("results/reference"))
    for algorithm, seed in (("maml", 1), ("protonet", 0), ("pixel_nn", 1)):
        reference_store.add_run(folder(algorithm, seed))
    assert digests(Path("results/reference")) == before
    assert read_run(kept("maml", 1)).status == "diverged"


def test_unfinished_or_incomparable_runs_are_not_added(study, capsys):
    list_file = str(study.parent / "reference.yaml")
    shutil.rmtree(folder("maml", 0))
    assert __main__.main(["reference", list_file, "--add", str(folder("maml", 0))]) == 2
    assert "maml/seed0 is missing" in capsys.readouterr().err
    reference_store.add_run(folder("protonet", 0))
    test = folder("protonet", 1) / "test.json"
    test.write_text(test.read_text().replace("omniglot-5-1-0", "other"))
    with pytest.raises(
        ResultError, match=r"5way_1shot episodes \(other\) differ from those of .*protonet/seed0"
    ):
        reference_store.add_run(folder("protonet", 1))


def test_the_list_resumes_where_it_stopped(study, monkeypatch, capsys):
    """Order of priority, only the jobs that are left, a failure does not stop the others."""
    (folder("protonet", 0) / "test.json").unlink()
    for file in folder("protonet", 1).iterdir():
        file.unlink()
    runs = [f"omniglot/5way_1shot/{name}" for name in ("pixel_nn/seed0", "protonet/seed1", "protonet/seed0")]
    path = write_list(study, *runs)
    called = []

    def call(command):
        called.append(command[3:])
        if command[3] == "test" and command[5] == runs[2]:
            source = folder("pixel_nn", 1) / "test.json"
            (folder("protonet", 0) / "test.json").write_text(source.read_text())
        return 1 if command[3] == "train" else 0

    monkeypatch.setattr(reference, "call", call)
    monkeypatch.setattr(reference, "is_prepared", lambda name: False)
    assert __main__.main(["reference", str(path)]) == 1
    assert called == [
        ["prepare", "omniglot"],
        ["train", str(study), runs[1]],
        ["test", str(study), runs[2]],
    ]
    assert "protonet/seed1 failed" in capsys.readouterr().err
    assert kept("pixel_nn", 0).exists() and kept("protonet", 0).exists() and not kept("protonet", 1).exists()
    called.clear()
    monkeypatch.setattr(reference, "call", lambda command: called.append(command[3]) or 130)
    monkeypatch.setattr(reference, "is_prepared", lambda name: True)
    assert __main__.main(["reference", str(path)]) == 130
    assert called == ["train"]
    assert __main__.main(["reference", str(path), "--list"]) == 0
    shown = capsys.readouterr().out
    assert "2 of 3 done" in shown and shown.count("pending") == 1


def test_a_signal_is_passed_on_once_and_waited_for(tmp_path):
    """The child ends in its own time, as a training does that saves a checkpoint."""
    script = (
        "import pathlib, signal, sys, time\n"
        "def stop(*_):\n    time.sleep(0.3); pathlib.Path('saved').write_text('x'); sys.exit(130)\n"
        "signal.signal(signal.SIGTERM, stop)\npathlib.Path('ready').write_text('x')\ntime.sleep(60)\n"
    )

    def send_when_ready():
        while not (tmp_path / "ready").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    before = os.getcwd()
    os.chdir(tmp_path)
    try:
        threading.Thread(target=send_when_ready).start()
        assert rerun.call([sys.executable, "-c", script]) == 130
    finally:
        os.chdir(before)
    assert (tmp_path / "saved").exists()
    assert rerun.call([sys.executable, "-c", "raise SystemExit(3)"]) == 3


def test_bad_lists_are_refused(tmp_path):
    path = tmp_path / "list.yaml"
    path.write_text("- {study: config/quick.yaml, runs: x}\n")
    with pytest.raises(ValueError, match="list.yaml: entry 0: "):
        reference_list.read_list(path)
    with pytest.raises(FileNotFoundError, match="nothing.yaml"):
        reference_list.read_list(tmp_path / "nothing.yaml")


def test_the_list_of_this_project_names_runs_that_exist(monkeypatch):
    monkeypatch.chdir(ROOT)
    entries = reference_list.read_list(Path("config/reference.yaml"))
    names = {(entry.study.origin, entry.run.name) for entry in entries}
    assert len(names) == len(entries) > 0
