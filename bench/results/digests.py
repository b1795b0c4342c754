"""Digests of files and values: a result is recognised by its content, not by the time of its files."""

import hashlib
import json
from pathlib import Path
from typing import Any

from bench.results.files import ResultError

_ENCODER = json.JSONEncoder(sort_keys=True)  # `json.dumps` makes one for each value


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value; the order of keys does not count."""
    return hashlib.sha256(_ENCODER.encode(value).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return size and SHA-256 of a file, `<bytes>:<hex digits>`: the size can be compared without reading the file."""
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"{file.tell()}:{digest}"


def check_file(path: Path, recorded: str, remedy: str, content: bool = True) -> None:
    """Raise ResultError unless a file has the recorded size and, if asked for, the recorded content."""
    if not path.exists():
        raise ResultError(f"{path} is missing: {remedy}")
    size = path.stat().st_size
    if recorded.split(":")[0] != str(size):
        raise ResultError(
            f"{path} has {size} bytes, and {recorded.split(':')[0]} were written; it is damaged: {remedy}"
        )
    if content and file_digest(path) != recorded:
        raise ResultError(
            f"{path} is not the file that was written: its content has another digest: {remedy}"
        )
