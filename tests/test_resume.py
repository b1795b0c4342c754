"""A training that was stopped or killed resumes exactly, and only under the same settings, data and code."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.paths import ROOT
from bench.protocol import checkpoint
from bench.protocol.learner import build_learner
from bench.protocol.meta_training import MetaTraining
from bench.protocol.sources import open_source
from bench.results.run_folder import read_run
from bench.results.schema import TEST_FILES
from bench.study.study import load_study
from tests import planted
from tests.planted import RUN, bench, folder
from tests.workspace import Workspace


def start(study: Path, algorithm: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "bench", "train", str(study), RUN.format(algorithm)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def declared_bytes(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in ("model.safetensors", *TEST_FILES)}


def start_with_frequent_checkpoints(study: Path, algorithm: str) -> subprocess.Popen:
    code = (
        "import sys, bench.protocol.loop as loop; loop.CHECKPOINT_SECONDS = 0.05; "
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
        resumed += "resuming from step" in process.communicate()[0]
    process = start_with_frequent_checkpoints(disturbed, algorithm)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    assert resumed or "resuming from step" in output, "the run was never resumed"
    assert bench("test", disturbed, RUN.format(algorithm)) == 0
    runs = [folder(home, algorithm, name) for name in ("undisturbed", "disturbed")]
    assert declared_bytes(runs[0]) == declared_bytes(runs[1])
    costs = [read_run(run) for run in runs]
    for key in ("gflops_per_task", "tasks"):
        assert costs[0].run["training"][key] == costs[1].run["training"][key] > 0
    assert costs[0].test["adapt_gflops_per_task"] == costs[1].test["adapt_gflops_per_task"] > 0


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
    assert "checkpoint saved; the same command resumes from there" in output
    state = torch.load(folder(home) / checkpoint.NAME, weights_only=True)
    assert state["step"] >= 5 and state["history"]


def test_a_checkpoint_of_other_settings_is_not_continued(home, capsys):
    study = planted.write_study(home)
    run = folder(home)
    run.mkdir(parents=True)
    checkpoint.save(run, {"fingerprint": "another"})
    assert bench("train", study, RUN.format("protonet")) == 0
    assert BELONGS.search(capsys.readouterr().out)
    assert not list(run.glob("checkpoint*.pt"))  # a training that ended needs none, not even those set aside


def test_a_broken_checkpoint_is_not_continued(home, capsys):
    study = planted.write_study(home)
    folder(home).mkdir(parents=True)
    (folder(home) / checkpoint.NAME).write_bytes(b"PK\x03\x04 truncated")
    assert bench("train", study, RUN.format("protonet")) == 0
    assert "cannot be read" in capsys.readouterr().out


def test_restoring_a_state_gives_the_same_state(home):
    study = load_study(planted.write_study(home, algorithms=["maml"]))
    run = study.runs()[0]

    def training() -> MetaTraining:
        source, job = open_source(run.dataset, None, torch.device("cpu")), study.training_job(run)
        return MetaTraining(job, run.name, run.folder, source, build_learner(job, source), "code")

    run.folder.mkdir(parents=True)
    first = training()
    for _ in range(3):
        first._update()
    first.save()
    second = training()
    second.resume()
    assert second.step == 3
    for each in (first, second):
        each._update()
    assert first.loss_sum == second.loss_sum
    for a, b in zip(first.learner.parameters(), second.learner.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("workspace"))


def stopped(workspace: Workspace, study: str) -> str:
    """Start a training in the workspace, stop it with SIGTERM after its first validation; return what it printed."""
    command = [sys.executable, "-u", "-m", "bench", "train", study, "glyphs/5way_1shot/protonet/seed0"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    process = subprocess.Popen(command, cwd=workspace.folder, env=workspace.environment, **options)
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "tasks/s" in line:
            break
    process.send_signal(signal.SIGTERM)
    output = "".join(lines) + process.communicate(timeout=120)[0]
    assert process.returncode == 130, output
    return output


def edited(path: Path) -> str:
    """Add a comment to a file; return its text before."""
    before = path.read_text()
    path.write_text(before + "\n# edited between stop and start\n")
    return before


BELONGS = re.compile(
    r"belongs to other settings, data or code, and waits for them as checkpoint-\w{8}\.pt; starting from"
)
RESUMING = re.compile(r"resuming from step (\d+)")
ENDLESS = {
    "train": {"steps": 100_000, "validate_every": 2, "validation_episodes": 8, "device": "cpu"},
    "overrides": {"protonet": {"hidden": 4}},
}


def test_a_training_never_resumes_under_other_code(workspace):
    """Stop, start again, edit, start again: the edited code starts from the first step, and says so."""
    study = workspace.study(**ENDLESS)
    stopped(workspace, study)
    step = int(RESUMING.search(stopped(workspace, study))[1])
    for file in ("bench/protocol/loop.py", "tasks/episodes.py"):
        before = edited(workspace.folder / file)
        output = stopped(workspace, study)
        assert BELONGS.search(output), file
        assert "resuming" not in output
        assert "resuming from step" in stopped(workspace, study), file
        (workspace.folder / file).write_text(before)
        output = stopped(workspace, study)  # the edit taken back: nothing of the former training is lost
        assert BELONGS.search(output) is None and int(RESUMING.search(output)[1]) > step, file
        step = int(RESUMING.search(output)[1])


def test_an_edit_that_cannot_change_a_model_resumes(workspace):
    study = workspace.study("other.yaml", study="other", **ENDLESS)
    stopped(workspace, study)
    before = edited(workspace.folder / "bench" / "protocol" / "record.py")
    assert "resuming from step" in stopped(workspace, study)
    (workspace.folder / "bench" / "protocol" / "record.py").write_text(before)
