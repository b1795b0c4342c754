"""`python -m bench prepare`: fetch, verify and prepare data sets, and print their cards."""

import argparse
import sys

from tasks.archives import DataError
from tasks.dataset import prepared_root
from tasks.prepare import NAMES, TORCHMETA, disk_name, is_prepared, prepare


def add_arguments(parser: argparse.ArgumentParser) -> None:
    known = f"{', '.join(NAMES)}, {TORCHMETA}<name> such as {TORCHMETA}cifar_fs"
    parser.add_argument("names", nargs="+", metavar="NAME", help=f"data sets: {known}")
    parser.add_argument("--force", action="store_true", help="prepare again even if already prepared")


def main(args: argparse.Namespace) -> int:
    """Prepare each named data set. Returns 0, or 1 with the reason on stderr."""
    for name in args.names:
        try:
            done = is_prepared(name) and not args.force
            prepare(name, force=args.force)
        except (DataError, ValueError) as error:
            print(f"prepare {name}: {error}", file=sys.stderr)
            return 1
        folder = prepared_root() / disk_name(name)
        print(f"{folder}: {'already prepared' if done else 'prepared'}\n")
        print((folder / "card.md").read_text())
    return 0
