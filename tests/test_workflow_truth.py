"""Which results the workflow makes again, and which it takes for what they are, by their content."""

import copy
import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workspace import NOTHING, Workspace

CELL = "glyphs/5way_1shot"
TABLES = "results/tiny/tables/runs.csv"
SUMMED_UP = {"summarize"}
HARD = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/dev/null"}
"""Environment of a machine with an ASCII locale, whose home folder cannot be written."""
SELF_EDITING = '''"""Edits its own file while its training runs."""

from pathlib import Path

from algos.baseline.pixel_nn import PixelNN


class Edited(PixelNN):
    title = "Edited"

    def state_dict(self, *arguments, **named):
        with Path(__file__).open("a") as file:
            file.write("# edited\\n")
        return super().state_dict(*arguments, **named)
'''


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Iterator[Workspace]:
    """A copy in which a small study without training has been run to its tables, on a difficult machine.

    The names of the folder and of a learner are difficult, too.
    """
    home = tmp_path_factory.mktemp("finished")
    workspace = Workspace(home / "it's a 'project' & (v1)")
    own = workspace.folder / "my"
    own.mkdir()
    text = SELF_EDITING.replace("Edits", "Does not edit").replace("# edited\\n", "")
    (own / "it's $(touch PWNED) v2;.py").write_text(text)
    workspace.study(algorithms=["pixel_nn", "my/it's $(touch PWNED) v2;.py"], title="Vögel 統")
    workspace.snakemake("--cores", "1", "--configfile", "tiny.yaml", "--", TABLES, **HARD)
    yield workspace
    workspace.end()


def plan(workspace: Workspace) -> set[str]:
    return workspace.plan("--configfile", "tiny.yaml", "--", TABLES)


RUNS = {f"{verb} {CELL}/{name}" for verb in ("train", "test") for name in ("pixel_nn/seed0",)}


def test_a_name_with_spaces_and_quotes_works_and_nothing_in_it_is_run(finished):
    assert (finished.folder / f"results/tiny/{CELL}/it's $(touch PWNED) v2;/seed0/test.json").exists()
    assert not list(finished.folder.rglob("PWNED*"))
    assert plan(finished) == set()


def test_text_is_utf8_whatever_the_locale(finished):
    assert "title: Vögel 統" in (finished.folder / "results/tiny/study.yaml").read_text(encoding="utf-8")


def test_another_working_folder_finds_the_results_below_it(finished, tmp_path):
    """`snakemake -s PROJECT/Snakefile -d WORK`, called in a third folder."""
    project, work, caller = finished.folder, tmp_path / "work", tmp_path / "caller"
    for name in ("results/tiny", "my"):
        shutil.copytree(project / name, work / name)
    caller.mkdir()
    elsewhere = copy.copy(finished)
    elsewhere.folder = caller
    where = ("-s", str(project / "Snakefile"), "-d", str(work), "--configfile", str(project / "tiny.yaml"))
    printed = elsewhere.snakemake("--dry-run", *where, "--", TABLES, DATA_ROOT=str(project / "data"))
    assert NOTHING in printed and not list(caller.iterdir())


def test_results_that_cannot_be_written_end_a_workflow_before_any_job_and_are_named(finished):
    root = "/sys/results"  # where not even root can make a folder
    arguments = ("--cores", "1", "--configfile", "tiny.yaml", "--", f"{root}/tiny/tables/runs.csv")
    said = finished.snakemake(*arguments, succeeds=False, RESULTS_ROOT=root)
    assert re.search(rf"^{root}(/tiny)?: .*; set RESULTS_ROOT", said, re.MULTILINE), said
    assert "Traceback" not in said and "rule train" not in said


@pytest.mark.parametrize("name", ["RESULTS_ROOT", "REPORTS_ROOT", "DATA_ROOT"])
def test_a_folder_that_snakemake_would_take_for_a_wildcard_is_named(finished, tmp_path, name):
    said = finished.snakemake(
        "--dry-run", "--configfile", "tiny.yaml", succeeds=False, **{name: f"{tmp_path}/a{{b}}"}
    )
    assert (
        f"{name}={tmp_path}/a{{b}}: Snakemake reads a wildcard between braces; choose a folder without"
        in said
    )


def test_what_is_deleted_or_damaged_is_made_again_although_the_tables_exist(finished):
    run = finished.folder / f"results/tiny/{CELL}/pixel_nn/seed0"
    kept = run.with_name("kept")
    shutil.copytree(run, kept)
    for spoil in (
        lambda: shutil.rmtree(run),
        (run / "model.safetensors").unlink,
        lambda: (run / "run.json").write_text("{"),
        lambda: (run / "episodes.parquet").write_bytes(b"PAR1"),
    ):
        spoil()
        found = plan(finished)
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(kept, run)
        assert f"test {CELL}/pixel_nn/seed0" in found and SUMMED_UP <= found
        assert found <= RUNS | SUMMED_UP
    shutil.rmtree(kept)
    assert plan(finished) == set()


def test_results_on_another_machine_are_taken_for_what_they_are(finished, tmp_path):
    """Times of files say nothing: results may be older or newer than the code that they were made by."""
    other = copy.copy(finished)
    other.folder = tmp_path / "copy"
    ignored = shutil.ignore_patterns(".snakemake", "logs")
    shutil.copytree(finished.folder, other.folder, ignore=ignored, copy_function=shutil.copyfile)
    files = [file for file in (other.folder / "results").rglob("*") if file.is_file()]
    for age, file in enumerate(files):
        os.utime(file, (1e9 - age, 1e9 - age))
    assert not {job for job in plan(other) if job.startswith(("train", "test", "prepare"))}
    edited = other.folder / "algos" / "baseline" / "pixel_nn.py"
    edited.write_text(edited.read_text() + "\n# edited\n")
    os.utime(edited, (1e9 - 1e6, 1e9 - 1e6))
    assert RUNS <= plan(other)


