"""Tables of a study from its run folders: `python -m bench summarize config/quick.yaml`.

Writes cells, comparisons, degradation, ranks, runs, modes, calibration and calibration_scores as .csv and history.parquet to
results/{study}/tables. The same run folders give the same bytes. Runs that are missing, untested or diverged are rows of
runs.csv; cells count the seeds that are there.
"""

import argparse
import itertools
import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

import algos
from bench.paths import results_root
from bench.results.files import ResultError, write_parquet, write_text
from bench.results.metrics import further, main_metric, measured
from bench.results.run_folder import RunResult, read_run
from bench.results.schema import HISTORY_COLUMNS
from bench.statistics import calibration
from bench.statistics.cells import CELL_COLUMNS, cell_rows
from bench.statistics.degradation import DEGRADATION_COLUMNS, degradation_rows
from bench.statistics.gather import SETTING_COLUMNS, Setting, Tested, gather_all
from bench.statistics.modes import MODE_COLUMNS, mode_rows
from bench.statistics.pairs import COMPARISON_COLUMNS, comparison_rows
from bench.statistics.rank_table import ranks_table
from bench.study.run import Run
from bench.study.study import Study, load_study

WHOLE_NUMBERS = "steps tasks parameters best_step train_way train_shot train_query threads".split()
RUN_COLUMNS = [
    *SETTING_COLUMNS,
    *"algorithm title family seed status reason steps tasks seconds cpu_seconds tasks_per_second".split(),
    *"peak_memory_mb memory_at_start_mb test_memory_mb gflops_per_task adapt_ms_per_task".split(),
    *"adapt_gflops_per_task parameters best_step best_val_accuracy train_way train_shot".split(),
    *"train_query budget_share device threads git_commit torch started folder".split(),
]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")


def main(args: argparse.Namespace) -> int:
    print(f"wrote {summarize(load_study(args.study))}/")
    return 0


def summarize(study: Study) -> Path:
    """Write the tables of the study; returns their folder. Raises ResultError when runs cannot be compared."""
    found = [(run, read_run(run.folder)) for run in study.runs()]
    yardsticks = {algos.name_of(name): learner.yardstick for name, learner in study.learners.items()}
    cells, comparisons, degradation, modes, scores, bins = [], [], [], [], [], []
    for setting, group in _by_setting(found).items():
        check_same_episodes([result for _, result in group])
        kind, finished = group[0][0].kind, _finished(group)
        summarised = [main_metric(kind), *further(kind)]
        tested = [
            _gathered(*item, list(dict.fromkeys([*summarised, *measured(kind)]))) for item in finished.items()
        ]
        for metric, one in itertools.product(summarised, tested):
            stands = {"yardstick": yardsticks[one[metric].algorithm]}
            cells += [row | stands for row in cell_rows(setting, one[metric])]
        own = [one[main_metric(kind)] for one in tested]
        comparisons += comparison_rows(setting, own)
        degradation += degradation_rows(setting, own)
        modes += mode_rows(setting, own)
        for one, runs in zip(tested, finished.values(), strict=True):
            scores += calibration.score_rows(setting, one)
            bins += calibration.bin_rows(setting, one, runs)
    cells = _frame(cells, CELL_COLUMNS, SETTING_COLUMNS)
    folder = results_root() / study.name / "tables"
    _write_csv(folder / "runs.csv", runs_table(found))
    _write_csv(folder / "cells.csv", cells)
    _write_csv(folder / "comparisons.csv", _frame(comparisons, COMPARISON_COLUMNS, SETTING_COLUMNS))
    _write_csv(folder / "degradation.csv", _frame(degradation, DEGRADATION_COLUMNS, SETTING_COLUMNS))
    _write_csv(folder / "ranks.csv", ranks_table(cells))
    _write_csv(folder / "modes.csv", _frame(modes, MODE_COLUMNS, SETTING_COLUMNS))
    _write_csv(folder / "calibration.csv", _frame(bins, calibration.BIN_COLUMNS, SETTING_COLUMNS))
    _write_csv(folder / "calibration_scores.csv", _frame(scores, calibration.SCORE_COLUMNS, SETTING_COLUMNS))
    write_parquet(folder / "history.parquet", history_table(found))
    _tell_outdated([result for _, result in found if result.outdated])
    return folder


