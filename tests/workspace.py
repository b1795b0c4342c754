"""A copy of the working tree to run Snakemake in: edits, results and locks there touch nothing here."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import yaml

from tasks.preparation.prepare import prepare

ROOT = Path(__file__).parents[1]
TINY = {
    "study": "tiny",
    "datasets": {"glyphs": {"ways": [5], "shots": [1]}},
    "algorithms": ["pixel_nn", "protonet"],
    "train": {"steps": 4, "validate_every": 2, "validation_episodes": 8, "device": "cpu"},
    "test": {"episodes": 8, "modes": ["inductive"]},
    "shifts": {"episodes": 4, "scopes": ["task"], "severities": {"shear": [1]}},
}
NOTHING = "Nothing to be done"
ORDER = ("prepare", "train", "test", "pictures", "summarize", "claims", "report")
"""Verbs of the jobs, each after those that it depends on."""


class Workspace:
    """The project's files without anything that git ignores, and the prepared glyphs, which take a while to draw."""

    def __init__(self, folder: Path):
        self.folder, self.printed = folder, folder.parent / f"{folder.name}.started.log"
        self.started: list[subprocess.Popen] = []
        listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        for name in subprocess.check_output(listing, cwd=ROOT, text=True).split("\0"):
            if name and (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        prepared = Path("data", "prepared")
        prepare("glyphs", ROOT / prepared)
        shutil.copytree(ROOT / prepared / "glyphs", folder / prepared / "glyphs")

    def study(self, file: str = "tiny.yaml", **changes: object) -> str:
        """Write the tiny study, with changes, as a study file; returns the file."""
        (self.folder / file).write_text(yaml.safe_dump(TINY | changes))
        return file

    @property
    def environment(self) -> dict[str, str]:
        ours = ("DATA_ROOT", "DATA_MIRROR", "RESULTS_ROOT", "REPORTS_ROOT", "XDG_CACHE_HOME")
        return {key: value for key, value in os.environ.items() if key not in ours} | {"OMP_NUM_THREADS": "1"}

    def command(self, *arguments: str) -> list[str]:
        """A call of Snakemake; it waits at its end until a timespan has passed, here not for the profile's five seconds."""
        return [sys.executable, "-m", "snakemake", "--max-jobs-per-timespan", "1000/1s", *arguments]

    def snakemake(self, *arguments: str, succeeds: bool = True, **environment: str) -> str:
        """Run Snakemake here and return all that it printed."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert (done.returncode == 0) == succeeds, done.stdout
        return done.stdout

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start Snakemake here, in a process group of its own, and return at once."""
        command, environment = self.command(*arguments), self.environment | {"PYTHONFAULTHANDLER": "1"}
        with self.printed.open("ab") as out:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, start_new_session=True, stdout=out, stderr=out
            )
        self.started.append(process)
        return process

    def ended(self, process: subprocess.Popen, seconds: float = 120) -> int:
        """Return the exit status of what was started. AssertionError shows where each of its threads was, and what it printed."""
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait(20)
            raise AssertionError(f"it did not end:\n{self.printed.read_text()[-10_000:]}") from None

    def end(self) -> None:
        """Kill what has been started and still runs, with its jobs."""
        for process in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def jobs(self, *arguments: str) -> list[list[str]]:
        """Words after `python -m bench` in each job of a dry run, a job after those that it depends on; none if all is done."""
        printed = self.snakemake("--dry-run", "--printshellcmds", *arguments)
        jobs = re.findall(r"python -m bench (\w+) (\S+)(?: (\S+))? > ", printed)
        assert jobs or NOTHING in printed, printed
        # A pretraining has a shorter name than the trainings that start from it.
        jobs.sort(key=lambda job: (ORDER.index(job[0]), job[2].count("/")))
        return [[word for word in job if word] for job in jobs]

    def plan(self, *arguments: str) -> set[str]:
        """Jobs of a dry run, as `verb run` (`train glyphs/5way_1shot/protonet/seed0`) or `verb`; none if all is done."""
        objects = {"prepare": 0, "train": 1, "test": 1}
        jobs = self.jobs(*arguments)
        return {f"{verb} {rest[objects[verb]]}" if verb in objects else verb for verb, *rest in jobs}

    def commands(self, study: str) -> list[list[str]]:
        """Arguments of `python -m bench` that do what Snakemake plans for a study, in their order."""
        jobs = self.jobs("--configfile", study)  # which name the copy of the study that a workflow writes
        return [[verb, *rest] if verb == "prepare" else [verb, study, *rest[1:]] for verb, *rest in jobs]

    def do(self, study: str) -> set[str]:
        """Do what Snakemake plans for a study in one process, because each spends seconds on imports; return the verbs."""
        commands = self.commands(study)
        script = f"from bench.__main__ import main\nfor command in {commands}:\n    assert main(command) == 0, command"
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return {verb for verb, *_ in commands}
