"""`python -m bench schema`: write the JSON schema of study files, from which editors complete and check them."""

import argparse

from bench.study.schema import SCHEMA, json_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--print", action="store_true", help="print the schema instead of writing its file")


def main(args: argparse.Namespace) -> int:
    """Write `workflow/schemas/study.schema.json`; a test fails where it is older than the model of the keys."""
    if args.print:
        print(json_schema(), end="")
    else:
        SCHEMA.write_text(json_schema(), encoding="utf-8")
        print(f"wrote {SCHEMA}")
    return 0
