"""Meta-test of one run over all conditions of its study: `python -m bench test config/quick.yaml glyphs/5way_1shot/protonet/seed0`."""

import argparse

from bench.protocol.test import test
from bench.results.run_folder import read_run
from bench.results.schema import DIVERGED
from bench.study.run import Run
from bench.study.study import Study, load_study


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
    record = read_run(run.folder).run
    if record is None:
        raise FileNotFoundError(
            f"{run.folder} has no trained model: run `python -m bench train {study.origin} {run.name}`"
        )
    test(run, study.training_job(run), study.testing_job(run), diverged=record["status"] == DIVERGED)
