"""`bench report STUDY.yaml`: the page of a study, from the tables of `bench summarize` and `bench claims`."""

import argparse

from bench.report.page import build_report
from bench.study.study import load_study


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml; summarize it first")


def main(args: argparse.Namespace) -> int:
    page = build_report(load_study(args.study))
    print(f"{page} ({page.stat().st_size / 1e6:.1f} MB)")
    return 0
