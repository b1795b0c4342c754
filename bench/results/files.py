"""Atomic, deterministic writing of files."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq


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


def write_parquet(path: Path, frame: pd.DataFrame) -> Path:
    """Write a frame without its index, compressed by zstd; no time stamp enters the file: equal frames give equal bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return atomic_write(
        path, lambda part: pq.write_table(table, part, compression="zstd", compression_level=9)
    )


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a frame. Raises ResultError, which names the file and the remedy, when it is damaged or missing."""
    try:
        return pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        raise ResultError(
            f"{path}: not readable as parquet ({error}); delete it and test the run again"
        ) from error
