"""The store of kept results, results/reference/: one table, and for each run its record and per-episode values."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd

from bench.paths import results_root
from bench.results.condition import CONDITION_COLUMNS, STANDARD, as_trained
from bench.results.episode_interval import episode_interval
from bench.results.files import ResultError, write_parquet, write_text
from bench.results.run_folder import RunResult, read_run

KEY_COLUMNS = ["dataset", "way", "shot", "algorithm", "study", "seed"]
DIGESTS = ["git_commit", "hyper_digest", "data_digest", "episodes_digest"]  # twelve digits; commit+: edited
COSTS = ["steps", "tasks", "budget_share", "seconds", "cpu_seconds"]
COLUMNS = [
    *[*KEY_COLUMNS, "title", "family", "status", *CONDITION_COLUMNS, "paper_mode"],
    *"metric mean half_width n_episodes nll brier confidence".split(),
    *[*COSTS, "split", "device", "threads", "torch"],
    *DIGESTS,
]


def reference_root() -> Path:
    """Folder of the kept results (results/reference)."""
    return results_root() / "reference"


def load_reference(root: Path | None = None) -> pd.DataFrame:
    """results.csv: one row per kept run and condition (`COLUMNS`); zero rows when nothing is kept yet."""
    path = (root or reference_root()) / "results.csv"
    if not path.exists():
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.read_csv(path, dtype={column: str for column in (*DIGESTS, "torch")})
    if list(frame) != COLUMNS:
        raise ResultError(f"{path}: columns {sorted(set(frame) ^ set(COLUMNS))} are missing or unknown")
    return frame


def own_task(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows tested without a shift on the task that was trained for, by the algorithm's own number of steps."""
    return frame[as_trained(frame) & (frame["shift"] == "none")]


def kept_keys(frame: pd.DataFrame) -> set[tuple]:
    return set(frame[KEY_COLUMNS].drop_duplicates().itertuples(index=False, name=None))


def keep(folder: Path) -> Path:
    """Add a finished run's folder to the reference results, replacing an earlier one of the same run.

    Writes its rows to results.csv, its run.json and its per-episode values; returns the path of the latter.
    """
    result = read_run(folder)
    if not result.tested:
        remedy = result.outdated or "train and test it before keeping it"
        raise ResultError(f"{folder} is {result.status}: {remedy}")
    root, rows, table = reference_root(), reference_rows(result), load_reference()
    check_same_episodes(table, rows, folder)
    same = (table[KEY_COLUMNS] == pd.Series({key: result.run[key] for key in KEY_COLUMNS})).all(axis=1)
    table = pd.DataFrame([*table[~same].to_dict("records"), *rows.to_dict("records")], columns=COLUMNS)
    clean = (table["shift"] == "none").map({True: 0, False: 1})
    order = [
        *KEY_COLUMNS,
        "mode",
        "_clean",
        "shift",
        "scope",
        "severity",
        "test_tasks",
        "test_way",
        "test_shot",
        "test_steps",
    ]
    table = table.assign(_clean=clean).sort_values(order, kind="stable")[COLUMNS]
    path = episodes_path(root, result.run)
    write_parquet(path, kept_episodes(result))
    write_text(path.with_suffix(".json"), (folder / "run.json").read_text())
    text = table.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    write_text(root / "results.csv", text)
    return path


def check_same_episodes(table: pd.DataFrame, rows: pd.DataFrame, folder: Path) -> None:
    """Raise ResultError if a kept seed of the same algorithm and study saw other episodes or images."""
    first = rows.iloc[0]
    siblings = table[
        (table[KEY_COLUMNS[:-1]] == first[KEY_COLUMNS[:-1]]).all(axis=1) & (table["seed"] != first["seed"])
    ]
    for column in ("episodes_digest", "data_digest"):
        other = siblings[siblings[column].ne(first[column])]
        if len(other):
            raise ResultError(
                f"{folder}: {column} {first[column]} differs from {other[column].iloc[0]} of the kept seed "
                f"{other['seed'].iloc[0]}: their means cannot be averaged; test again, or name the study differently"
            )


def episodes_path(root: Path, run: dict | pd.Series) -> Path:
    """Where the per-episode values of a kept run are."""
    name = "{dataset}_{way}way_{shot}shot_{algorithm}_seed{seed}".format(**run)
    return root / "episodes" / run["study"] / f"{name.replace(':', '-')}.parquet"


def kept_episodes(result: RunResult) -> pd.DataFrame:
    """Condition, episode and the measure; few distinct accuracies: the file's dictionary makes them a byte or so each."""
    return result.episodes()[[*CONDITION_COLUMNS, "episode", result.metric]]


def reference_rows(result: RunResult) -> pd.DataFrame:
    """The rows of a run: one per condition, or one without numbers for a run that diverged."""
    record, test = result.run, result.test or {}
    training, made = record["training"], record["provenance"]
    task = f"{record['way']}way_{record['shot']}shot"
    constant = {
        **{key: record[key] for key in (*KEY_COLUMNS, "title", "family", "status")},
        **{key: training[key] for key in COSTS},
        **{key: made[key] for key in ("device", "threads", "torch")},
        "split": record["data"]["split"],
        "git_commit": (made["git_commit"] or "unknown")[:12] + "+" * bool(made["git_dirty"]),
        "hyper_digest": _digest(record["hyper_parameters"]),
        "data_digest": record["data"]["digest"][:12],
        "episodes_digest": test.get("episodes", {}).get(task, "")[:12],
    }
    rows = [
        {**dict(zip(CONDITION_COLUMNS, condition, strict=True)), **_measures(part, result.metric)}
        for condition, part in result.episodes().groupby(CONDITION_COLUMNS, sort=True)
    ]
    if not rows:
        clean = ("none", 0, 0.0, "clean", record["paper_mode"], STANDARD, record["way"], record["shot"], -1)
        rows = [dict(zip(CONDITION_COLUMNS, clean, strict=True))]
    frame = pd.DataFrame(rows).assign(**constant)
    tested = record["paper_mode"] if record["paper_mode"] in set(frame["mode"]) else frame["mode"].min()
    return frame.assign(paper_mode=frame["mode"] == tested, metric=result.metric).reindex(columns=COLUMNS)


def _measures(part: pd.DataFrame, metric: str) -> dict:
    mean, half_width = episode_interval(part[metric].to_numpy())
    means = {name: float(part[name].to_numpy(np.float64).mean()) for name in ("nll", "brier", "confidence")}
    return {"mean": mean, "half_width": half_width, "n_episodes": len(part), **means}


def _digest(hyper_parameters: dict) -> str:
    return hashlib.sha256(json.dumps(hyper_parameters, sort_keys=True).encode()).hexdigest()[:12]
