"""Atomic, deterministic writing of files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


class ResultError(ValueError):
    """A result file that breaks its schema; the message names the file, the key, the value and the remedy."""


def atomic_write(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path`, then rename it: readers see the old content or the new, never half of it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write a text file in UTF-8."""
    return atomic_write(path, lambda part: part.write_text(text, encoding="utf-8"))


def write_csv(path: Path, frame: pd.DataFrame) -> Path:
    """Write a table without its index, numbers with six significant digits."""
    return write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def read_csv(path: Path) -> pd.DataFrame:
    """Read a table. ResultError, which names the file and the remedy, where it is damaged."""
    import pandas as pd  # most of a second, and few who write files read tables

    try:
        return pd.read_csv(path, dtype={"git_commit": str})  # a commit may look like a number
    except (OSError, ValueError) as error:
        raise ResultError(f"{path} is damaged ({error}): delete it and run snakemake again") from error
