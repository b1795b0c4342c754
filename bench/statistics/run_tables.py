"""Tables of the runs themselves: runs.csv (one row per run, finished or not) and history.parquet (learning curves)."""

import pandas as pd

import algos
from bench.results.published import used
from bench.results.run_folder import RunResult
from bench.results.schema import HISTORY_COLUMNS
from bench.results.setting import SETTING_COLUMNS
from bench.study.run import Run
from bench.study.study import Study

WHOLE_NUMBERS = "steps tasks parameters best_step train_way train_shot train_query hidden threads".split()
RUN_COLUMNS = [
    *SETTING_COLUMNS,
    *"algorithm title family seed status reason steps tasks seconds cpu_seconds tasks_per_second".split(),
    *"peak_memory_mb memory_at_start_mb test_memory_mb gflops_per_task adapt_ms_per_task".split(),
    *"adapt_gflops_per_task parameters best_step best_val_score train_way train_shot".split(),
    *"train_query backbone hidden budget_share device threads git_commit torch started folder".split(),
]


def runs_table(study: Study, found: list[tuple[Run, RunResult]]) -> pd.DataFrame:
    """Return one row per run of the study, finished or not (`RUN_COLUMNS`)."""
    frame = pd.DataFrame([_run_row(study, run, result) for run, result in found], columns=RUN_COLUMNS)
    return frame.astype({column: "Int64" for column in WHOLE_NUMBERS})


def _run_row(study: Study, run: Run, result: RunResult) -> dict:
    record, test = result.run or {}, result.test or {}
    row = {
        **record.get("training", {}),
        **record.get("hyper_parameters", {}),
        **record.get("provenance", {}),
        **{key: record.get(key) for key in ("title", "family")},
        **{key: used(key, record.get("hyper_parameters", {})) for key in ("backbone", "hidden")},
        "reason": result.reason or result.outdated or result.damage or None,
        **{key: test.get(key) for key in ("adapt_ms_per_task", "adapt_gflops_per_task")},
        "test_memory_mb": test.get("peak_memory_mb"),
        **{key: getattr(run, key) for key in (*SETTING_COLUMNS, "seed")},
        "algorithm": algos.name_of(run.algorithm),
        "budget_share": _budget_share(study, run, result),
        "status": result.status,
        "folder": str(run.folder),
    }
    return {column: row.get(column) for column in RUN_COLUMNS}


def _budget_share(study: Study, run: Run, result: RunResult) -> float | None:
    """Return the share of the published training tasks; none where the algorithm's file no longer calls its steps published."""
    card = study.cards[run.algorithm]
    if card.pretraining:
        card = study.cards[card.pretraining]
    share = (result.run or {}).get("training", {}).get("budget_share")
    return share if run.dataset in card.stated else None


def history_table(found: list[tuple[Run, RunResult]]) -> pd.DataFrame:
    """Return the learning curves of all runs, one row per validation."""
    columns = [*SETTING_COLUMNS, "algorithm", "seed", *HISTORY_COLUMNS]
    frames = []
    for run, result in found:
        if result.damage:
            continue
        keys = {key: getattr(run, key) for key in (*SETTING_COLUMNS, "seed")}
        frames.append(result.history().assign(algorithm=algos.name_of(run.algorithm), **keys)[columns])
    frames = [frame for frame in frames if len(frame)]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns)
