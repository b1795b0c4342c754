"""Synthetic studies: run folders in the real formats, filled with plausible numbers, without any training."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from bench.protocol.scores import calibration_shares
from bench.results.condition import CONDITION_COLUMNS, Condition
from bench.results.files import write_text
from bench.results.run_folder import write_calibration, write_episodes, write_history, write_run, write_test
from bench.results.schema import BINS, CALIBRATION_COLUMNS
from tasks.seeds import numpy_generator

# title, family, paper mode, tested in both modes, skill (logit of the clean 5-way 1-shot accuracy), loss per severity
FACTS = {
    "pixel_nn": ("Pixel nearest neighbour", "baseline", "inductive", False, -0.3, 0.30),
    "scratch": ("From scratch", "baseline", "inductive", True, 0.2, 0.33),
    "protonet": ("Prototypical networks", "metric-based", "inductive", True, 2.2, 0.35),
    "matching": ("Matching networks", "metric-based", "inductive", True, 2.0, 0.36),
    "maml": ("MAML", "optimization-based", "transductive", True, 2.0, 0.25),
    "fomaml": ("First-order MAML", "optimization-based", "transductive", True, 1.8, 0.26),
    "reptile": ("Reptile", "optimization-based", "transductive", True, 1.7, 0.27),
    "snail": ("SNAIL", "model-based", "inductive", True, 2.1, 0.60),
    "metanet": ("MetaNet", "model-based", "inductive", True, 2.0, 0.70),
    "lstm": ("LSTM learner", "model-based", "inductive", False, 1.2, 0.55),
}
COST = dict.fromkeys(FACTS, 0.5) | {
    "pixel_nn": 0.001,
    "protonet": 0.2,
    "matching": 0.3,
    "maml": 2.0,
    "scratch": 5.0,
}
"""GFLOP of an adaptation."""
ALGORITHMS = ("pixel_nn", "protonet", "maml", "fomaml", "lstm")
UNTRAINED = ("pixel_nn", "scratch")
SHIFTS = {"smear": (1, 3, 5), "shear": (1, 3, 5)}
PARAMETERS = 111_936


def make_study(
    root: Path,
    name: str = "synthetic",
    algorithms: Iterable[str] = ALGORITHMS,
    datasets: Mapping[str, Mapping] | None = None,
    seeds: Iterable[int] = (0, 1),
    shifts: Mapping[str, Iterable[int]] = SHIFTS,
    strengths: Mapping[str, Iterable[float]] | None = None,
    scopes: Iterable[str] = ("task", "query"),
    episodes: int = 200,
    shift_episodes: int = 100,
    diverged: Iterable[str] = (),
    missing: Iterable[str] = (),
    untested: Iterable[str] = (),
    experiments: Mapping | None = None,
) -> Path:
    """Write `root/config/<name>.yaml` and its run folders below `root/results`; returns the path of the YAML.

    `diverged`, `missing`, `untested`: names of runs, such as "glyphs/5way_1shot/maml/seed1".
    Set the environment variable RESULTS_ROOT to `root/results` before reading the study with `bench`.
    A data set called sinusoid holds regression results.
    """
    datasets = datasets or {"glyphs": {"ways": [5], "shots": [1, 5]}}
    study = {
        "study": name,
        "title": f"Synthetic study {name}",
        "seed": 0,
        "datasets": {key: dict(value) for key, value in datasets.items()},
        "algorithms": list(algorithms),
        "seeds": list(seeds),
        "train": {
            "minutes": 1.0,
            "validate_every": 50,
            "validation_episodes": 100,
            "threads": 1,
            "device": "cpu",
        },
        "test": {"episodes": episodes, "query": 15, "modes": ["inductive", "transductive"]},
        "shifts": {
            "scopes": list(scopes),
            "episodes": shift_episodes,
            "severities": {key: list(value) for key, value in shifts.items()},
            "strengths": {key: list(value) for key, value in (strengths or {}).items()},
        },
        "experiments": dict(experiments or {}),
    }
    path = root / "config" / f"{name}.yaml"
    write_text(path, yaml.safe_dump(study, sort_keys=False))
    for dataset, setting in datasets.items():
        for way, shot in [(way, shot) for way in setting.get("ways", [1]) for shot in setting["shots"]]:
            for algorithm, seed in [(algorithm, seed) for algorithm in algorithms for seed in seeds]:
                run = f"{dataset}/{way}way_{shot}shot/{algorithm}/seed{seed}"
                if run not in missing:
                    status = (
                        "diverged" if run in diverged else "untrained" if algorithm in UNTRAINED else "ok"
                    )
                    folder = root / "results" / name / run
                    _write_run(
                        folder, study, (dataset, way, shot, algorithm, seed), status, run not in untested
                    )
    return path


def _write_run(folder: Path, study: dict, key: tuple, status: str, tested: bool) -> None:
    kind = "regression" if key[0] == "sinusoid" else "classification"
    history = _history(key, status)
    write_history(folder / "history.parquet", history)
    write_run(folder / "run.json", _run_record(study, key, status, kind, history))
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    if tested:
        frame = _episodes(study, key, kind)
        frame = frame.iloc[:0] if status == "diverged" else frame
        frame, bins = _binned(frame, key[1] * study["test"]["query"])
        write_episodes(folder / "episodes.parquet", frame, kind)
        write_calibration(folder / "calibration.parquet", bins, kind)
        write_test(folder / "test.json", _test_record(study, key, frame))


def _history(key: tuple, status: str) -> pd.DataFrame:
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
            "train_accuracy": accuracy + 0.01 * (accuracy < 0.99),
            "val_accuracy": accuracy,
            "val_low": np.clip(accuracy - 0.015, 0, 1),
            "val_high": np.clip(accuracy + 0.015, 0, 1),
            "learning_rate": np.full(len(steps), 1e-3),
        }
    )


def _run_record(study: dict, key: tuple, status: str, kind: str, history: pd.DataFrame) -> dict:
    dataset, way, shot, algorithm, seed = key
    title, family, mode, _, _, _ = FACTS[algorithm]
    trained = len(history) > 0
    best = history.loc[history["val_accuracy"].idxmax()] if trained else None
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
            "best_val_accuracy": float(best["val_accuracy"]) if trained else None,
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


def _test_record(study: dict, key: tuple, frame: pd.DataFrame) -> dict:
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


def _episodes(study: dict, key: tuple, kind: str) -> pd.DataFrame:
    both_modes = FACTS[key[3]][3] and kind == "classification"
    frames = []
    for mode in ("inductive", "transductive") if both_modes else ("inductive",):
        frames.append(_condition(study, key, kind, ("none", 0, "clean", mode), study["test"]["episodes"]))
        for shift, severities in study["shifts"]["severities"].items():
            for severity in severities:
                for scope in study["shifts"]["scopes"]:
                    condition = (shift, severity, scope, mode)
                    frames.append(_condition(study, key, kind, condition, study["shifts"]["episodes"]))
        for shift, values in study["shifts"]["strengths"].items():
            for value in values:
                severe = 4 * abs(np.log2(value)) if shift == "scale" else 6 * abs(value)  # about 5 at pi / 4
                for scope in study["shifts"]["scopes"]:
                    condition = (shift, severe, scope, mode)
                    exact = _condition(study, key, kind, condition, study["shifts"]["episodes"])
                    frames.append(exact.assign(severity=0, value=value))
    for task in _other_tasks(study["experiments"], key):
        mode = FACTS[key[3]][2] if both_modes else "inductive"
        frame = _condition(study, key, kind, ("none", 0, "clean", mode), 60)
        frames.append(frame.assign(**task))
    return pd.concat(frames, ignore_index=True)


def _binned(frame: pd.DataFrame, queries: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The episodes with their share in the calibration error, and the bins; queries of an episode are equally confident."""
    frame, bins = frame.assign(ece=np.nan), pd.DataFrame(columns=list(CALIBRATION_COLUMNS))
    if frame["confidence"].isna().all():
        return frame, bins
    frames = []
    for condition, part in frame.groupby(CONDITION_COLUMNS):
        sums = queries * np.stack([np.ones(len(part)), part["confidence"], part["accuracy"]], axis=1)
        index = np.ceil(part["confidence"].to_numpy() * BINS).astype(int) - 1
        inside = index[:, None, None] == np.arange(BINS)
        table = sums[:, :, None] * inside
        frame.loc[part.index, "ece"] = calibration_shares(table)
        n, confidence, correct = table.sum(0)
        named = Condition.from_key(condition).row
        measures = {"bin": np.arange(BINS), "n": n, "confidence": confidence, "correct": correct}
        frames.append(pd.DataFrame({**named, **measures}))
    return frame, pd.concat(frames)


