"""The reference results, results/reference/: one table, and for each run its record and its per-episode values."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from bench.paths import results_root
from bench.results.condition import (
    CONDITION_COLUMNS,
    Condition,
    as_trained,
    clean,
    own_condition,
    reported_mode,
    rows_under,
)
from bench.results.episode_interval import episode_interval
from bench.results.files import ResultError, write_csv, write_text
from bench.results.parquet import write_parquet
from bench.results.run_folder import RunResult, read_run
from bench.results.setting import SETTING_COLUMNS, Setting
from tasks.catalogue import path_name

KEY_COLUMNS = [*SETTING_COLUMNS, "algorithm", "study", "seed"]
"""What identifies a run."""
DIGESTS = ["git_commit", "hyper_digest", "data_digest", "episodes_digest"]
"""First twelve digits each; a `+` after the commit: the code had been edited since."""
COSTS = ["steps", "tasks", "budget_share", "seconds", "cpu_seconds"]
MEANS = ["nll", "brier", "confidence"]
"""Metrics of which the table holds the mean only."""
COLUMNS = [
    *[*KEY_COLUMNS, "title", "family", "status", *CONDITION_COLUMNS, "paper_mode"],
    *["metric", "mean", "half_width", "n_episodes", *MEANS],
    *[*COSTS, "split", "device", "threads", "torch"],
    *DIGESTS,
]
_ROW_ORDER = [
    *[*KEY_COLUMNS, "mode", "_shifted", "shift", "scope", "severity"],
    *["test_tasks", "test_way", "test_shot", "test_steps"],
]


def reference_root() -> Path:
    """Return the folder of the reference results (results/reference)."""
    return results_root() / "reference"


def load_reference(root: Path | None = None) -> pd.DataFrame:
    """Read results.csv: one row per run and condition (`COLUMNS`); zero rows when there are no reference results yet."""
    path = (root or reference_root()) / "results.csv"
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.read_csv(path, dtype={column: str for column in (*DIGESTS, "torch")})
    if list(frame) != COLUMNS:
        raise ResultError(f"{path}: columns {sorted(set(frame) ^ set(COLUMNS))} are missing or unknown")
    return frame


def own_task(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the rows tested without a shift on the task trained for, by the algorithm's own number of steps."""
    return frame[as_trained(frame) & clean(frame)]


def run_keys(frame: pd.DataFrame) -> set[tuple]:
    """Return the keys (`KEY_COLUMNS`) of the runs in a table of reference results."""
    return set(frame[KEY_COLUMNS].drop_duplicates().itertuples(index=False, name=None))


def add_run(folder: Path) -> Path:
    """Add a finished run's folder to the reference results, replacing an earlier copy of the same run.

    Writes its rows to results.csv, its run.json and its per-episode values; returns the path of the latter. Raises
    ResultError when the run is not tested, or when it saw other episodes than another seed.
    """
    result = read_run(folder)
    if not result.tested:
        remedy = result.outdated or "train and test it first"
        raise ResultError(f"{folder} is {result.status}, so it is no reference result: {remedy}")
    root, rows, table = reference_root(), reference_rows(result), load_reference()
    check_same_episodes(table, rows, folder)
    same = (table[KEY_COLUMNS] == pd.Series({key: result.run[key] for key in KEY_COLUMNS})).all(axis=1)
    table = pd.DataFrame([*table[~same].to_dict("records"), *rows.to_dict("records")], columns=COLUMNS)
    table = table.assign(_shifted=~clean(table)).sort_values(_ROW_ORDER, kind="stable")[COLUMNS]
    path = episodes_path(root, result.run)
    write_parquet(path, result.episodes()[[*CONDITION_COLUMNS, "episode", result.metric]])
    write_text(path.with_suffix(".json"), (folder / "run.json").read_text(encoding="utf-8"))
    write_csv(root / "results.csv", table)
    return path


def check_same_episodes(table: pd.DataFrame, rows: pd.DataFrame, folder: Path) -> None:
    """Raise ResultError if another seed of the same algorithm and study saw other episodes or images."""
    first = rows.iloc[0]
    siblings = table[
        (table[KEY_COLUMNS[:-1]] == first[KEY_COLUMNS[:-1]]).all(axis=1) & (table["seed"] != first["seed"])
    ]
    for column in ("episodes_digest", "data_digest"):
        other = siblings[siblings[column].ne(first[column])]
        if len(other):
            raise ResultError(
                f"{folder}: {column} {first[column]} differs from {other[column].iloc[0]} of the reference result of "
                f"seed {other['seed'].iloc[0]}: their means cannot be averaged; test again, or give the study another name"
            )


def episodes_path(root: Path, run: dict | pd.Series) -> Path:
    """Return the path of a run's per-episode values: condition, episode and the main metric."""
    name = "{dataset}_{way}way_{shot}shot_{algorithm}_seed{seed}".format(
        **{**run, "dataset": path_name(run["dataset"])}
    )
    return root / "episodes" / run["study"] / f"{name.replace(':', '-')}.parquet"


def episode_values(row: pd.Series) -> np.ndarray:
    """Return the values `[episodes]` of the main metric behind one row of results.csv."""
    frame = pd.read_parquet(episodes_path(reference_root(), row))
    condition = Condition.from_key(row[CONDITION_COLUMNS])
    return rows_under(frame, condition).sort_values("episode")[row["metric"]].to_numpy(np.float64)


def reference_rows(result: RunResult) -> pd.DataFrame:
    """Return the rows of a run: one per condition, or one without numbers for a run that diverged."""
    record = result.run
    rows = [
        Condition.from_key(key).row | _summary(part, result.metric)
        for key, part in result.episodes().groupby(CONDITION_COLUMNS, sort=True)
    ]
    if not rows:
        setting = Setting(*(record[column] for column in SETTING_COLUMNS))
        rows = [own_condition(setting, record["paper_mode"]).row]
    frame = pd.DataFrame(rows).assign(**_facts(result))
    mode = reported_mode(record["paper_mode"], frame["mode"])
    return frame.assign(paper_mode=frame["mode"] == mode, metric=result.metric).reindex(columns=COLUMNS)


def _facts(result: RunResult) -> dict:
    """Return what all rows of a run share."""
    record, test = result.run, result.test or {}
    training, provenance = record["training"], record["provenance"]
    task = f"{record['way']}way_{record['shot']}shot"
    return {
        **{key: record[key] for key in (*KEY_COLUMNS, "title", "family", "status")},
        **{key: training[key] for key in COSTS},
        **{key: provenance[key] for key in ("device", "threads", "torch")},
        "split": record["data"]["split"],
        "git_commit": (provenance["git_commit"] or "unknown")[:12] + "+" * bool(provenance["git_dirty"]),
        "hyper_digest": _digest(record["hyper_parameters"]),
        "data_digest": record["data"]["digest"][:12],
        "episodes_digest": test.get("episodes", {}).get(task, "")[:12],
    }


def _summary(part: pd.DataFrame, metric: str) -> dict:
    """Return the numbers of one condition."""
    mean, half_width = episode_interval(part[metric].to_numpy())
    means = {name: float(part[name].to_numpy(np.float64).mean()) for name in MEANS}
    return {"mean": mean, "half_width": half_width, "n_episodes": len(part), **means}


def _digest(hyper_parameters: dict) -> str:
    return hashlib.sha256(json.dumps(hyper_parameters, sort_keys=True).encode()).hexdigest()[:12]
