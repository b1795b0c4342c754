"""kill -9 at random moments of every verb: the same command then gives the same bytes.

`KILLS=20` kills so often; `make test` kills five times, always at the same shares of a verb's time.
"""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bench.paths import ROOT
from tests import planted
from tests.planted import RUN

KILLS = int(os.environ.get("KILLS", "5"))
VERBS = ("train", "test", "summarize", "claims", "report")
TIMED = {"runs.csv"}  # holds times and the commit
SERVER = """
import importlib, json, os, signal, sys, time
import bench.protocol.loop as loop
from bench.__main__ import VERBS, main

loop.CHECKPOINT_SECONDS = 0.05
for name in json.loads(sys.argv[1]):
    importlib.import_module(VERBS[name][0])
for line in sys.stdin:
    roots, arguments, delay = json.loads(line)
    start, child = time.monotonic(), os.fork()
    if child == 0:
        os.environ.update(roots)
        log = os.open(roots["LOG"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1), os.dup2(log, 2)
        try:
            status = main(arguments)
            sys.stdout.flush()
        except BaseException as error:
            print(repr(error), flush=True)
            status = 99
        os._exit(status)
    while delay is not None and time.monotonic() - start < delay and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        time.sleep(0.002)
    if delay is not None:
        os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(json.dumps([status, time.monotonic() - start]), flush=True)
"""


class Server:
    """A process that has loaded everything and forks one child per command, so that a kill hits work, not imports."""

    def __init__(self, home: Path):
        command = [sys.executable, "-c", SERVER, json.dumps(VERBS)]
        self.home, environment = home, os.environ | {"OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, where: str, arguments: list[str], delay: float | None = None) -> tuple[int, float]:
        """Run a verb with its results below a folder, and kill it after a time; exit status and seconds."""
        roots = {f"{name}_ROOT": str(self.home / where / name.lower()) for name in ("RESULTS", "REPORTS")}
        roots["LOG"] = str(self.home / f"{where}.log")
        self.process.stdin.write(json.dumps([roots, arguments, delay]) + "\n")
        self.process.stdin.flush()
        return tuple(json.loads(self.process.stdout.readline()))

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def server(home):
    started = Server(home)
    yield started
    started.close()


def test_kills_at_random_moments_of_every_verb_change_no_byte(home, server):
    long = {"steps": 80, "validate_every": 10, "validation_episodes": 8, "device": "cpu"}
    shifts = {"episodes": 10, "scopes": ["task"], "severities": {"shear": [1, 3]}}
    study = str(planted.write_study(home, algorithms=["protonet"], train=long, shifts=shifts))
    arguments = {
        verb: [verb, study, *([RUN.format("protonet")] if verb in ("train", "test") else [])]
        for verb in VERBS
    }
    seconds = {}
    for verb in VERBS:
        status, seconds[verb] = server.run("whole", arguments[verb])
        assert status == 0, (home / "whole.log").read_text()
    chance, killed = random.Random(KILLS), 0
    for position, verb in enumerate(VERBS):
        for _ in range(len(range(position, KILLS, len(VERBS)))):
            status, _ = server.run("killed", arguments[verb], chance.random() * 0.9 * seconds[verb])
            killed += status == -9
        status, _ = server.run("killed", arguments[verb])
        assert status == 0, (home / "killed.log").read_text()
    assert killed >= KILLS / 2, f"only {killed} of {KILLS} kills met a process at work"
    whole, after = (files_of(home / name) for name in ("whole", "killed"))
    assert set(whole) == set(after)
    differ = [name for name in whole if whole[name].read_bytes() != after[name].read_bytes()]
    assert not differ, differ
    assert not list((home / "killed").rglob("checkpoint.pt"))


def files_of(root: Path) -> dict[str, Path]:
    """Models, episodes, calibration and tables: all that no clock goes into."""
    found = [
        *root.rglob("*.safetensors"),
        *root.rglob("episodes.parquet"),
        *root.rglob("calibration.parquet"),
    ]
    found += [path for path in (root / "results").rglob("*.csv") if path.name not in TIMED]
    assert len(found) > 6 and list((root / "reports").rglob("report.html")), found
    return {str(path.relative_to(root)): path for path in found}