def _other_tasks(experiments: dict, key: tuple) -> list[dict]:
    """Changes to a clean condition, by the rules of bench.experiments."""
    fixed = key[3] in ("maml", "fomaml", "reptile", "snail", "lstm")
    tasks = [{"test_shot": shot} for shot in experiments.get("shots", ()) if shot != key[2]]
    tasks += [{"test_way": way} for way in experiments.get("ways", ()) if way != key[1] and not fixed]
    if key[3] in ("maml", "fomaml", "reptile", "scratch"):
        tasks += [{"test_steps": steps} for steps in experiments.get("steps", ())]
    if experiments.get("within_alphabet"):
        tasks.append({"test_tasks": "alphabet"})
    if experiments.get("memorisation"):
        tasks += [{"test_tasks": "training"}, {"test_tasks": "training_permuted"}]
        if key[3] in ("maml", "fomaml", "reptile"):
            tasks.append({"test_tasks": "training", "test_steps": 0})
    return tasks + [{"test_tasks": name} for name in experiments.get("other_data", ())]


def _condition(study: dict, key: tuple, kind: str, condition: tuple, count: int) -> pd.DataFrame:
    """Crossed effects as in reality: episodes are shared by all runs of a setting, seeds by all episodes of a run."""
    if key[3] == "pixel_nn":  # nothing is trained, so nothing differs between seeds
        key = (*key[:4], 0)
    dataset, way, shot, algorithm, _ = key
    shift, severity, scope, mode = condition
    _, _, _, _, skill, loss = FACTS[algorithm]
    draw = numpy_generator("cell", *key, *condition)
    difficulty = numpy_generator("episodes", dataset, way, shot).normal(0, 0.4, count)
    logit = (
        skill
        + 0.4 * np.log(shot)
        - 0.5 * np.log(way / 5)
        - loss * severity * (1.3 if scope == "query" else 1)
    )
    logit += numpy_generator("run", *key).normal(0, 0.04) + 0.1 * (mode == "transductive")
    chance = 1 / max(way, 2)
    expected = chance + (1 - chance) / (1 + np.exp(-(logit + difficulty + draw.normal(0, 0.2, count))))
    queries = way * study["test"]["query"]
    accuracy = draw.binomial(queries, expected) / queries
    nan = np.full(count, np.nan)
    measures = {
        "accuracy": accuracy,
        "nll": -np.log(expected),
        "brier": 2 * (1 - expected) * 0.8,
        "confidence": np.clip(expected + 0.03, 0, 1),
        "mse": nan,
        "coverage": nan,
    }
    if kind == "regression":
        measures = {name: nan for name in measures} | {
            "mse": np.exp(-skill + 0.4 * severity + 0.3 * difficulty)
        }
    return pd.DataFrame(
        {
            "shift": shift,
            "severity": severity,
            "value": 0.1 * severity,
            "scope": scope,
            "mode": mode,
            "test_tasks": "standard",
            "test_way": way,
            "test_shot": shot,
            "test_steps": -1,
            "episode": np.arange(count),
            **measures,
        }
    )
