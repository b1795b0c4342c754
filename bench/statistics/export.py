"""Everything that a study measured as one tidy table: a row per number (docs/results.md explains the columns)."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.results.condition import CONDITION_COLUMNS, as_trained, exact
from bench.results.files import atomic_write
from bench.results.metrics import METRICS
from bench.results.run_folder import RunResult, read_run
from bench.results.schema import EPISODE_COLUMNS, HISTORY_COLUMNS
from bench.study.study import Study

RUN_COLUMNS = {
    **dict.fromkeys(("study", "dataset"), "str"),
    **dict.fromkeys(("way", "shot"), "int16"),
    **dict.fromkeys(("algorithm", "variant_of", "title", "family"), "str"),
    "seed": "int32",
    **dict.fromkeys(("paper_mode", "status"), "str"),
}
"""Identity of a run, the same in all of its rows."""
STRENGTH = {"value": "strength"}
"""Here `value` is the number that was measured, so the strength of a shift has a name of its own."""
COLUMNS = {
    **RUN_COLUMNS,
    "level": "str",
    **{STRENGTH.get(column, column): EPISODE_COLUMNS[column] for column in (*CONDITION_COLUMNS, "episode")},
    "step": "int64",
    "metric": "str",
    "value": "float64",
}
"""Columns of the table and their types; those that do not apply to a row are null."""
EPISODE, VALIDATION, RUN = "episode", "validation", "run"
"""Levels: a number per test episode, per validation of a training, or per run."""
TEST_COSTS = ("adapt_ms_per_task", "adapt_gflops_per_task")

TOGETHER = 32
"""Runs of a row group, its rows ordered by metric: values of a kind compress together, to three quarters of the size that
a group for each run has."""
COMPRESSED = {
    "compression": "zstd",
    "compression_level": 19,
    "use_dictionary": [column for column in COLUMNS if column != "episode"],
    "column_encoding": {"episode": "DELTA_BINARY_PACKED"},  # they count up
}


def export(study: Study, path: Path, summed_up: bool = False) -> tuple[int, int]:
    """Write the table of a study's runs as parquet; return the numbers of rows and of runs with results.

    A few runs are in memory at a time. summed_up: of the scores of calibration, only those that the page sums up, in
    distribution and under the hardest shifts. ValueError: no run has been trained.
    """
    schema = pa.schema([(name, _arrow(kind)) for name, kind in COLUMNS.items()])
    results = [result for run in study.runs() if (result := read_run(run.folder)).run is not None]
    if not results:
        raise ValueError(
            f"no run of {study.origin} has been trained: run `snakemake --configfile {study.origin}`"
        )
    rows = 0

    def write(part: Path) -> None:
        nonlocal rows
        with pq.ParquetWriter(part, schema, **COMPRESSED) as writer:
            for first in range(0, len(results), TOGETHER):
                several = results[first : first + TOGETHER]
                table = pa.concat_tables(table_of(result, schema, summed_up) for result in several)
                rows += len(table)
                by_metric = pc.sort_indices(table["metric"].cast(pa.string()))
                writer.write_table(table.take(by_metric))

    atomic_write(path, write)
    return rows, len(results)


def table_of(result: RunResult, schema: pa.Schema, summed_up: bool) -> pa.Table:
    """Every number of one run: its test episodes, its learning curve, its costs."""
    frame = pd.concat([part for part in _parts(result, summed_up) if len(part)], ignore_index=True)
    for column in RUN_COLUMNS:
        frame[column] = [result.status if column == "status" else result.run.get(column)] * len(frame)
    frame = frame.reindex(columns=list(COLUMNS))
    for column, kind in COLUMNS.items():
        if kind.startswith("int"):
            frame[column] = frame[column].astype(kind.capitalize())  # pandas' own integers can be missing
    return pa.Table.from_pandas(frame, schema, preserve_index=False)


def _parts(result: RunResult, summed_up: bool) -> Iterator[pd.DataFrame]:
    if result.scored:
        measured = [name for name in EPISODE_COLUMNS if name in METRICS]
        episodes = result.episodes().rename(columns=STRENGTH)
        keys = [column for column in episodes if column not in measured]
        others = [metric for metric in measured if metric != result.metric]
        beside = _summed_up(result, episodes) if summed_up else episodes
        for rows, names in ((episodes, [result.metric]), (beside, others)):
            yield rows.melt(keys, names, "metric").dropna(subset="value").assign(level=EPISODE)
    curve = [name for name in HISTORY_COLUMNS if name != "step"]
    yield result.history().melt(["step"], curve, "metric").dropna(subset="value").assign(level=VALIDATION)
    costs = dict(result.run["training"])
    if result.tested:
        costs |= {f"test_{key}": result.test.get(key) for key in ("seconds", "peak_memory_mb")}
        costs |= {key: result.test.get(key) for key in TEST_COSTS}
    found = {key: float(value) for key, value in costs.items() if value is not None}
    yield pd.DataFrame({"metric": found.keys(), "value": found.values(), "level": RUN})


def _summed_up(result: RunResult, episodes: pd.DataFrame) -> pd.DataFrame:
    """Return the episodes on tasks as trained for, without shifts and with each shift at its highest severity."""
    highest = episodes.groupby(["shift", "scope"])["severity"].transform("max")
    own = as_trained(episodes.assign(way=result.run["way"], shot=result.run["shot"]))
    return episodes[own & episodes["severity"].eq(highest) & ~exact(episodes)]


def _arrow(kind: str) -> pa.DataType:
    return pa.dictionary(pa.int32(), pa.string()) if kind == "str" else pa.type_for_alias(kind)
