"""Tables of a study from its run folders: `python -m bench summarize config/quick.yaml`.

Writes cells, comparisons, degradation, severities, losses, separation, ranks, runs, modes, calibration and
calibration_scores as .csv and history.parquet to results/{study}/tables. The same run folders give the same bytes. Runs that
are missing, untested or diverged are rows of runs.csv; cells count the seeds that are there.
"""

import itertools
import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

import algos
from bench.paths import results_root
from bench.results.files import ResultError, write_csv
from bench.results.metrics import further, main_metric, measured
from bench.results.parquet import write_parquet
from bench.results.run_folder import RunResult, examined
from bench.results.setting import SETTING_COLUMNS, Setting
from bench.results.table_digests import record_digests
from bench.statistics.calibration import BIN_COLUMNS, SCORE_COLUMNS, bin_rows, score_rows
from bench.statistics.cells import CELL_COLUMNS, cell_rows
from bench.statistics.degradation import DEGRADATION_COLUMNS, degradation_rows
from bench.statistics.gather import gather_all, with_shared
from bench.statistics.losses import LOSS_COLUMNS, loss_rows
from bench.statistics.modes import MODE_COLUMNS, mode_rows
from bench.statistics.pairs import COMPARISON_COLUMNS, comparison_rows
from bench.statistics.priors import setting_priors
from bench.statistics.rank_table import ranks_table
from bench.statistics.run_tables import history_table, runs_table
from bench.statistics.separation import SEPARATION_COLUMNS, separation_rows
from bench.statistics.severities import SEVERITY_COLUMNS, severity_rows
from bench.study.run import Run
from bench.study.study import Study

COLUMNS = {
    "cells": CELL_COLUMNS,
    "comparisons": COMPARISON_COLUMNS,
    "degradation": DEGRADATION_COLUMNS,
    "severities": SEVERITY_COLUMNS,
    "losses": LOSS_COLUMNS,
    "separation": SEPARATION_COLUMNS,
    "modes": MODE_COLUMNS,
    "calibration": BIN_COLUMNS,
    "calibration_scores": SCORE_COLUMNS,
}
"""Columns of the tables that are made setting by setting."""
Found = list[tuple[Run, RunResult]]


def summarize(study: Study) -> Path:
    """Write the tables of the study; return their folder. Raises ResultError when runs cannot be compared."""
    found = [(run, examined(run.folder)) for run in study.runs()]
    yardsticks = {algos.name_of(name): card.yardstick for name, card in study.cards.items()}
    rows = defaultdict(list)
    for setting, group in by_setting(found).items():
        check_same_episodes([result for _, result in group])
        for name, more in _setting_rows(setting, group, yardsticks).items():
            rows[name] += more
    tables = {name: _frame(rows[name], columns) for name, columns in COLUMNS.items()}
    tables |= {"runs": runs_table(study, found), "ranks": ranks_table(tables["cells"])}
    folder = results_root() / study.name / "tables"
    for name, table in tables.items():
        write_csv(folder / f"{name}.csv", table)
    write_parquet(folder / "history.parquet", history_table(found))
    record_digests(folder, "summarize", [*(f"{name}.csv" for name in tables), "history.parquet"])
    _tell_left_out("test is outdated", [result for _, result in found if result.outdated])
    _tell_left_out("files are damaged", [result for _, result in found if result.damage])
    return folder


def _setting_rows(setting: Setting, group: Found, yardsticks: dict[str, bool]) -> dict[str, list[dict]]:
    """Return the rows of each table of `COLUMNS` for one setting."""
    kind, runs = group[0][0].kind, scored(group)
    summarised = [main_metric(kind), *further(kind)]
    read = list(dict.fromkeys([*summarised, *measured(kind)]))
    gathered = [gather_all(name, found, read) for name, found in runs.items()]
    by_metric = {metric: with_shared([one[metric] for one in gathered]) for metric in read}
    results = {name: {metric: by_metric[metric][i] for metric in read} for i, name in enumerate(runs)}
    rows = defaultdict(list)
    priors = {
        metric: setting_priors([by_metric[metric] for by_metric in results.values()]) for metric in summarised
    }
    for metric, (name, by_metric) in itertools.product(summarised, results.items()):
        cells = cell_rows(setting, by_metric[metric], priors[metric])
        rows["cells"] += [row | {"yardstick": yardsticks[name]} for row in cells]
    main = [by_metric[main_metric(kind)] for by_metric in results.values()]
    rows["comparisons"] = comparison_rows(setting, main, priors[main_metric(kind)])
    rows["degradation"] = degradation_rows(setting, main)
    rows["severities"] = severity_rows(setting, main)
    rows["losses"] = loss_rows(setting, main, yardsticks)
    rows["separation"] = separation_rows(setting, main)
    rows["modes"] = mode_rows(setting, main, priors[main_metric(kind)])
    rows["calibration_scores"] = score_rows(setting, list(results.values()))
    for name, by_metric in results.items():
        rows["calibration"] += bin_rows(setting, by_metric, runs[name])
    return rows


def _frame(rows: list[dict], columns: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values(SETTING_COLUMNS, kind="stable", ignore_index=True)


def _tell_left_out(why: str, found: list[RunResult]) -> None:
    if found:
        first = f"the first is {found[0].folder}: {found[0].outdated or found[0].damage}"
        print(f"left out {len(found)} runs whose {why}; {first}", file=sys.stderr)


def by_setting(found: Found) -> dict[Setting, Found]:
    """Group runs by their setting, in the study's order."""
    groups = defaultdict(list)
    for run, result in found:
        groups[Setting(run.dataset, run.way, run.shot)].append((run, result))
    return dict(groups)


def scored(group: Found) -> dict[str, list[RunResult]]:
    """Return the runs that have results by algorithm, in the study's order."""
    by_algorithm = defaultdict(list)
    for run, result in group:
        if result.scored:
            by_algorithm[algos.name_of(run.algorithm)].append(result)
    return dict(by_algorithm)


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
