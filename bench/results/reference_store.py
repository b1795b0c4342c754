"""The reference results, results/reference/: a folder of results like any other, so that every table and page is made from it.

A run keeps its records, its episodes, its calibration and its learning curve; some keep their model, too. Tests may be younger
than trainings: `provenance` of run.json names the commit and machine of the training, that of test.json those of the test.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.paths import results_root
from bench.results.digests import file_digest
from bench.results.files import ResultError
from bench.results.frames import write_calibration, write_episodes, write_history
from bench.results.metrics import measured
from bench.results.run_folder import RunResult, read_run, write_run, write_test
from bench.results.schema import HISTORY, MODEL, TEST_FILES
from bench.study.run import Run

NAME = "reference"
DECIMALS = 3
"""Kept of the metrics beside the main one, which is exact: the files have half the size."""


def reference_root() -> Path:
    """Return the folder of the reference results (results/reference)."""
    return results_root() / NAME


@contextmanager
def reference_results() -> Iterator[None]:
    """Let the reference results be those that verbs read, and `reports/reference` the folder of their reports."""
    reports = Path(os.environ.get("REPORTS_ROOT", "reports")) / NAME
    changed = {"RESULTS_ROOT": str(reference_root()), "REPORTS_ROOT": str(reports)}
    before = {name: os.environ.get(name) for name in changed}
    os.environ.update(changed)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def run_of(record: dict) -> Run:
    """Return the run of a record (run.json)."""
    return Run(*(record[key] for key in ("study", "dataset", "way", "shot", "algorithm", "seed")))


def kept_folder(run: Run) -> Path:
    """Return the folder of a run among the reference results."""
    return reference_root() / run.study / run.name


def is_kept(run: Run) -> bool:
    """Whether a run is among the reference results."""
    return (kept_folder(run) / "test.json").exists()


def add_run(folder: Path, weights: bool = False) -> Path:
    """Add a finished run's folder to the reference results, replacing an earlier copy of the same run; return its folder.

    weights: keep its model, too. Raises ResultError when the run is not tested, or when it saw other episodes or images
    than the runs beside it.
    """
    result = read_run(folder)
    if not result.tested:
        remedy = result.outdated or "train and test it first"
        raise ResultError(f"{folder} is {result.status}, so it is no reference result: {remedy}")
    result.check()
    target = kept_folder(run_of(result.run))
    check_same_episodes(result, target)
    written = _write_frames(result, target)
    model = target / MODEL
    model.unlink(missing_ok=True)
    if weights:
        shutil.copyfile(result.folder / MODEL, model)
        written.append(MODEL)
    digests = {name: file_digest(target / name) for name in written}
    of_test = {name: digest for name, digest in digests.items() if name in TEST_FILES}
    of_training = {name: digest for name, digest in digests.items() if name not in TEST_FILES}
    write_run(target / "run.json", result.run | {"files": of_training})
    made = result.test.get("made_from")
    if made and made["model"] is None:  # its training recorded no digests
        made = made | {"model": file_digest(result.folder / MODEL)}
    write_test(target / "test.json", result.test | {"files": of_test} | ({"made_from": made} if made else {}))
    return target


def _write_frames(result: RunResult, target: Path) -> list[str]:
    """Write episodes, calibration and, where there is one, the learning curve; return the names of the files."""
    kind, episodes, history = result.run["task_kind"], result.episodes(), result.history()
    others = [name for name in measured(kind) if name != result.metric]
    episodes[others] = episodes[others].round(DECIMALS)
    write_episodes(target / "episodes.parquet", episodes, kind, older=True)
    write_calibration(target / "calibration.parquet", result.calibration(), kind)
    if history.empty:
        (target / HISTORY).unlink(missing_ok=True)
        return list(TEST_FILES)
    write_history(target / HISTORY, history)
    return [*TEST_FILES, HISTORY]


def check_same_episodes(result: RunResult, target: Path) -> None:
    """Raise ResultError if a kept run of the same setting saw other episodes or images; `target` is not compared."""
    for path in sorted(target.parents[1].glob("*/seed*/test.json")):
        if path.parent == target:
            continue
        other = read_run(path.parent)
        pairs = {"images": (result.run["data"]["digest"], other.run["data"]["digest"])}
        shared = result.test["episodes"].keys() & other.test["episodes"].keys()
        pairs |= {
            f"{task} episodes": (result.test["episodes"][task], other.test["episodes"][task])
            for task in shared
        }
        for what, (mine, kept) in pairs.items():
            if mine != kept:
                raise ResultError(
                    f"{result.folder}: its {what} ({mine[:12]}) differ from those of {path.parent} ({kept[:12]}), so they "
                    "cannot be compared; test again with the settings of the kept runs, or give the study another name"
                )
