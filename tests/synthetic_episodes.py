"""Episodes of synthetic studies: plausible values under every condition of a study, and their bins of confidence."""

import numpy as np
import pandas as pd

from bench.protocol.scores import calibration_shares
from bench.results.bins import BINS
from bench.results.condition import CONDITION_COLUMNS, Condition
from bench.results.schema import CALIBRATION_COLUMNS
from tasks.seeds import numpy_generator
from tests.synthetic_learners import FACTS


def episodes(study: dict, key: tuple, kind: str) -> pd.DataFrame:
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
    frames += _steps_under_shift(study, key, kind)
    return pd.concat(frames, ignore_index=True)


def _steps_under_shift(study: dict, key: tuple, kind: str) -> list[pd.DataFrame]:
    """Frames of the experiment of this name: clean ones unless `steps` has them, then each shift at its highest severity."""
    if key[3] not in ("maml", "fomaml", "reptile", "scratch"):
        return []
    frames, mode, count = [], FACTS[key[3]][2], min(60, study["shifts"]["episodes"])
    for steps in study["experiments"].get("steps_under_shift", ()):
        conditions = [] if steps in study["experiments"].get("steps", ()) else [("none", 0, "clean", mode)]
        for shift, severities in study["shifts"]["severities"].items():
            conditions += [(shift, max(severities), "task", mode)] if severities else []
        for condition in conditions:
            frame = _condition(study, key, kind, condition, count).assign(test_steps=steps)
            gained = numpy_generator("steps", *key, *condition, steps).normal(0.01 * (steps > 5), 0.03, count)
            frames.append(
                frame.assign(accuracy=np.clip(frame["accuracy"] + gained - 0.3 * (steps == 0), 0, 1))
            )
    return frames


def binned(frame: pd.DataFrame, queries: int) -> tuple[pd.DataFrame, pd.DataFrame]:
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
        frames.append(bin_rows(Condition.from_key(condition), table))
    return frame, pd.concat(frames)


def bin_rows(condition: Condition, bins: np.ndarray) -> pd.DataFrame:
    """Return the rows of calibration.parquet of one condition from `bins` `[T, 3, BINS]`."""
    n, confidence, correct = bins.sum(0, dtype=np.float64)
    sums = {"bin": np.arange(BINS), "n": n, "confidence": confidence, "correct": correct}
    return pd.DataFrame({**condition.row, **sums})


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
