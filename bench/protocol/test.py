"""Meta-test of one run over all conditions of its study, in one job.

`python -m bench test config/quick.yaml glyphs/5way_1shot/protonet/seed0`
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from algos.base import MetaLearner
from bench.protocol import machine
from bench.protocol.conditions import Result, image_conditions, point_conditions, point_fits, reported_mode
from bench.protocol.experiments import other_tasks, untrained
from bench.protocol.flops import gflops
from bench.protocol.learner import build_learner
from bench.protocol.scores import Scores
from bench.protocol.sources import FunctionSource, ImageSource, open_source
from bench.results.condition import STANDARD, Condition
from bench.results.metrics import stored
from bench.results.run_folder import read_run, write_calibration, write_episodes, write_test
from bench.results.schema import BINS, CALIBRATION_COLUMNS, DIVERGED, EPISODE_COLUMNS
from bench.study.run import Run
from bench.study.study import Study, load_study, test_spec
from tasks.episodes import Episodes


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="trained run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    study = load_study(args.study)
    run = study.run(args.run)
    test(study, run)
    return 0


def test(study: Study, run: Run) -> None:
    """Score the run's model under every condition; write episodes.parquet, calibration.parquet and test.json."""
    started, clock = machine.now(), time.perf_counter()
    record = read_run(run.folder).run
    if record is None:
        raise FileNotFoundError(
            f"{run.folder} has no trained model: run `python -m bench train {study.origin} {run.name}`"
        )
    spec = test_spec(study, run)
    device = machine.set_up(study.settings.train.device, study.settings.train.threads)
    source = open_source(run.dataset, spec["split"], device)
    frozen = source.frozen("test", spec["episodes"], run.way, run.shot, spec["query"], spec["study_seed"])
    learner = build_learner(study, run, source).to(device).eval()
    if not set(spec["modes"]) & set(learner.modes):
        print(
            f"{run.name} has none of the study's modes ({', '.join(spec['modes'])}): "
            f"tested in its own, {reported_mode(learner, spec)}",
            flush=True,
        )
    rows, bins, fits, digests = [], [], {}, {f"{run.way}way_{run.shot}shot": frozen.digest}
    costs = dict.fromkeys(("adapt_ms_per_task", "adapt_gflops_per_task"))
    if record["status"] != DIVERGED:
        for condition, digest, scores in measured(learner, run, source, frozen, spec):
            rows.append(_frame(condition, scores))
            bins += [_bins(condition, scores["bins"])] if "bins" in scores else []
            digests.setdefault(_task(condition), digest)
        if isinstance(source, FunctionSource):
            fits = point_fits(source, learner, frozen, spec)
        costs = adaptation_costs(learner, source, frozen, spec)
    write_episodes(run.folder / "episodes.parquet", _joined(rows, EPISODE_COLUMNS), run.kind)
    write_calibration(run.folder / "calibration.parquet", _joined(bins, CALIBRATION_COLUMNS), run.kind)
    write_test(
        run.folder / "test.json",
        {
            "seconds": time.perf_counter() - clock,
            **costs,
            "episodes": digests,
            "conditions": len(rows),
            "fits": fits,
            "peak_memory_mb": machine.peak_memory_mb(device),
            "provenance": machine.provenance(device, started),
        },
    )


def measured(learner: MetaLearner, run: Run, source: Any, frozen: Any, spec: dict) -> Iterator[Result]:
    """Everything a study asks for: the untrained control, then with the trained weights the tasks trained for, clean
    and shifted, and other tasks.
    """
    images, learns = isinstance(source, ImageSource), learner.trainable or learner.pretraining
    if images and learns and spec["experiments"]["untrained"]:
        yield from untrained(learner, source, frozen, spec)
    learner.load_state_dict(safetensors.torch.load_file(run.folder / "model.safetensors"))
    if not images:
        yield from point_conditions(source, learner, frozen, spec)
        return
    yield from image_conditions(source, learner, frozen, spec)
    yield from other_tasks(learner, source, frozen, spec)


def _frame(condition: Condition, scores: Scores) -> pd.DataFrame:
    values = {metric: scores[metric] for metric in stored()}
    return pd.DataFrame({**asdict(condition), "episode": np.arange(len(values["nll"])), **values})


def _bins(condition: Condition, bins: np.ndarray) -> pd.DataFrame:
    """Sums over the episodes: `[T, 3, BINS]` -> one row per bin."""
    n, confidence, correct = bins.sum(0, dtype=np.float64)
    sums = {"bin": np.arange(BINS), "n": n, "confidence": confidence, "correct": correct}
    return pd.DataFrame({**asdict(condition), **sums})


def _joined(frames: list[pd.DataFrame], columns: dict[str, str]) -> pd.DataFrame:
    return pd.concat(frames) if frames else pd.DataFrame(columns=list(columns))


def _task(condition: Condition) -> str:
    """Name of the frozen episodes of a condition; those of fewer episodes are the first of the same."""
    task = f"{condition.test_way}way_{condition.test_shot}shot"
    return task if condition.test_tasks == STANDARD else f"{condition.test_tasks}_{task}"


def adaptation_costs(learner: MetaLearner, source: Any, frozen: Any, spec: dict) -> dict[str, float]:
    """Milliseconds and GFLOP to adapt to one task and answer its queries, in the reported mode."""
    transductive = reported_mode(learner, spec) == "transductive" and learner.spec.kind == "classification"
    first = source.batch("test", frozen, 0, 1)
    with learner.testing(transductive=transductive):
        return {
            "adapt_ms_per_task": adaptation_ms(learner, source, frozen),
            "adapt_gflops_per_task": gflops(lambda: _adapt(learner, first)),
        }


def adaptation_ms(learner: MetaLearner, source: Any, frozen: Any, tasks: int = 20) -> float:
    """Median milliseconds to adapt to one task and answer its queries, tasks one at a time, after a warm-up."""
    times = []
    for t in range(min(tasks, len(frozen))):
        episode = source.batch("test", frozen, t, t + 1)
        if source.device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        _adapt(learner, episode)
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[2:] or times))


@torch.no_grad()
def _adapt(learner: MetaLearner, episode: Episodes) -> torch.Tensor:
    """Adapt to one task and answer its queries; the answers are on the CPU when it returns."""
    phi = learner.adapt_to(episode)
    return learner.predict(phi, episode.query_x).cpu()
