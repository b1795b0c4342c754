"""The conditions of a meta-test on regression tasks: in the range of meta-training, out of it, by numbers of steps."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from algos.base import MetaLearner
from bench.protocol.conditions import Result
from bench.protocol.function_source import FunctionSource, points
from bench.results.condition import Condition
from tasks.functions import FunctionEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

GRID = 81
"""Points of a drawn curve."""


def point_conditions(
    source: FunctionSource, learner: MetaLearner, frozen: FunctionEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score in range, with each parameter out of range (severity 1: the published range), by other numbers of steps."""
    own = Condition(1, frozen.shot)
    yield own, frozen.digest, source.score(learner, "test", frozen, "inductive")
    for shift, bounds, moved in _out_of_range(source, frozen, job):
        condition = replace(own, shift=shift, severity=1, value=bounds[1], scope="task")
        yield condition, moved.digest, source.score(learner, "test", moved, "inductive")
    fewer = frozen.head(job.experiments.episodes)
    for steps in job.experiments.steps if learner.test_steps is not None else ():
        with learner.testing(steps=steps):
            scores = source.score(learner, "test", fewer, "inductive")
        yield replace(own, test_steps=steps), fewer.digest, scores


def _out_of_range(
    source: FunctionSource, frozen: FunctionEpisodes, job: "TestingJob"
) -> Iterator[tuple[str, tuple[float, float], FunctionEpisodes]]:
    """Shifts of generated tasks that the study asks for: name, range, and the episodes drawn from it."""
    sizes = (job.shifts.episodes, 1, frozen.shot, frozen.x.shape[1] - frozen.shot)
    for shift, severities in job.shifts.severities.items():
        if shift in source.functions.OUT_OF_RANGE and severities:
            bounds = source.functions.OUT_OF_RANGE[shift]
            yield shift, bounds, source.frozen("test", *sizes, job.study_seed, **{shift: bounds})


def point_fits(
    source: FunctionSource, learner: MetaLearner, frozen: FunctionEpisodes, job: "TestingJob"
) -> dict[str, dict]:
    """Return the first episode in range (`none`) and out of it, by shift, with the learner's curve, for drawings."""
    episodes = {"none": frozen} | {shift: moved for shift, _, moved in _out_of_range(source, frozen, job)}
    return {shift: fitted_curve(learner, chosen, source.device) for shift, chosen in episodes.items()}


def fitted_curve(learner: MetaLearner, episodes: FunctionEpisodes, device: torch.device) -> dict[str, list]:
    """Return the first episode for a drawing: support points, and on a grid truth, predicted mean and deviation."""
    part = episodes.batch(0, 1, device)
    x = torch.linspace(*episodes.functions.x, GRID)
    with learner.testing(transductive=False):
        grid = x.view(1, -1, 1).to(device)
        mean, variance = points(learner, replace(part, query_x=grid))
    deviation = None if variance is None else _listed(variance.expand_as(mean).sqrt())
    support = [_listed(values) for values in (part.support_x, part.support_y)]
    return {
        "support": support,
        "x": _listed(x),
        "truth": _listed(curve(episodes, 0, x.numpy())),
        "mean": _listed(mean),
        "deviation": deviation,
    }


def curve(episodes: FunctionEpisodes, episode: int, x: np.ndarray) -> np.ndarray:
    """Return the true function of an episode at x `[n]`, without noise: `[n]`."""
    return episodes.functions.value(episodes.truth[episode, :, None, None], x[None])[0]


def _listed(values: Tensor | np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values.reshape(-1)]
