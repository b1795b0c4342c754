"""Meta-test of one run over all conditions of its study: `python -m bench test config/quick.yaml glyphs/5way_1shot/protonet/seed0`."""

import argparse
import sys

from bench.protocol.fingerprint import code_digest
from bench.protocol.outdated import made_from_of_test
from bench.results.run_folder import read_run
from bench.results.run_lock import run_lock
from bench.results.schema import DIVERGED, MODEL
from bench.study.jobs import TestingJob, TrainingJob
from bench.study.run import Run
from bench.study.sizes import fewer_queries, queries_per_class
from bench.study.study import Study, load_study
from tasks.preparation.verified import check_prepared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="trained run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    study = load_study(args.study)
    test_run(study, study.run(args.run))
    return 0


def test_run(study: Study, run: Run) -> None:
    """Test a trained run; write episodes.parquet, calibration.parquet and test.json. FileNotFoundError says how to train it."""
    training, job = study.training_job(run), study.testing_job(run)
    # Before the code is imported: an edit in between makes the result outdated, not one of code that nobody knows.
    code = code_digest("test", training.code, training.overrides, training.dataset)
    with run_lock(run.folder, run.name):
        _test_locked(study, run, training, job, code)


def _test_locked(study: Study, run: Run, training: TrainingJob, job: TestingJob, code: str) -> None:
    result = read_run(run.folder)
    record = result.run
    if record is None:
        raise FileNotFoundError(
            f"{run.folder} has no trained model: run `python -m bench train {study.origin} {run.name}`"
        )
    result.check(MODEL)
    check_prepared(run.dataset, *study.settings.experiments.other_data)
    queries = queries_per_class(run, job)
    if fewer := fewer_queries(queries, job.query):
        print(f"{run.name}: {fewer}", file=sys.stderr, flush=True)
    from bench.protocol.test import test

    made_from = made_from_of_test(result, job, code)
    test(run, training, job, made_from, queries, diverged=record["status"] == DIVERGED)
