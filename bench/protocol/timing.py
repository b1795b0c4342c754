"""What a run takes on this machine, measured on a few of its updates and episodes.

Each measurement runs in a process of its own, so that its peak memory is that of the job, and a job that fails or runs out of memory
costs only its own measurement.
"""

import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from algos.nets.layers import train_in
from bench.protocol import machine
from bench.protocol.clock import Clock, clock_of
from bench.protocol.learner import build_learner
from bench.protocol.memory import keep_freed, peak_memory_mb
from bench.protocol.meta_training import MetaTraining, weights_of
from bench.protocol.provenance import now, provenance
from bench.protocol.record import gflops_per_task, write_model
from bench.protocol.sources import open_source
from bench.protocol.test import MODEL, adaptation_costs, measured
from bench.results.condition import Condition
from bench.results.estimate import MetaTestTime, TrainingTime
from bench.results.setting import Setting

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob, TrainingJob
    from bench.study.run import Run

COST_TASKS = 20
"""Tasks that `adaptation_costs` adapts to one at a time."""


def in_own_process(measure: Callable[..., Any], *arguments: Any) -> Any:
    """Return measure(*arguments), run in a forked process. RuntimeError says what went wrong there."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_send, args=(sender, measure, arguments))
    process.start()
    sender.close()
    try:
        answer, fault = receiver.recv()
    except EOFError:
        answer, fault = None, "its process was killed, perhaps for want of memory"
    process.join()
    if fault:
        raise RuntimeError(fault)
    return answer


def _send(sender: Any, measure: Callable[..., Any], arguments: tuple) -> None:
    """Send the answer and None, or None and what went wrong: any fault of a learner is an answer, too."""
    try:
        sender.send((measure(*arguments), None))
    except Exception as error:
        sender.send((None, f"{type(error).__name__}: {error}"))


def start_seconds() -> float:
    """CPU seconds until Python has imported what a training needs, PyTorch above all, which the verb imports last."""
    code = "from bench import compiler; compiler.postpone(); import bench.verbs.train, bench.protocol.record"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def time_training(job: "TrainingJob", imports: float, budget: float) -> TrainingTime:
    """Time a few updates and validation episodes. imports: seconds of `start_seconds`; budget: seconds for each of the two."""
    device = machine.set_up(job.device, job.threads, tf32=True)
    keep_freed(device)
    clock = clock_of(device)
    began = clock()
    source = open_source(job.dataset, job.split, device)
    learner = build_learner(job, source).to(device)
    train_in(learner, getattr(torch, job.precision))
    weights = weights_of(learner)
    size = sum(tensor.nbytes for tensor in weights.values())
    if job.pretraining or not learner.trainable:
        return TrainingTime(imports + clock() - began, 0.0, 0, 0.0, 0.0, peak_memory_mb(device), size)
    training = MetaTraining(job, "timing", Path(os.devnull), source, learner, "")
    started = imports + clock() - began
    learner.train()
    update = _update_seconds(training, clock, budget)
    validation = _validation_seconds(training, clock, budget)
    finish = clock()
    gflops_per_task(training)
    finish = clock() - finish
    memory = peak_memory_mb(device)
    return TrainingTime(started, update, learner.params.steps, validation, finish, memory, size)


def _update_seconds(training: MetaTraining, clock: Clock, budget: float) -> float:
    """Mean of as many updates as fit, in the middle of the training: the schedules of its start have ended there."""
    training.step = max(1, training.params.steps // 2)
    began = clock()
    training.update().item()
    first = clock() - began
    count = int(min(max(1, budget / max(first, 1e-6)), 1000))
    began = clock()
    for _ in range(count):
        loss = training.update()
    loss.item()
    return (clock() - began) / count


def _validation_seconds(training: MetaTraining, clock: Clock, budget: float) -> float:
    def score(episodes: int) -> dict[str, float]:
        began = clock()
        for part, frozen in (("val", training.validation), ("train", training.control)):
            training._scores(part, frozen.head(min(episodes, len(frozen))))
        return {"": clock() - began}

    return sum(extrapolated(score, {"": len(training.validation)}, budget).values())


def extrapolated(
    measure: Callable[[int], dict[str, float]], full: dict[str, int], budget: float
) -> dict[str, float]:
    """Return the seconds of each group of `full` at its number of episodes.

    measure(n) gives the seconds of each group at n episodes, or at all of the group's if these are fewer. n grows as long as the
    next measurement will fit into the budget in seconds; the last two tell the seconds of one more episode. The first, of one
    episode, warms up. Where no more than two fit, it is repeated: some learners take hardly longer for many than for one.
    """
    most = max(full.values())
    before, episodes = (0, dict.fromkeys(full, 0.0)), min(2, most)
    measure(1)
    now = measure(episodes)

    def at(count: int, group: str) -> float:
        return _line((before[0], before[1][group]), (episodes, now[group]), min(count, full[group]))

    while episodes < most and sum(at(4 * episodes, group) for group in full) < budget:
        before, episodes = (episodes, now), min(4 * episodes, most)
        now = measure(episodes)
    if before[0] == 0 and episodes < most:
        before = (1, measure(1))
    return {group: at(most, group) for group in full}


def _line(before: tuple[int, float], now: tuple[int, float], full: int) -> float:
    """Seconds at `full` episodes by the line through those of two smaller numbers of episodes."""
    (fewer, less), (episodes, seconds) = before, now
    if full <= episodes:
        return seconds
    return seconds + max(0.0, seconds - less) / (episodes - fewer) * (full - episodes)


def time_test(
    run: "Run", training: "TrainingJob", job: "TestingJob", imports: float, budget: float
) -> MetaTestTime:
    """Time every condition on a few episodes, with untrained weights. budget: seconds after which no more episodes are tried."""
    device = machine.set_up(training.device, training.threads)
    keep_freed(device)
    clock = clock_of(device)
    began = clock()
    source = open_source(run.dataset, job.split, device)
    learner = build_learner(training, source).to(device).eval()
    with _saved(run, learner):
        started = imports + clock() - began
        conditions: list[str] = []

        def score(episodes: int) -> dict[str, float]:
            small, frozen = _smaller(source, run, job, episodes)
            results = measured(learner, run, source, frozen, small)
            return _group_seconds(results, Setting(run.dataset, run.way, run.shot), clock, conditions)

        full = {"clean": job.episodes, "shifted": job.shifts.episodes, "other": job.experiments.episodes}
        scoring = sum(extrapolated(score, full, budget).values())
        scoring += _costs_seconds(learner, source, run, job, clock, budget)
    rows = sum(full[group] for group in conditions)
    return MetaTestTime(started, scoring, peak_memory_mb(device), rows)


def _smaller(source: Any, run: "Run", job: "TestingJob", episodes: int) -> tuple["TestingJob", Any]:
    """The test with at most so many episodes of each kind, and the episodes of its setting."""

    def fewer(part: Any) -> Any:
        return part.model_copy(update={"episodes": min(part.episodes, episodes)})

    small = replace(
        job,
        episodes=min(job.episodes, episodes),
        shifts=fewer(job.shifts),
        experiments=fewer(job.experiments),
    )
    frozen = source.frozen("test", small.episodes, run.way, run.shot, job.query, job.study_seed)
    return small, frozen


def _group_seconds(
    results: Iterator[Any], setting: Setting, clock: Clock, conditions: list[str]
) -> dict[str, float]:
    """Seconds of the conditions of each group. conditions: filled with the group of each condition."""
    seconds = dict.fromkeys(("clean", "shifted", "other"), 0.0)
    conditions.clear()
    began = clock()
    for condition, _, _ in results:
        group = _group(condition, setting)
        seconds[group] += clock() - began
        conditions.append(group)
        began = clock()
    return seconds


def _group(condition: Condition, setting: Setting) -> str:
    """Which number of episodes of the study a condition has."""
    if not condition.clean:
        return "shifted"
    return "clean" if condition.as_trained(setting) else "other"


def _costs_seconds(
    learner: Any, source: Any, run: "Run", job: "TestingJob", clock: Clock, budget: float
) -> float:
    """Seconds of measuring the cost of an adaptation, which every test does."""

    def one_by_one(tasks: int) -> dict[str, float]:
        small, frozen = _smaller(source, run, job, tasks)
        began = clock()
        adaptation_costs(learner, source, frozen, small)
        return {"": clock() - began}

    return sum(extrapolated(one_by_one, {"": min(COST_TASKS, job.episodes)}, budget / 4).values())


@contextmanager
def _saved(run: "Run", learner: Any) -> Iterator[None]:
    """Within, the run's folder is a temporary one that holds the learner's weights."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["RESULTS_ROOT"] = folder
        write_model(run.folder / MODEL, weights_of(learner))
        yield


def machine_name(device: str) -> str:
    """Name of the processor or GPU on which a study's jobs run."""
    facts = provenance(machine.choose(device), now())
    return facts["gpu"] or facts["cpu"]
