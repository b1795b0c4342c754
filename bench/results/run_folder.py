"""The files of a run's folder, checked against their schema when they are written and again when they are read.

A run's folder holds `run.json` and `history.parquet` (written by training), `test.json`, `episodes.parquet` and
`calibration.parquet` (written by testing). Every writer is atomic and deterministic: the same content gives the same bytes.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import numpy as np
import pandas as pd

from bench.results.bins import BINS
from bench.results.condition import CONDITION_COLUMNS
from bench.results.files import ResultError, read_parquet, write_parquet, write_text
from bench.results.metrics import METRICS, main_metric, measured
from bench.results.schema import (
    _CHOICES,
    CALIBRATION_COLUMNS,
    DIVERGED,
    EPISODE_COLUMNS,
    HISTORY_COLUMNS,
    MISSING,
    OLD_NAMES,
    RUN_SCHEMA,
    SCORED,
    TEST_FILES,
    TEST_SCHEMA,
    UNTESTED,
)


def _typed(path: Path, frame: pd.DataFrame, columns: dict[str, str]) -> pd.DataFrame:
    missing, unknown = sorted(set(columns) - set(frame)), sorted(set(frame) - set(columns))
    if missing or unknown:
        raise ResultError(
            f"{path}: missing columns {missing}, unknown columns {unknown}; expected {list(columns)}"
        )
    try:
        return frame[list(columns)].astype(
            {c: object if kind == "str" else kind for c, kind in columns.items()}
        )
    except (TypeError, ValueError) as error:
        raise ResultError(f"{path}: a column has the wrong type ({error}); expected {columns}") from error


def _chosen(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    for column, allowed in _CHOICES.items():
        odd = sorted(set(frame[column].unique()) - allowed)
        if odd:
            raise ResultError(f"{path}: {column} = {odd[0]!r} is not one of {sorted(allowed)}")
    return frame


def check_episodes(path: Path, frame: pd.DataFrame, task_kind: str = "classification") -> pd.DataFrame:
    """Return the frame with fixed types, columns and row order. Raises ResultError naming the offending rows."""
    frame = _chosen(path, _typed(path, frame, EPISODE_COLUMNS))
    for column in measured(task_kind):
        low, high = METRICS[column].low, METRICS[column].high
        values = frame[column].to_numpy()
        bad = np.flatnonzero(~(np.isfinite(values) & (values >= low) & (values <= high)))
        if len(bad):
            row = frame.iloc[bad[0]]
            where = {key: row[key] for key in [*CONDITION_COLUMNS, "episode"]}
            raise ResultError(
                f"{path}: {column} = {values[bad[0]]} is outside [{low:g}, {high:g}] at {where} ({len(bad)} such rows); "
                "record a run without finite predictions as diverged"
            )
    order = [*CONDITION_COLUMNS, "episode"]
    frame = frame.sort_values(order, kind="stable", ignore_index=True)
    twice = frame.duplicated(order)
    if twice.any():
        raise ResultError(
            f"{path}: the same condition and episode twice: {frame.loc[twice, order].iloc[0].to_dict()}"
        )
    return frame


def write_episodes(path: Path, frame: pd.DataFrame, task_kind: str = "classification") -> Path:
    """Write the per-episode results of a run, one row per condition and episode (`EPISODE_COLUMNS`).

    The metrics that every task of the kind has must be finite and in range (bench.results.metrics); further ones may be
    NaN, those of the other kind are. A diverged run writes a frame of zero rows.
    """
    return write_parquet(path, check_episodes(Path(path), frame, task_kind))


def check_calibration(path: Path, frame: pd.DataFrame, task_kind: str = "classification") -> pd.DataFrame:
    """Return the frame with fixed types, columns and row order. Raises ResultError naming an impossible bin."""
    frame = _chosen(path, _typed(path, frame, CALIBRATION_COLUMNS))
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
    frame = _typed(path, frame, HISTORY_COLUMNS)
    if not frame["step"].is_monotonic_increasing:
        raise ResultError(
            f"{path}: the steps of a history must increase, got {frame['step'].tolist()[:10]}..."
        )
    return write_parquet(path, frame)


def _checked(path: Path, record: dict, schema: dict) -> dict:
    error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(schema).iter_errors(record))
    if error:
        key = ".".join(map(str, error.absolute_path)) or "(top level)"
        raise ResultError(f"{path}: {key}: {error.message}; delete the run's folder and run it again")
    return record


def write_run(path: Path, record: dict) -> Path:
    """Write run.json: identity, resolved hyper-parameters, training cost, provenance (`RUN_SCHEMA`)."""
    return write_text(path, json.dumps(_checked(path, record, RUN_SCHEMA), indent=1, allow_nan=False) + "\n")


def write_test(path: Path, record: dict) -> Path:
    """Write test.json: seconds, cost of an adaptation and the digests of the frozen episodes (`TEST_SCHEMA`)."""
    return write_text(path, json.dumps(_checked(path, record, TEST_SCHEMA), indent=1, allow_nan=False) + "\n")


@dataclass(frozen=True)
class RunResult:
    """The content of a run's folder; a record that does not exist yet is None."""

    folder: Path
    run: dict | None
    test: dict | None

    @property
    def status(self) -> str:
        """A status word of bench.results.schema: ok, untrained, diverged, missing or untested."""
        if self.run is None:
            return MISSING
        return self.run["status"] if self.tested or self.run["status"] == DIVERGED else UNTESTED

    @property
    def scored(self) -> bool:
        """The run has results: it was tested and did not diverge."""
        return self.status in SCORED

    @property
    def tested(self) -> bool:
        """The run has a test, and the test left all of its files."""
        return self.run is not None and self.test is not None and not self._lacking

    @property
    def outdated(self) -> str:
        """Why the run's test does not count; empty where it does, or where there is none."""
        if self.run is None or self.test is None or not self._lacking:
            return ""
        return (
            f"its test, perhaps by an older version, left no {' and no '.join(self._lacking)}: test it again "
            "(snakemake does, or `python -m bench test`); the training is kept"
        )

    @property
    def _lacking(self) -> list[str]:
        return [name for name in TEST_FILES if not (self.folder / name).exists()]

    @property
    def metric(self) -> str:
        """The main metric of the run's kind of task."""
        return main_metric(self.run["task_kind"])

    def history(self) -> pd.DataFrame:
        """Read the learning curve, one row per validation; zero rows when nothing was trained."""
        path = self.folder / "history.parquet"
        frame = pd.read_parquet(path) if path.exists() else pd.DataFrame(columns=list(HISTORY_COLUMNS))
        frame = frame.rename(columns=OLD_NAMES)
        return _typed(path, frame, HISTORY_COLUMNS)

    def episodes(self) -> pd.DataFrame:
        """Read the per-episode results, checked again: the file may have been edited or truncated."""
        path = self.folder / "episodes.parquet"
        return check_episodes(path, read_parquet(path), self.run["task_kind"])

    def calibration(self) -> pd.DataFrame:
        """Read confidence and correctness by condition and bin, checked again."""
        path = self.folder / "calibration.parquet"
        return check_calibration(path, read_parquet(path), self.run["task_kind"])


def _read_json(path: Path, schema: dict) -> dict | None:
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultError(
            f"{path}: not valid JSON ({error}); delete the file and run its job again"
        ) from error
    if "training" in record:
        record["training"] = {OLD_NAMES.get(key, key): value for key, value in record["training"].items()}
    return _checked(path, record, schema)


def read_run(folder: Path) -> RunResult:
    """Read a run's folder. A folder that does not exist is a missing run, not an error."""
    folder = Path(folder)
    return RunResult(
        folder, _read_json(folder / "run.json", RUN_SCHEMA), _read_json(folder / "test.json", TEST_SCHEMA)
    )
