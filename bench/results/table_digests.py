"""Digests of the tables of a study, in a file beside them: a table that was cut or edited is noticed when it is read."""

import json
from collections.abc import Iterable
from pathlib import Path

from bench.results.digests import check_file, file_digest
from bench.results.files import ResultError, write_text

REMEDY = "delete it and run snakemake again (or `python -m bench summarize` and `claims`)"


def record_digests(folder: Path, verb: str, names: Iterable[str]) -> None:
    """Write the digests of the tables that a verb has made."""
    digests = {name: file_digest(folder / name) for name in sorted(names)}
    write_text(_file(folder, verb), json.dumps(digests, indent=1) + "\n")


def check_digests(folder: Path, verbs: Iterable[str], names: Iterable[str]) -> None:
    """Raise ResultError, which names the file and the remedy, where a table is not the one that was written.

    names: of the tables that are read; each must have a digest, which those of older versions lack.
    """
    known = set()
    for path in [_file(folder, verb) for verb in verbs]:
        if not path.exists():
            raise ResultError(
                f"{path} is missing, so {folder} may hold tables that were cut or edited: "
                "run snakemake again (or `python -m bench summarize` and `claims`)"
            )
        try:
            recorded = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise ResultError(f"{path} is damaged ({error}): {REMEDY}") from error
        for name, digest in recorded.items():
            check_file(folder / name, str(digest), REMEDY)
        known |= recorded.keys()
    for name in names:
        if name not in known:
            raise ResultError(f"{folder / name} has no recorded digest: {REMEDY}")


def _file(folder: Path, verb: str) -> Path:
    return folder / f"{verb}.json"
