"""The frames of a run's folder: checks when they are written and again when they are read, because a file may be edited.

`episodes.parquet` and `calibration.parquet` are written by testing, `history.parquet` by training.
"""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd

from bench.results.bins import BINS
from bench.results.condition import CONDITION_COLUMNS
from bench.results.files import ResultError
from bench.results.metrics import METRICS, main_metric, measured
from bench.results.parquet import write_parquet
from bench.results.schema import (
    _CHOICES,
    CALIBRATION_COLUMNS,
    EPISODE_COLUMNS,
    HISTORY_COLUMNS,
)


def typed(path: Path, frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    missing, unknown = sorted(set(columns) - set(frame)), sorted(set(frame) - set(columns))
    if missing or unknown:
        raise ResultError(
            f"{path}: missing columns {missing}, unknown columns {unknown}; expected {list(columns)}"
        )
    kinds = {column: np.dtype(object if kind == "str" else kind) for column, kind in columns.items()}
    found = dict(frame.dtypes)
    others = {c: kind for c, kind in kinds.items() if found[c] != kind}  # most files need no change
    try:
        return frame[list(columns)].astype(others) if others else frame[list(columns)]
    except (TypeError, ValueError) as error:
        raise ResultError(f"{path}: a column has the wrong type ({error}); expected {columns}") from error


def _chosen(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    for column, allowed in _CHOICES.items():
        odd = sorted(set(frame[column].unique()) - allowed)
        if odd:
            raise ResultError(f"{path}: {column} = {odd[0]!r} is not one of {sorted(allowed)}")
    return frame


def condition_starts(frame: pd.DataFrame) -> np.ndarray:
    """Positions of the rows whose condition is not that of the row above: of a sorted frame, where each condition starts."""
    starts = np.zeros(len(frame), bool)
    starts[:1] = True
    for column in CONDITION_COLUMNS:
        values = frame[column].to_numpy()
        starts[1:] |= values[1:] != values[:-1]
    return np.flatnonzero(starts)


def _in_order(frame: pd.DataFrame, last: str) -> bool:
    """Whether rows rise by condition and a last column, each once, as in files that nobody has edited: sorting takes longer."""
    starts = condition_starts(frame)
    keys = list(
        zip(*(frame[column].to_numpy()[starts].tolist() for column in CONDITION_COLUMNS), strict=True)
    )
    rises = np.diff(frame[last].to_numpy()) > 0
    rises[starts[1:] - 1] = True
    return bool(rises.all()) and all(a < b for a, b in itertools.pairwise(keys))


def check_episodes(
    path: Path, frame: pd.DataFrame, task_kind: str = "classification", older: bool = False
) -> pd.DataFrame:
    """Return the frame with fixed types, columns and row order. Raises ResultError naming the offending rows.

    older: results of the first versions are right, too, which have the main metric only.
    """
    frame = _chosen(path, typed(path, frame, EPISODE_COLUMNS))
    for column in measured(task_kind):
        low, high = METRICS[column].low, METRICS[column].high
        values = frame[column].to_numpy()
        if older and column != main_metric(task_kind) and np.isnan(values).all():
            continue
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= low) & (values <= high)))
        if len(bad):
            row = frame.iloc[bad[0]]
            where = {key: row[key] for key in [*CONDITION_COLUMNS, "episode"]}
            raise ResultError(
                f"{path}: {column} = {values[bad[0]]} is outside [{low:g}, {high:g}] at {where} ({len(bad)} such rows); "
                "record a run without finite predictions as diverged"
            )
    order = [*CONDITION_COLUMNS, "episode"]
    if _in_order(frame, "episode"):
        return frame.reset_index(drop=True)
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    twice = frame.duplicated(order)
    if twice.any():
        raise ResultError(
            f"{path}: the same condition and episode twice: {frame.loc[twice, order].iloc[0].to_dict()}"
        )
    return frame


def write_episodes(
    path: Path, frame: pd.DataFrame, task_kind: str = "classification", older: bool = False
) -> Path:
    """Write the per-episode results of a run, one row per condition and episode (`EPISODE_COLUMNS`).

    The metrics that every task of the kind has must be finite and in range (bench.results.metrics); further ones may be
    NaN, those of the other kind are. A diverged run writes a frame of zero rows. older: as in `check_episodes`.
    """
    return write_parquet(path, check_episodes(Path(path), frame, task_kind, older))


def check_calibration(path: Path, frame: pd.DataFrame, task_kind: str = "classification") -> pd.DataFrame:
    """Return the frame with fixed types, columns and row order. Raises ResultError naming an impossible bin."""
    frame = _chosen(path, typed(path, frame, CALIBRATION_COLUMNS))
    if _in_order(frame, "bin"):
        frame = frame.reset_index(drop=True)
    else:
        frame = frame.sort_values([*CONDITION_COLUMNS, "bin"], kind="stable", ignore_index=True)
    if task_kind == "regression" and len(frame):
        raise ResultError(f"{path}: a regression has no confidence, but {len(frame)} rows of it")
    bins = frame["bin"].to_numpy()
    if len(frame) % BINS or (bins != np.resize(np.arange(BINS), len(bins))).any():
        raise ResultError(f"{path}: every condition needs the bins 0 to {BINS - 1}, each once")
    n, confidence, correct = (frame[column].to_numpy() for column in ("n", "confidence", "correct"))
    slack = 1e-5 * n  # confidences are summed in single precision
    fits = (confidence >= n * bins / BINS - slack) & (confidence <= n * (bins + 1) / BINS + slack)
    bad = np.flatnonzero(~(fits & (n >= 0) & (correct >= 0) & (correct <= n + slack)))
    if len(bad):
        raise ResultError(
            f"{path}: {len(bad)} bins whose sums cannot be, such as {frame.iloc[bad[0]].to_dict()}; test the run again"
        )
    return frame


def write_calibration(path: Path, frame: pd.DataFrame, task_kind: str = "classification") -> Path:
    """Write the confidence of a run and how often it was right, one row per condition and bin (`CALIBRATION_COLUMNS`).

    n: queries with a confidence in (bin / BINS, (bin + 1) / BINS]; confidence, correct: sums over them, where classes
    with equal scores share the credit. Every condition has all bins, empty or not; regressions and diverged runs have
    zero rows.
    """
    return write_parquet(path, check_calibration(Path(path), frame, task_kind))


def write_history(path: Path, frame: pd.DataFrame) -> Path:
    """Write a training's history, one row per validation (`HISTORY_COLUMNS`), steps increasing."""
    frame = typed(path, frame, HISTORY_COLUMNS)
    if not frame["step"].is_monotonic_increasing:
        raise ResultError(
            f"{path}: the steps of a history must increase, got {frame['step'].tolist()[:10]}..."
        )
    return write_parquet(path, frame)