def test_code_that_is_edited_while_a_job_runs_makes_the_result_outdated(finished):
    file = finished.folder / "my" / "edited.py"
    file.write_text(SELF_EDITING)
    finished.study("edited.yaml", study="edited", algorithms=["my/edited.py"])
    target = f"results/edited/{CELL}/edited/seed0/run.json"
    arguments = ("--configfile", "edited.yaml", "--", target)
    finished.snakemake("--cores", "1", *arguments)
    assert finished.plan(*arguments) == {f"train {CELL}/edited/seed0"}
    done = subprocess.run(
        [finished.command()[0], "-m", "bench", "status", "edited.yaml"],
        cwd=finished.folder,
        env=finished.environment | {"COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    assert "outdated" in done.stdout and "the code of its training has been edited" in done.stdout


@pytest.mark.parametrize("command", [("bench", "status"), ("snakemake", "-n", "--configfile")])
def test_a_key_that_occurs_twice_is_an_error_with_both_lines(finished, command):
    file = finished.folder / "twice.yaml"
    file.write_text((finished.folder / "tiny.yaml").read_text() + "train: {steps: 2}\n")
    lines = [n for n, line in enumerate(file.read_text().splitlines(), 1) if line.startswith("train:")]
    done = subprocess.run(
        [finished.command()[0], "-m", *command, "twice.yaml"],
        cwd=finished.folder,
        env=finished.environment,
        capture_output=True,
        text=True,
    )
    printed = done.stdout + done.stderr
    assert done.returncode != 0 and "Traceback" not in printed
    assert f"the key 'train' occurs twice, in lines {lines[0]} and {lines[1]}" in printed


def test_the_lock_of_a_killed_workflow_is_removed_and_that_of_a_living_one_is_not(finished):
    (finished.folder / "my" / "slow.py").write_text(SLOW)
    finished.study("slow.yaml", study="slow", algorithms=["my/slow.py"])
    record = f"results/slow/{CELL}/slow/seed0/run.json"
    arguments = ("--cores", "1", "--configfile", "slow.yaml", "--", record)
    started = finished.folder / "started"
    first = finished.start(*arguments)
    wait_for(started, first)
    assert "cannot be locked" in finished.snakemake(*arguments, succeeds=False), "another one is alive"
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert list(finished.folder.glob(".snakemake/locks/*.lock"))
    second = finished.start(*arguments)  # beside the job, which has outlived its workflow
    log = finished.folder / f"logs/slow/train/{CELL}/slow/seed0.log"
    while not (
        log.exists() and "another process works on it" in log.read_text()
    ):  # Snakemake begins a new log
        assert second.poll() is None
        time.sleep(0.1)
    (finished.folder / "continue").touch()
    assert second.wait() == 0, log.read_text()
    assert "the other process has trained it" in log.read_text()
    assert started.read_text() == "x", "trained once"
    assert json.loads((finished.folder / record).read_text())["status"] == "untrained"


SLOW = '''"""Says that its training has begun, and goes on when it is told to."""

import time
from pathlib import Path

from algos.baseline.pixel_nn import PixelNN


class Slow(PixelNN):
    title = "Slow"

    def state_dict(self, *arguments, **named):
        with Path("started").open("a") as file:
            file.write("x")
        while not Path("continue").exists():
            time.sleep(0.1)
        return super().state_dict(*arguments, **named)
'''


def wait_for(path, process: subprocess.Popen) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.1)


def signal_thread(process: subprocess.Popen, number: int) -> None:
    """Signal a thread other than the main one, as the kernel may do with a signal for the process."""
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        blocked = re.search(r"SigBlk:\s*(\w+)", (task / "status").read_text())
        if int(task.name) != process.pid and not int(blocked[1], 16) >> number - 1 & 1:
            assert ctypes.CDLL(None).tgkill(process.pid, int(task.name), number) == 0
            return
    raise AssertionError("no thread takes the signal")


@pytest.mark.parametrize(
    ("number", "at"),
    [(signal.SIGTERM, "process"), (signal.SIGINT, "process"), (signal.SIGTERM, "thread")],
)
def test_a_signal_at_snakemake_stops_a_training_at_a_checkpoint(finished, number, at):
    name = f"stop{int(number)}{at}"
    train = {"steps": 100_000, "validate_every": 5, "validation_episodes": 8, "device": "cpu"}
    overrides = {"protonet": {"hidden": 4, "train_way": 5}}
    finished.study(f"{name}.yaml", study=name, algorithms=["protonet"], train=train, overrides=overrides)
    run = f"{CELL}/protonet/seed0"
    process = finished.start(
        "--cores", "1", "--configfile", f"{name}.yaml", "--", f"results/{name}/{run}/run.json"
    )
    log = finished.folder / f"logs/{name}/train/{run}.log"
    wait_for(log, process)
    while "step" not in log.read_text():
        assert process.poll() is None
        time.sleep(0.1)
    if at == "process":
        process.send_signal(number)
    else:
        signal_thread(process, number)
    assert finished.ended(process) != 0
    assert "checkpoint saved" in log.read_text()
    assert (finished.folder / f"results/{name}/{run}/checkpoint.pt").exists()
    assert not list(finished.folder.glob(".snakemake/locks/*.lock"))
