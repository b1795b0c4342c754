"""Meta-test of one run over all conditions of its study, in one job.

`python -m bench test config/quick.yaml glyphs/5way_1shot/protonet/seed0`
"""

import argparse
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from algos.base import MetaLearner
from bench import devices, results
from bench.evaluate import evaluate
from bench.sources import open_source
from bench.study import Run, Study, load_study, test_spec
from bench.train import build_learner
from tasks import shifts
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes


@dataclass(frozen=True)
class Condition:
    """One setting of a meta-test. scope: what is shifted (`clean`, the whole `task`, the `query` images only)."""

    shift: str = "none"
    severity: int = 0
    scope: str = "clean"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("study", help="study file, e.g. config/quick.yaml")
    parser.add_argument("run", help="trained run of the study, e.g. glyphs/5way_1shot/protonet/seed0")


def main(args: argparse.Namespace) -> int:
    study = load_study(args.study)
    run = study.run(args.run)
    test(study, run)
    return 0


def conditions(spec: dict[str, Any]) -> list[Condition]:
    """The clean test, then every shift at every severity in every scope."""
    shifted = [
        Condition(name, severity, scope)
        for name, severities in spec["shifts"]["severities"].items()
        for severity in severities
        for scope in spec["shifts"]["scopes"]
    ]
    return [Condition(), *shifted]


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
        rows = list(condition_frames(learner, source.part("test"), frozen, spec))
    frame = pd.concat(rows) if rows else pd.DataFrame(columns=list(results.EPISODE_COLUMNS))
    results.write_episodes(run.folder / "episodes.parquet", frame, run.kind)
    results.write_test(
        run.folder / "test.json",
        {
            "seconds": time.perf_counter() - clock,
            "adapt_ms_per_task": adaptation_ms(learner, source.part("test"), frozen, device),
            "episodes": {f"{run.way}way_{run.shot}shot": frozen.digest},
            "conditions": len(rows),
            "peak_memory_mb": devices.peak_memory_mb(device),
            "provenance": devices.provenance(device, started),
        },
    )


def condition_frames(
    learner: MetaLearner, clean: ImageSplit, frozen: FrozenEpisodes, spec: dict[str, Any]
) -> Iterator[pd.DataFrame]:
    """One frame of per-episode results for each condition and mode; each shifted image is made once."""
    modes = [mode for mode in spec["modes"] if mode in learner.modes]
    fewer = frozen.head(spec["shifts"]["episodes"])
    for (shift, severity), group in itertools.groupby(conditions(spec), key=lambda c: (c.shift, c.severity)):
        kind = clean.data.meta["kind"]
        value = 0.0 if shift == "none" else shifts.strength(shift, severity, kind)
        used = frozen if shift == "none" else fewer
        pool = clean if shift == "none" else shifted_split(clean, used, shift, value)
        for condition, mode in itertools.product(group, modes):
            support = pool if condition.scope == "task" else clean
            scores = evaluate(learner, used, support, pool, mode)
            yield _frame(condition, value, mode, used, scores)


def shifted_split(clean: ImageSplit, frozen: FrozenEpisodes, shift: str, value: float) -> ImageSplit:
    """A copy of the split in which the images that the episodes use are shifted, on the uint8 grid of all data."""
    used = torch.from_numpy(np.unique(np.concatenate([frozen.support.ravel(), frozen.query.ravel()])))
    used = used.to(clean.images.device)
    images = clean.images.clone()
    images.view(-1, *clean.input_shape)[used] = shifts.shifted(clean, used, shift, value)
    return ImageSplit(images, clean.data, clean.part, clean.base_classes, clean.rotations)


def _frame(
    condition: Condition, value: float, mode: str, frozen: FrozenEpisodes, scores: dict[str, np.ndarray]
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "shift": condition.shift,
            "severity": condition.severity,
            "value": value,
            "scope": condition.scope,
            "mode": mode,
            "test_way": frozen.way,
            "test_shot": frozen.shot,
            "test_steps": -1,
            "episode": np.arange(len(frozen)),
            **scores,
        }
    )


def adaptation_ms(
    learner: MetaLearner, images: ImageSplit, frozen: FrozenEpisodes, device: torch.device, tasks: int = 20
) -> float:
    """Median milliseconds to adapt to one task and answer its queries, tasks one at a time, after a warm-up."""
    times = []
    for t in range(min(tasks, len(frozen))):
        episodes = frozen.batch(images, t, t + 1)
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.no_grad():
            phi = learner.adapt(episodes.support_x, episodes.support_y, episodes.way)
            learner.predict(phi, episodes.query_x).cpu()
        times.append(1e3 * (time.perf_counter() - start))
    return float(np.median(times[2:] or times))
