"""Meta-test of one run over all conditions of its study, in one job."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch

from algos.base import MetaLearner
from bench.protocol import machine
from bench.protocol.clock import clock_of
from bench.protocol.conditions import Result, chosen_modes, image_conditions, reported_mode
from bench.protocol.flops import gflops
from bench.protocol.learner import build_learner
from bench.protocol.memory import keep_freed, peak_memory_mb
from bench.protocol.other_tasks import INITIAL, other_tasks
from bench.protocol.point_conditions import point_conditions, point_fits
from bench.protocol.progress import TestProgress, spelled
from bench.protocol.provenance import now, provenance
from bench.protocol.scores import Scores
from bench.protocol.sources import open_source
from bench.results import metrics
from bench.results.bins import BINS
from bench.results.condition import STANDARD, Condition
from bench.results.digests import file_digest
from bench.results.frames import write_calibration, write_episodes
from bench.results.run_folder import write_test
from bench.results.schema import CALIBRATION_COLUMNS, EPISODE_COLUMNS, MODEL, TEST_FILES
from tasks.episodes import Episodes

if TYPE_CHECKING:
    from bench.protocol.source_type import Source
    from bench.study.jobs import TestingJob, TrainingJob
    from bench.study.run import Run


def test(
    run: "Run",
    training: "TrainingJob",
    job: "TestingJob",
    made_from: dict[str, Any],
    queries: dict[str, int],
    diverged: bool = False,
) -> None:
    """Score the run's model under every condition; write episodes.parquet, calibration.parquet and test.json.

    made_from: digests of settings, code and inputs; queries: per class, by task; both for test.json. diverged: the run has no model, and its files are empty.
    """
    started, clock = now(), time.perf_counter()
    device = machine.set_up(training.device, training.threads)
    keep_freed(device)
    source = open_source(run.dataset, job.split, device)
    frozen = source.frozen("test", job.episodes, run.way, run.shot, job.query, job.study_seed)
    learner = build_learner(training, source).to(device).eval()
    _say_where_no_mode_fits(run, learner, job)
    progress, broken = TestProgress(run.name), None
    rows, bins, fits, digests = [], [], {}, {f"{run.way}way_{run.shot}shot": frozen.digest}
    costs = dict.fromkeys(("adapt_ms_per_task", "adapt_gflops_per_task"))
    if not diverged:
        for condition, digest, scores in measured(learner, run, source, frozen, job):
            broken = _not_finite(condition, scores, run.kind)
            if broken:
                rows, bins = [], []
                break
            progress.show(condition)
            rows.append(_frame(condition, scores))
            bins += [_bins(condition, scores["bins"])] if "bins" in scores else []
            digests.setdefault(_task(condition), digest)
        if not broken:
            fits = point_fits(source, learner, frozen, job) if run.kind == "regression" else {}
            costs = adaptation_costs(learner, source, frozen, job)
    progress.end(len(rows), broken)
    write_episodes(run.folder / "episodes.parquet", _joined(rows, EPISODE_COLUMNS), run.kind)
    write_calibration(run.folder / "calibration.parquet", _joined(bins, CALIBRATION_COLUMNS), run.kind)
    write_test(
        run.folder / "test.json",
        {
            "seconds": time.perf_counter() - clock,
            **costs,
            "episodes": digests,
            "conditions": len(rows),
            "queries": queries,
            "diverged": broken,
            "fits": fits,
            "peak_memory_mb": peak_memory_mb(device),
            "provenance": provenance(device, started),
            "made_from": made_from,
            "files": {name: file_digest(run.folder / name) for name in TEST_FILES},
        },
    )


def _say_where_no_mode_fits(run: "Run", learner: MetaLearner, job: "TestingJob") -> None:
    if not set(job.modes) & set(learner.modes):
        print(
            f"{run.name} has none of the study's modes ({', '.join(job.modes)}): "
            f"tested in its own, {', '.join(chosen_modes(learner, job))}",
            flush=True,
        )


def measured(
    learner: MetaLearner, run: "Run", source: "Source", frozen: Any, job: "TestingJob"
) -> Iterator[Result]:
    """Yield the result of everything that a study asks for.

    First what concerns the initial weights; then, with the trained ones, the tasks trained for, clean and shifted, and
    other tasks.
    """
    images = run.kind == "classification"
    if images:
        yield from other_tasks(learner, source, frozen, job, INITIAL)
    learner.load_state_dict(safetensors.torch.load_file(run.folder / MODEL))
    if not images:
        yield from point_conditions(source, learner, frozen, job)
        return
    yield from image_conditions(source, learner, frozen, job)
    yield from other_tasks(learner, source, frozen, job)


def _not_finite(condition: Condition, scores: Scores, kind: str) -> str | None:
    """Say where a learner's predictions are no numbers: its run counts as diverged."""
    for metric in metrics.measured(kind):
        bad = np.flatnonzero(~np.isfinite(scores[metric]))
        if len(bad):
            value = scores[metric][bad[0]]
            return f"{metric} became {value} in episode {bad[0]} of the test ({spelled(condition)})"
    return None


def _frame(condition: Condition, scores: Scores) -> pd.DataFrame:
    values = {metric: scores.get(metric, np.nan) for metric in metrics.stored()}
    episodes = len(next(iter(scores.values())))
    return pd.DataFrame({**condition.row, "episode": np.arange(episodes), **values})


def _bins(condition: Condition, bins: np.ndarray) -> pd.DataFrame:
    """Sums over the episodes: `[T, 3, BINS]` -> one row per bin."""
    n, confidence, correct = bins.sum(0, dtype=np.float64)
    sums = {"bin": np.arange(BINS), "n": n, "confidence": confidence, "correct": correct}
    return pd.DataFrame({**condition.row, **sums})


def _joined(frames: list[pd.DataFrame], columns: dict[str, str]) -> pd.DataFrame:
    return pd.concat(frames) if frames else pd.DataFrame(columns=list(columns))


def _task(condition: Condition) -> str:
    """Name of the frozen episodes of a condition; those of fewer episodes are the first of the same."""
    task = f"{condition.test_way}way_{condition.test_shot}shot"
    return task if condition.test_tasks == STANDARD else f"{condition.test_tasks}_{task}"


def adaptation_costs(
    learner: MetaLearner, source: "Source", frozen: Any, job: "TestingJob"
) -> dict[str, float]:
    """Return milliseconds and GFLOP to adapt to one task and answer its queries, in the reported mode."""
    transductive = reported_mode(learner, job) == "transductive" and learner.spec.kind == "classification"
    first = source.batch("test", frozen, 0, 1)
    with learner.testing(transductive=transductive):
        return {
            "adapt_ms_per_task": adaptation_ms(learner, source, frozen),
            "adapt_gflops_per_task": gflops(lambda: _adapt(learner, first)),
        }


def adaptation_ms(learner: MetaLearner, source: "Source", frozen: Any, tasks: int = 20) -> float:
    """Return the median of the milliseconds per task, one task at a time, after a warm-up. On a CPU, of one thread's own time."""
    clock, times = clock_of(source.device), []
    for t in range(min(tasks, len(frozen))):
        episode = source.batch("test", frozen, t, t + 1)
        start = clock()
        _adapt(learner, episode)
        times.append(1e3 * (clock() - start))
    return float(np.median(times[2:] or times))


@torch.no_grad()
def _adapt(learner: MetaLearner, episode: Episodes) -> torch.Tensor:
    """Adapt to one task and answer its queries; the answers are on the CPU when it returns."""
    phi = learner.adapt_to(episode)
    return learner.predict(phi, episode.query_x).cpu()
