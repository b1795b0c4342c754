"""Meta-test of one run over all conditions of its study, in one job.

`python -m bench test config/quick.yaml glyphs/5way_1shot/protonet/seed0`
"""

import argparse
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from algos.base import MetaLearner
from bench import devices, results
from bench.evaluate import Scores
from bench.sources import Condition, open_source
from bench.study import Run, Study, load_study, test_spec
from bench.train import build_learner


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="trained run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    study = load_study(args.study)
    run = study.run(args.run)
    test(study, run)
    return 0


def test(study: Study, run: Run) -> None:
    """Score the run's model under every condition; write episodes.parquet and test.json to its folder."""
    started, clock = devices.now(), time.perf_counter()
    record = results.read_run(run.folder).run
    if record is None:
        raise FileNotFoundError(
            f"{run.folder} has no trained model: run `python -m bench train {study.origin} {run.name}`"
        )
    spec = test_spec(study, run)
    train = study.config["train"]
    device = devices.set_up(train["device"], train["threads"])
    source = open_source(run.dataset, spec["split"], device)
    frozen = source.frozen("test", spec["episodes"], run.way, run.shot, spec["query"], spec["study_seed"])
    learner = build_learner(study, run, source)
    learner.load_state_dict(safetensors.torch.load_file(run.folder / "model.safetensors"))
    learner.to(device).eval()
    rows = []
    if record["status"] != "diverged":
        rows = [_frame(c, frozen, scores) for c, scores in source.conditions(learner, frozen, spec)]
    frame = pd.concat(rows) if rows else pd.DataFrame(columns=list(results.EPISODE_COLUMNS))
    results.write_episodes(run.folder / "episodes.parquet", frame, run.kind)
    results.write_test(
        run.folder / "test.json",
        {
            "seconds": time.perf_counter() - clock,
            "adapt_ms_per_task": adaptation_ms(learner, source, frozen),
            "episodes": {f"{run.way}way_{run.shot}shot": frozen.digest},
            "conditions": len(rows),
            "peak_memory_mb": devices.peak_memory_mb(device),
            "provenance": devices.provenance(device, started),
        },
    )


def _frame(condition: Condition, frozen: Any, scores: Scores) -> pd.DataFrame:
    episodes = len(next(iter(scores.values())))
    return pd.DataFrame(
        {
            **asdict(condition),
            "test_way": frozen.way,
            "test_shot": frozen.shot,
            "test_steps": -1,
            "episode": np.arange(episodes),
            **scores,
        }
    )


def adaptation_ms(learner: MetaLearner, source: Any, frozen: Any, tasks: int = 20) -> float:
    """Median milliseconds to adapt to one task and answer its queries, tasks one at a time, after a warm-up."""
    times = []
    for t in range(min(tasks, len(frozen))):
        episode = source.batch("test", frozen, t, t + 1)
        if source.device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.no_grad():
            phi = learner.adapt(episode.support_x, episode.support_y, episode.way)
            learner.predict(phi, episode.query_x).cpu()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[2:] or times))
