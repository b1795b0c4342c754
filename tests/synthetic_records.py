"""Records of synthetic runs: run.json, test.json and history.parquet."""

import numpy as np
import pandas as pd

from bench.results.condition import CONDITION_COLUMNS
from tasks.seeds import numpy_generator
from tests.synthetic_learners import COST, FACTS

PARAMETERS = 111_936


def history(key: tuple, status: str) -> pd.DataFrame:
    """A saturating curve with noise, twelve validations; none for a learner without training."""
    draw = numpy_generator("history", *key)
    steps = np.arange(50, 650, 50) if status != "untrained" else np.arange(0)
    progress = 1 - np.exp(-steps / 150)
    accuracy = np.clip(0.2 + 0.7 * progress + draw.normal(0, 0.01, len(steps)), 0, 1)
    loss = 1.6 * (1 - progress) + 0.2
    return pd.DataFrame(
        {
            "step": steps,
            "tasks": steps * 16,
            "seconds": steps * 0.1,
            "loss": np.where(steps == 600, np.nan, loss) if status == "diverged" else loss,
            "train_score": accuracy + 0.01 * (accuracy < 0.99),
            "val_score": accuracy,
            "val_low": np.clip(accuracy - 0.015, 0, 1),
            "val_high": np.clip(accuracy + 0.015, 0, 1),
            "learning_rate": np.full(len(steps), 1e-3),
        }
    )


def run_record(study: dict, key: tuple, status: str, kind: str, curve: pd.DataFrame) -> dict:
    dataset, way, shot, algorithm, seed = key
    title, family, mode, _, _, _ = FACTS[algorithm]
    trained = len(curve) > 0
    best = curve.loc[curve["val_score"].idxmax()] if trained else None
    return {
        "status": status,
        "reason": "the loss was not finite at step 600" if status == "diverged" else None,
        "study": study["study"],
        "dataset": dataset,
        "way": way,
        "shot": shot,
        "algorithm": algorithm,
        "seed": seed,
        "title": title,
        "family": family,
        "citation": f"A. Author et al. {title}. 2017.",
        "paper_mode": mode,
        "task_kind": kind,
        "split": "default",
        "hyper_parameters": {
            "learning_rate": 1e-3,
            "meta_batch": 16,
            "train_way": way,
            "train_shot": shot,
            "train_query": 5,
        },
        "training": {
            "steps": 600 if trained else 0,
            "tasks": 9600 if trained else 0,
            "seconds": 60.0 if trained else 0.0,
            "cpu_seconds": 58.5 if trained else 0.0,
            "tasks_per_second": 160.0 if trained else None,
            "peak_memory_mb": 512.0,
            "memory_at_start_mb": 300.0,
            "gflops_per_task": 3 * COST[algorithm] if trained else None,
            "best_step": int(best["step"]) if trained else None,
            "best_val_score": float(best["val_score"]) if trained else None,
            "parameters": PARAMETERS if trained else 0,
            "published_tasks": 1_920_000 if trained else None,
            "budget_share": 0.005 if trained else None,
        },
        "data": {"digest": "5" * 64, "split": "default"},
        "provenance": {
            "git_commit": "0" * 40,
            "git_dirty": False,
            "python": "3.11.9",
            "torch": "2.13.0",
            "platform": "Linux",
            "cpu": "a synthetic processor",
            "gpu": None,
            "device": "cpu",
            "threads": 1,
            "started": "2025-01-01T00:00:00+00:00",
            "finished": "2025-01-01T00:01:00+00:00",
        },
    }


def test_record(study: dict, key: tuple, frame: pd.DataFrame) -> dict:
    dataset, way, shot, _, _ = key
    return {
        "seconds": 12.0,
        "adapt_ms_per_task": 1.5 * COST[key[3]],
        "adapt_gflops_per_task": COST[key[3]],
        "episodes": {f"{way}way_{shot}shot": f"{dataset}-{way}-{shot}-{study['seed']}"},
        "conditions": int(frame[CONDITION_COLUMNS].drop_duplicates().shape[0]),
        "peak_memory_mb": 600.0,
        "provenance": {"device": "cpu", "threads": 1},
    }