def _tell_outdated(found: list[RunResult]) -> None:
    if found:
        first = f"the first is {found[0].folder}: {found[0].outdated}"
        print(f"left out {len(found)} runs whose test is outdated; {first}", file=sys.stderr)


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    write_text(path, frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _frame(rows: list[dict], columns: list[str], order: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=columns).sort_values(order, kind="stable", ignore_index=True)


def _by_setting(found: list[tuple[Run, RunResult]]) -> dict[Setting, list[tuple[Run, RunResult]]]:
    groups = defaultdict(list)
    for run, result in found:
        groups[run.dataset, run.way, run.shot].append((run, result))
    return groups


def check_same_episodes(found: list[RunResult]) -> None:
    """Raise ResultError unless all tested runs saw the same frozen episodes of the same images (by digest)."""
    seen: dict[str, tuple[str, Path]] = {}
    for result in found:
        if result.run is None or result.test is None:
            continue
        digests = {f"{task} episodes": digest for task, digest in result.test["episodes"].items()}
        for what, digest in {"images": result.run["data"]["digest"], **digests}.items():
            path = result.folder / ("run.json" if what == "images" else "test.json")
            first, where = seen.setdefault(what, (digest, path))
            if digest != first:
                raise ResultError(
                    f"{path} and {where} were made with different {what} ({digest[:12]} and {first[:12]}), so they "
                    f"cannot be paired; delete the older of the two folders and run it again"
                )


def finished_by_setting(study: Study) -> dict[Setting, dict[str, list[RunResult]]]:
    """The tested runs of each setting by algorithm, in the study's order."""
    found = [(run, read_run(run.folder)) for run in study.runs()]
    return {setting: _finished(group) for setting, group in _by_setting(found).items()}


def _finished(group: list[tuple[Run, RunResult]]) -> dict[str, list[RunResult]]:
    by_algorithm = defaultdict(list)
    for run, result in group:
        if result.status in ("ok", "untrained"):
            by_algorithm[algos.name_of(run.algorithm)].append(result)
    return dict(by_algorithm)


def _gathered(algorithm: str, found: list[RunResult], metrics: list[str]) -> dict[str, Tested]:
    return {one.metric: one for one in gather_all(algorithm, found, metrics)}


def runs_table(found: list[tuple[Run, RunResult]]) -> pd.DataFrame:
    """One row per run of the study, finished or not."""
    frame = pd.DataFrame([_run_row(run, result) for run, result in found], columns=RUN_COLUMNS)
    return frame.astype({column: "Int64" for column in WHOLE_NUMBERS})


def _run_row(run: Run, result: RunResult) -> dict:
    record, test = result.run or {}, result.test or {}
    row = {
        **record.get("training", {}),
        **record.get("hyper_parameters", {}),
        **record.get("provenance", {}),
        **{key: record.get(key) for key in ("title", "family")},
        "reason": record.get("reason") or result.outdated or None,
        **{key: test.get(key) for key in ("adapt_ms_per_task", "adapt_gflops_per_task")},
        "test_memory_mb": test.get("peak_memory_mb"),
        **{key: getattr(run, key) for key in (*SETTING_COLUMNS, "seed")},
        "algorithm": algos.name_of(run.algorithm),
        "status": result.status,
        "folder": str(run.folder),
    }
    return {column: row.get(column) for column in RUN_COLUMNS}


def history_table(found: list[tuple[Run, RunResult]]) -> pd.DataFrame:
    """The learning curves of all runs, one row per validation."""
    columns = [*SETTING_COLUMNS, "algorithm", "seed", *HISTORY_COLUMNS]
    frames = []
    for run, result in found:
        keys = {key: getattr(run, key) for key in (*SETTING_COLUMNS, "seed")}
        frames.append(result.history().assign(algorithm=algos.name_of(run.algorithm), **keys)[columns])
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
