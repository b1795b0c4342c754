"""A run made again from its record: the study that has only this run, with the hyper-parameters of the record.

The jobs are the ordinary ones, in `results/again/`. The code is that of now, whatever trained the run.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

import algos
from bench.paths import results_root
from bench.results.files import ResultError, write_text
from bench.results.reference_store import run_of
from bench.results.run_folder import RunResult, read_run
from bench.results.schema import HISTORY, MODEL
from bench.study.run import Run
from bench.study.study import Study


def again_root() -> Path:
    """Return the folder of runs that are made again (results/again)."""
    return results_root() / "again"


def study_of(result: RunResult, study: Study) -> dict[str, Any]:
    """Return the study of one run: tests and validations of `study`, everything else from the run's record."""
    record, config = result.run, dict(study.config)
    name, dataset = _named(study, record["algorithm"]), record["dataset"]
    card = study.cards[name]
    own, shared = {}, {}
    for key, value in record["hyper_parameters"].items():
        (shared if "." in key else own)[key.split(".")[-1]] = value
    overrides = {name: known(own, card, result)}
    if card.pretraining:
        overrides[card.pretraining] = known(shared, study.cards[card.pretraining], result)
    variant = study.variant(name)
    tasks = {"split": config["datasets"][dataset].get("split"), "shots": [record["shot"]]}
    if run_of(record).kind == "classification":
        tasks |= {"ways": [record["way"]]}
    return config | {
        "datasets": {dataset: tasks},
        "algorithms": [] if variant else [name],
        "variants": {name: config["variants"][name]} if variant else {},
        "seeds": [record["seed"]],
        "train": config["train"] | {"steps": None, "threads": record["provenance"]["threads"]},
        "overrides": {key: values for key, values in overrides.items() if values},
        "stream": None,
    }


def _named(study: Study, name: str) -> str:
    """Return the learner's name in the study. ValueError: the study has none of that name."""
    found = [key for key in study.cards if algos.name_of(key) == name]
    if not found:
        raise ValueError(
            f"{study.origin}: no learner is called {name!r}; add it to its algorithms or variants"
        )
    return found[0]


def known(values: dict[str, Any], card: algos.Card, result: RunResult) -> dict[str, Any]:
    """Return the hyper-parameters that the algorithm has today; others are told."""
    gone = sorted(set(values) - set(card.params))
    if gone:
        print(f"{result.folder}: the algorithm no longer has {', '.join(gone)}", file=sys.stderr, flush=True)
    return {key: value for key, value in values.items() if key not in gone}


def test_again(folder: Path, study: Study, changed: dict[str, Any] | None = None) -> Path:
    """Copy a trained run and test it by the code of now; return the copy's folder. changed: keys of the study to replace.

    Raises ResultError where the model is not there, or is not the recorded one.
    """
    result = read_run(folder)
    result.check(MODEL)
    if not (folder / MODEL).exists():
        raise ResultError(f"{folder} has no {MODEL}, so it cannot be tested; train the run again")
    file, target = staged(result, study, changed or {})
    target.mkdir(parents=True, exist_ok=True)
    for name in ("run.json", MODEL, HISTORY):
        if (folder / name).exists():
            shutil.copyfile(folder / name, target / name)
    do("test", file, run_of(result.run))
    return target


def train_again(result: RunResult, study: Study) -> Path:
    """Train and test a run by its record; return the folder. What is there already is kept, and a training is resumed."""
    file, target = staged(result, study, {})
    run = study.run(run_of(result.run).name)
    shared = study.pretraining(run)
    if shared and not (again_root() / study.name / shared.name / "run.json").exists():
        do("train", file, shared)
    if not (target / "run.json").exists():
        do("train", file, run)
    do("test", file, run)
    return target


def staged(result: RunResult, study: Study, changed: dict[str, Any]) -> tuple[Path, Path]:
    """Write the study of one run; return its file and the folder of the run made again."""
    run = run_of(result.run)
    target = again_root() / run.study / run.name
    config = study_of(result, study) | changed
    file = write_text(target.with_name(f"{target.name}.yaml"), yaml.safe_dump(config, sort_keys=False))
    return file, target


def do(verb: str, file: Path, run: Run) -> None:
    """Run a job of a study in a process of its own. Raises ResultError where it failed."""
    command = [sys.executable, "-m", "bench", verb, str(file), run.name]
    code = call(command, RESULTS_ROOT=str(again_root()))
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise ResultError(f"`bench {verb} {file} {run.name}` failed (see above)")


def call(command: list[str], **environment: str) -> int:
    """Run a command and return its exit code, 130 if stopped. environment: variables of it alone.

    SIGTERM and Ctrl-C are passed to it once, so that a training saves its checkpoint.
    """
    # A session of its own: else a terminal's Ctrl-C would reach it twice.
    child = subprocess.Popen(command, env=os.environ | environment, start_new_session=True)
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
