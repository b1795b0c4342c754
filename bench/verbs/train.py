"""Meta-training of one run: `python -m bench train config/quick.yaml glyphs/5way_1shot/protonet/seed0`.

Also of a pretraining that several runs share (`glyphs/supervised/seed0`); those runs then take over its encoder. A
training that was stopped resumes with the same command.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from bench.protocol.fingerprint import code_digest
from bench.protocol.outdated import Outdated
from bench.results.metrics import main_metric
from bench.results.run_folder import RunResult, read_run
from bench.results.run_lock import run_lock
from bench.results.schema import MODEL
from bench.study.run import Run
from bench.study.study import Study, load_study
from tasks.preparation.verified import check_prepared

if TYPE_CHECKING:
    from bench.study.jobs import TrainingJob


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    """Run the verb; return 130 after a signal."""
    study = load_study(args.study)
    run = study.run(args.run)
    stopped = train_run(study, run)
    if stopped:
        print(f"{run.name}: {stopped}; the same command resumes from there", file=sys.stderr, flush=True)
    return 130 if stopped else 0


def train_run(study: Study, run: Run) -> str:
    """Train a run (or resume its training); write model.safetensors, history.parquet and run.json to its folder.

    Return what stopped the training, with a checkpoint on the disk; empty where it has ended.
    """
    job = study.training_job(run)
    # Before the code is imported: an edit in between makes the result outdated, not one of code that nobody knows.
    code = code_digest("train", job.code, job.overrides, job.dataset)
    with run_lock(run.folder, run.name) as waited:
        if waited and _is_trained(study, run):
            print(f"{run.name}: the other process has trained it", flush=True)
            return ""
        return _train_locked(study, run, job, code)


def _is_trained(study: Study, run: Run) -> bool:
    result = read_run(run.folder)
    return result.run is not None and not Outdated(study).training(run, result)


def _train_locked(study: Study, run: Run, job: "TrainingJob", code: str) -> str:
    check_prepared(run.dataset)
    pretraining = finished_pretraining(study, run)
    from bench.protocol import checkpoint, record
    from bench.protocol.half_precision import slow_precision
    from bench.protocol.loop import Stopped
    from bench.protocol.machine import choose
    from bench.protocol.memory import keep_freed
    from bench.protocol.progress import Progress
    from bench.protocol.train import train

    start = record.start_of(job, code)
    device = choose(job.device)
    keep_freed(device)
    if warning := slow_precision(device, job.precision):
        print(f"{study.origin}: {warning}", file=sys.stderr, flush=True)
    progress = Progress(run.name, job.minutes, main_metric(run.kind))
    try:
        trained = train(run, job, code, pretraining.folder if pretraining else None, progress)
    except Stopped as stopped:
        return str(stopped)
    record.write(run, job, study.title_of(run.algorithm), trained, pretraining, start)
    checkpoint.remove(run.folder)
    return ""


def finished_pretraining(study: Study, run: Run) -> RunResult | None:
    """Return the pretraining that the run starts from, if any. FileNotFoundError says how to train it."""
    pretraining = study.pretraining(run)
    if pretraining is None:
        return None
    result = read_run(pretraining.folder)
    if result.run is None:
        raise FileNotFoundError(
            f"{pretraining.folder} has no trained model, and {run.name} starts from it: "
            f"run `python -m bench train {study.origin} {pretraining.name}`"
        )
    result.check(MODEL)
    return result
