"""`python -m bench prepare`: fetch, verify and prepare data sets, and print their cards."""

import argparse

from bench.study.checks import check_dataset
from tasks.catalogue import FOLDER, NAMES, REGRESSION, TORCHMETA, folder_name, prepared_root
from tasks.prepared import is_prepared


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = f"{', '.join(NAMES)}, {TORCHMETA}<name> such as {TORCHMETA}cifar_fs, {FOLDER}<path> such as {FOLDER}/data/birds"
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"data sets: {known}")
    parser.add_argument("--force", action="store_true", help="prepare again even if already prepared")


def main(args: argparse.Namespace) -> int:
    """Prepare each named data set and print its card. Errors as in `tasks.preparation.prepare.prepare`, of names before any work."""
    for name in args.names:
        if name in REGRESSION:
            raise ValueError(f"{name}: its tasks are generated, so that there is nothing to prepare")
        check_dataset(name, "prepare")
    from tasks.preparation.prepare import prepare  # needs torch, which `--help` does not

    for name in args.names:
        done = is_prepared(name) and not args.force
        prepare(name, force=args.force)
        folder = prepared_root() / folder_name(name)
        print(f"{folder}: {'already prepared' if done else 'prepared'}\n")
        print((folder / "card.md").read_text(encoding="utf-8"))
    return 0
