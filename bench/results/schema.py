"""Columns, JSON schemas and status words of the files in a run's folder."""

from collections.abc import Iterable

from bench.results import metrics
from bench.results.condition import CONDITION_COLUMNS, MODES

EPISODE_COLUMNS = {
    "shift": "str",
    "severity": "int16",
    "value": "float64",
    "scope": "str",
    "mode": "str",
    "test_tasks": "str",
    "test_way": "int16",
    "test_shot": "int16",
    "test_steps": "int16",
    "episode": "int32",
    **dict.fromkeys(metrics.stored(), "float32"),
}
CALIBRATION_COLUMNS = {
    **{column: EPISODE_COLUMNS[column] for column in CONDITION_COLUMNS},
    "bin": "int16",
    "n": "int64",
    "confidence": "float64",
    "correct": "float64",
}
HISTORY_COLUMNS = {
    "step": "int64",
    "tasks": "int64",
    "seconds": "float64",
    "loss": "float64",
    "train_score": "float64",
    "val_score": "float64",
    "val_low": "float64",
    "val_high": "float64",
    "learning_rate": "float64",
}
OLD_NAMES = {f"{which}_accuracy": f"{which}_score" for which in ("train", "val", "best_val")}
"""Columns of history.parquet and keys of run.json by the names that older versions gave them."""
OK, UNTRAINED, DIVERGED = "ok", "untrained", "diverged"
"""Status words in run.json: trained; nothing to train; the loss was not finite, so there is no model."""
MISSING, UNTESTED, DAMAGED = "missing", "untested", "damaged"
"""Status words of runs without usable results: not trained yet; trained, but not tested (or tested by an older version); with
a file that cannot be read, or is not the one that was written."""
SCORED = (OK, UNTRAINED)
"""Statuses of runs with results; with `DIVERGED`, the runs that are finished."""
FINISHED = (*SCORED, DIVERGED)
_CHOICES = {"scope": {"clean", "task", "query"}, "mode": set(MODES)}
_COUNT = {"type": "integer", "minimum": 0}
_AMOUNT = {"type": ["number", "null"], "minimum": 0}
_TEXT = {"type": "string"}
_EVIDENCE = {
    "made_from": {"type": "object"},
    "files": {"type": "object", "additionalProperties": {"type": "string"}},
}
"""made_from: digests of settings, code and other inputs; files: digests of what was written. Absent from older records."""


def _record(properties: dict, optional: Iterable[str] = ()) -> dict:
    return {"type": "object", "properties": properties, "required": sorted(set(properties) - set(optional))}


RUN_SCHEMA = _record(
    {
        "status": {"enum": [OK, DIVERGED, UNTRAINED]},
        "reason": {"type": ["string", "null"]},
        **{key: _TEXT for key in ("study", "dataset", "algorithm", "title", "family", "citation")},
        **{key: _COUNT for key in ("way", "shot", "seed")},
        "paper_mode": {"enum": list(MODES)},
        "task_kind": {"enum": list(metrics.TASK_KINDS)},
        "variant_of": {"type": ["string", "null"]},
        "hyper_parameters": {"type": "object"},
        "training": _record(
            {
                **{key: _COUNT for key in ("steps", "tasks", "parameters")},
                **{key: _AMOUNT for key in ("seconds", "cpu_seconds", "tasks_per_second", "gflops_per_task")},
                **{key: _AMOUNT for key in ("peak_memory_mb", "memory_at_start_mb")},
                "best_step": {"type": ["integer", "null"]},
                "best_val_score": {"type": ["number", "null"]},
                "published_tasks": {"type": ["integer", "null"]},
                "budget_share": _AMOUNT,
            },
            optional=[
                "gflops_per_task",
                "memory_at_start_mb",
            ],  # absent from runs older than these measurements
        ),
        "data": {"type": "object"},
        "provenance": {"type": "object"},
        **_EVIDENCE,
    },
    optional=["variant_of", *_EVIDENCE],
)
TEST_SCHEMA = _record(
    {
        "seconds": _AMOUNT,
        **{key: _AMOUNT for key in ("adapt_ms_per_task", "adapt_gflops_per_task")},
        "episodes": {"type": "object", "additionalProperties": _TEXT},
        "conditions": _COUNT,
        "queries": {"type": "object", "additionalProperties": {"type": "integer"}},
        "diverged": {"type": ["string", "null"]},
        "peak_memory_mb": _AMOUNT,
        "provenance": {"type": "object"},
        "fits": {"type": "object", "additionalProperties": {"type": "object"}},
        **_EVIDENCE,
    },
    optional=[
        "adapt_gflops_per_task",
        "diverged",
        "fits",
        "peak_memory_mb",
        "provenance",
        "queries",
        *_EVIDENCE,
    ],
)
MODEL, HISTORY = "model.safetensors", "history.parquet"
"""Files that a training writes beside run.json."""
TRAINING_FILES = (MODEL, HISTORY)
TEST_FILES = ("episodes.parquet", "calibration.parquet")
"""Files that a test writes beside test.json."""
