"""A run's folder: its records `run.json` (written by training) and `test.json` (by testing), and its frames.

Every writer is atomic and deterministic: the same content gives the same bytes.
"""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.results.digests import check_file
from bench.results.files import ResultError, write_text
from bench.results.fits import fits
from bench.results.metrics import main_metric
from bench.results.schema import (
    DAMAGED,
    DIVERGED,
    HISTORY,
    HISTORY_COLUMNS,
    MISSING,
    OLD_NAMES,
    RUN_SCHEMA,
    SCORED,
    TEST_FILES,
    TEST_SCHEMA,
    TRAINING_FILES,
    UNTESTED,
)

if TYPE_CHECKING:
    import pandas as pd


def _checked(path: Path | str, record: dict, schema: dict) -> dict:
    if fits(record, schema):
        return record
    import jsonschema  # here, because it is slow to start, and good records need none of its messages

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
    """The content of a run's folder; a record that does not exist yet is None.

    damage: what is wrong with the run's files and how to mend it; then there are no records either.
    """

    folder: Path
    run: dict | None
    test: dict | None
    damage: str = ""

    @property
    def status(self) -> str:
        """A status word of bench.results.schema: ok, untrained, diverged, missing, untested or damaged."""
        if self.damage:
            return DAMAGED
        if self.run is None:
            return MISSING
        if self.tested and self.test.get("diverged"):
            return DIVERGED
        return self.run["status"] if self.tested or self.run["status"] == DIVERGED else UNTESTED

    @property
    def reason(self) -> str | None:
        """Why the run diverged, in training or at test; None where it did not."""
        return (self.run or {}).get("reason") or (self.test or {}).get("diverged")

    @property
    def scored(self) -> bool:
        """The run has results: it was tested and did not diverge."""
        return self.status in SCORED

    @property
    def tested(self) -> bool:
        """The run has a test, and the test left all of its files."""
        return self.run is not None and self.test is not None and not self._lacking

    @cached_property
    def recorded(self) -> dict[str, str]:
        """Digest of each file of the folder, as its record has it; results of older versions have none."""
        return (self.run or {}).get("files", {}) | (self.test or {}).get("files", {})

    def check(self, *names: str, content: bool = True) -> None:
        """Raise ResultError unless files (default: all that are recorded) are those that the run's jobs wrote."""
        for name, digest in self.recorded.items():
            if not names or name in names:
                job = "the run's folder" if name in TRAINING_FILES else f"{self.folder / 'test.json'}"
                check_file(self.folder / name, digest, f"delete {job} and run snakemake again", content)

    @property
    def outdated(self) -> str:
        """Why the run's test does not count; empty where it does, or where there is none."""
        if self.run is None or self.test is None or not self._lacking:
            return ""
        return (
            f"its test, perhaps by an older version, left no {' and no '.join(self._lacking)}: test it again "
            "(snakemake does, or `python -m bench test`); the training is kept"
        )

    @cached_property
    def _lacking(self) -> list[str]:
        return [name for name in TEST_FILES if self.sizes[name] is None]

    @cached_property
    def sizes(self) -> dict[str, int | None]:
        """Bytes of each file that the run's jobs write beside their records; None where there is none."""
        return {name: _size(f"{self.folder}/{name}") for name in (*TRAINING_FILES, *TEST_FILES)}

    @property
    def metric(self) -> str:
        """The main metric of the run's kind of task."""
        return main_metric(self.run["task_kind"])

    def history(self) -> "pd.DataFrame":
        """Read the learning curve, one row per validation; zero rows when nothing was trained."""
        import pandas as pd  # frames are read by few verbs; importing pandas takes most of a second

        from bench.results.frames import typed
        from bench.results.parquet import read_parquet

        path = self.folder / HISTORY
        frame = read_parquet(path) if path.exists() else pd.DataFrame(columns=list(HISTORY_COLUMNS))
        frame = frame.rename(columns=OLD_NAMES)
        return typed(path, frame, HISTORY_COLUMNS)

    def episodes(self) -> "pd.DataFrame":
        """Read the per-episode results, checked again: the file may have been edited or truncated."""
        from bench.results.frames import check_episodes
        from bench.results.parquet import read_parquet

        path = self.folder / "episodes.parquet"
        return check_episodes(path, read_parquet(path), self.run["task_kind"], older=True)

    def calibration(self) -> "pd.DataFrame":
        """Read confidence and correctness by condition and bin, checked again."""
        from bench.results.frames import check_calibration
        from bench.results.parquet import read_parquet

        path = self.folder / "calibration.parquet"
        return check_calibration(path, read_parquet(path), self.run["task_kind"])


def _size(path: str) -> int | None:
    try:
        return os.stat(path).st_size
    except OSError:
        return None


def _content(path: str) -> bytes:
    """Bytes of a file. A study has ten thousand: `Path`, or an object for the open file, would take twice the time."""
    file = os.open(path, os.O_RDONLY)
    try:
        return b"".join(iter(lambda: os.read(file, 1 << 16), b""))
    finally:
        os.close(file)


def _read_json(path: str, schema: dict) -> dict | None:
    try:
        record = json.loads(_content(path).decode())
        if not isinstance(record, dict):
            raise ValueError(f"a {type(record).__name__} in place of a mapping")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise ResultError(
            f"{path}: not valid JSON ({error}); delete the file and run its job again (snakemake does)"
        ) from error
    if isinstance(record.get("training"), dict) and not OLD_NAMES.keys().isdisjoint(record["training"]):
        record["training"] = {OLD_NAMES.get(key, key): value for key, value in record["training"].items()}
    return _checked(path, record, schema)


def read_run(folder: Path) -> RunResult:
    """Read a run's folder. A folder that does not exist is a missing run, not an error."""
    run, test = _read_json(f"{folder}/run.json", RUN_SCHEMA), _read_json(f"{folder}/test.json", TEST_SCHEMA)
    return RunResult(folder, run, test)


def readable(folder: Path) -> RunResult:
    """Read a run's folder; a damaged record is told as the run's `damage`, not raised."""
    try:
        return read_run(folder)
    except ValueError as error:
        return RunResult(folder, None, None, str(error))


def examined(folder: Path) -> RunResult:
    """Read a run's folder for a summary: damage to one of its files is told, not raised, so that it costs this run only.

    Files are compared with their recorded digests; those of older versions, which recorded none, are read.
    """
    result = readable(folder)
    try:
        result.check()
        if result.tested and not result.recorded:
            result.episodes(), result.calibration()
        if result.run is not None and HISTORY not in result.recorded:
            result.history()
    except ValueError as error:
        return RunResult(folder, None, None, str(error))
    return result
