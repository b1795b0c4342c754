"""Make the reference results, which are committed under results/reference/: `python -m bench reference`.

Works through the list config/reference.yaml: prepares, trains and tests each run that has no reference result yet, and
adds it: its rows to results.csv (one per condition), its record and its per-episode values.
"""

import argparse
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jsonschema
from rich.console import Console
from rich.table import Table

from bench.results.reference_store import KEY_COLUMNS, add_run, load_reference, own_task, run_keys
from bench.results.run_folder import read_run
from bench.study.run import Run
from bench.study.study import Study, load_study
from bench.study.text import read_yaml
from tasks.prepared import is_prepared

LIST_SCHEMA = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {"study": {"type": "string"}, "run": {"type": "string"}},
        "required": ["study", "run"],
        "additionalProperties": False,
    },
}


@dataclass(frozen=True)
class Entry:
    """A line of the list: a run of a study."""

    study_file: str
    run_name: str

    @cached_property
    def study(self) -> Study:
        return load_study(self.study_file)

    @cached_property
    def run(self) -> Run:
        return self.study.run(self.run_name)

    @property
    def key(self) -> tuple:
        return tuple(getattr(self.run, column) for column in KEY_COLUMNS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `python -m bench reference`."""
    parser.add_argument(
        "list", nargs="?", default="config/reference.yaml", help="YAML list of runs, in order of priority"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--list", dest="show", action="store_true", help="only print what is done and what is pending"
    )
    what.add_argument("--add", metavar="FOLDER", nargs="+", help="only add these finished run folders")


def main(args: argparse.Namespace) -> int:
    """Add runs, print the list, or do what is pending."""
    if args.add:
        for folder in args.add:
            print(f"added {add_run(Path(folder))}")
        return 0
    entries = read_list(Path(args.list))
    if args.show:
        show(entries, Console())
        return 0
    return work(entries)


def read_list(path: Path) -> list[Entry]:
    """Return the runs in order of priority. Raises ValueError naming the file and the bad entry."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; write a YAML list of entries {{study: FILE, run: NAME}}"
        )
    lines = read_yaml(path) or []
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(LIST_SCHEMA).iter_errors(lines))
    if error:
        raise ValueError(f"{path}: entry {'.'.join(map(str, error.absolute_path))}: {error.message}")
    return [Entry(line["study"], line["run"]) for line in lines]


def work(entries: list[Entry]) -> int:
    """Do what is pending, in order. Return 1 if a run failed (the others are done), 130 after SIGTERM or Ctrl-C."""
    failed = []
    for entry in entries:
        if entry.key in run_keys(load_reference()):
            continue
        print(f"reference: {entry.run_name} of {entry.study_file}", flush=True)
        code = finish(entry)
        if code == 130:
            return 130
        if code:
            failed.append(entry.run_name)
            print(f"reference: {entry.run_name} failed (see above); next run", file=sys.stderr)
        else:
            print(f"reference: added {add_run(entry.run.folder)}", flush=True)
    print(
        f"reference: {len(failed)} of {len(entries)} runs failed: {', '.join(failed)}"
        if failed
        else "reference: done"
    )
    return 1 if failed else 0


def finish(entry: Entry) -> int:
    """Run the jobs that a run still needs, each in a process of its own; return the first exit code that is not 0."""
    result = read_run(entry.run.folder)
    commands = []
    if result.run is None:
        if entry.run.kind == "classification" and not is_prepared(entry.run.dataset):
            commands.append(["prepare", entry.run.dataset])
        pretraining = entry.study.pretraining(entry.run)
        if pretraining and read_run(pretraining.folder).run is None:
            commands.append(["train", entry.study_file, pretraining.name])
        commands.append(["train", entry.study_file, entry.run_name])
    if not result.tested:
        commands.append(["test", entry.study_file, entry.run_name])
    for command in commands:
        code = call([sys.executable, "-m", "bench", *command])
        if code:
            return code
    return 0


def call(command: list[str]) -> int:
    """Run a command and return its exit code, 130 if stopped.

    SIGTERM and Ctrl-C are passed to it once, so that a training saves its checkpoint.
    """
    child = subprocess.Popen(command, start_new_session=True)  # else a terminal's Ctrl-C would reach it twice
    stopped = []

    def pass_on(number: int, _frame: object) -> None:
        stopped.append(number)
        child.send_signal(number)

    previous = {number: signal.signal(number, pass_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        code = child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return 130 if stopped else code


def show(entries: list[Entry], console: Console) -> None:
    """Print the list, with the state and the result of each run."""
    frame = load_reference()
    keys = run_keys(frame)
    clean = own_task(frame[frame["paper_mode"].astype(bool)]).set_index(KEY_COLUMNS)
    table = Table(box=None, pad_edge=False)
    for column in ("run", "study", "state", "result", "share of published tasks"):
        table.add_column(column, overflow="fold")
    for entry in entries:
        row = clean.loc[entry.key] if entry.key in keys else None
        numbers = ("-", "-") if row is None else (f"{row['mean']:.4f}", f"{row['budget_share']:.3f}")
        table.add_row(entry.run_name, entry.run.study, "pending" if row is None else "done", *numbers)
    console.print(table)
    console.print(f"\n{sum(entry.key in keys for entry in entries)} of {len(entries)} done")
