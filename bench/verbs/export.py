"""Everything that a study measured as one tidy parquet file: `python -m bench export config/quick.yaml`."""

import argparse
from pathlib import Path

from bench.paths import results_root
from bench.statistics.export import export
from bench.study.study import load_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line."""
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("--out", type=Path, help="file (default: results/<study>/measured.parquet)")


def main(args: argparse.Namespace) -> int:
    """Run the verb."""
    study = load_study(args.study)
    path = args.out or results_root() / study.name / "measured.parquet"
    rows, runs = export(study, path)
    print(f"{path}: {rows:,} numbers of {runs} of {len(study.runs())} runs")
    return 0
