"""Frames as parquet files: atomic, deterministic, and readable or an error that says what to do."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.results.files import ResultError, atomic_write


def write_parquet(path: Path, frame: pd.DataFrame) -> Path:
    """Write a frame without its index, compressed by zstd; no time stamp enters the file: equal frames give equal bytes."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    return atomic_write(
        path, lambda part: pq.write_table(table, part, compression="zstd", compression_level=9)
    )


def read_parquet(path: Path) -> pd.DataFrame:
    """Read a frame. Raises ResultError, which names the file and the remedy, when it is damaged or missing."""
    try:
        with pq.ParquetFile(path) as file:  # `pd.read_parquet` first looks for a data set of many files
            return file.read(use_threads=False).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise ResultError(
            f"{path}: not readable as parquet ({error}); delete it and run snakemake again"
        ) from error
