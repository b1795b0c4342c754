"""The conditions of a meta-test on the tasks that were trained for: clean, and under every shift of the study."""

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch

from algos.base import MetaLearner
from bench.protocol.embedder import Embedder
from bench.protocol.evaluate import evaluate_images
from bench.protocol.scores import Scores
from bench.protocol.sources import ImageSource
from bench.results import condition
from bench.results.condition import EXACT, Condition
from tasks import dataset, shifts
from tasks.episodes import FrozenEpisodes
from tasks.shift_table import SHIFTS, strength

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob
    from bench.study.settings import Shifts

Result = tuple[Condition, str, Scores]
"""A condition, the digest of its frozen episodes, and the scores."""


def chosen_modes(learner: MetaLearner, job: "TestingJob") -> list[str]:
    """Return the study's modes that a learner has; a learner that has none of them is tested in its own one."""
    return [mode for mode in job.modes if mode in learner.modes] or list(learner.modes[:1])


def reported_mode(learner: MetaLearner, job: "TestingJob") -> str:
    """Return the mode that stands for a learner: its paper's where that is tested, else the first tested one."""
    return condition.reported_mode(learner.paper_mode, chosen_modes(learner, job))


def shift_modes(learner: MetaLearner, job: "TestingJob") -> list[str]:
    """Return the modes that a learner is tested in under shift: the reported one and the study's further ones that it has."""
    reported = reported_mode(learner, job)
    return [mode for mode in chosen_modes(learner, job) if mode == reported or mode in job.shifts.modes]


def image_conditions(
    source: ImageSource, learner: MetaLearner, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score on clean tasks in each mode, then on shifted tasks in the reported mode and in further ones."""
    clean, embed = source.part("test"), Embedder(learner)
    for mode in chosen_modes(learner, job):
        scores = evaluate_images(learner, frozen, clean, clean, mode, embed)
        yield Condition(frozen.way, frozen.shot, mode), frozen.digest, scores
    yield from _shifted(source, learner, frozen, job, embed)


def _shifted(
    source: ImageSource, learner: MetaLearner, frozen: FrozenEpisodes, job: "TestingJob", embed: Embedder
) -> Iterator[Result]:
    """Each shifted image is made once; scopes and modes share the shifted queries, shifts share the clean support."""
    clean, kind = source.part("test"), source.data.meta["imagery"]
    fewer = frozen.head(job.shifts.episodes)
    for shift, severity, value in strengths(job.shifts, kind):
        moved = shifted_split(clean, fewer, shift, value)
        for mode, scope in _modes_and_scopes(learner, job, shift, severity):
            support = moved if scope == "task" else clean
            scores = evaluate_images(learner, fewer, support, moved, mode, embed)
            condition = Condition(frozen.way, frozen.shot, mode, shift, severity, value, scope)
            yield condition, fewer.digest, scores


def _modes_and_scopes(
    learner: MetaLearner, job: "TestingJob", shift: str, severity: int
) -> Iterator[tuple[str, str]]:
    """Return those to test: all, or the reported mode and first scope, and at the highest severity what differs in one."""
    own = reported_mode(learner, job), job.shifts.scopes[0]
    allowed = 2 if job.shifts.further == "every" else int(severity == highest(job.shifts, shift))
    for pair in itertools.product(shift_modes(learner, job), job.shifts.scopes):
        if sum(one != other for one, other in zip(pair, own, strict=True)) <= allowed:
            yield pair


def highest(asked: "Shifts", shift: str) -> int:
    """Return the highest severity of a shift that the study asks for; 0 where it asks for none."""
    return max(asked.severities.get(shift, ()), default=0)


def strengths(asked: "Shifts", kind: str) -> Iterator[tuple[str, int, float]]:
    """Shift, severity and strength of all that the study asks for and this kind of image has."""
    known = {name for name, shift in SHIFTS.items() if kind in shift.levels}
    for shift in [name for name in asked.severities if name in known]:
        for severity in asked.severities[shift]:
            yield shift, severity, strength(shift, severity, kind)
    for shift in [name for name in asked.strengths if name in known]:
        for value in asked.strengths[shift]:
            yield shift, EXACT, float(value)


def shifted_split(
    clean: dataset.ImageSplit, frozen: FrozenEpisodes, shift: str, value: float
) -> dataset.ImageSplit:
    """Return a copy of the split in which the images of the episodes are shifted, on the uint8 grid of all data."""
    used = torch.from_numpy(np.unique(np.concatenate([frozen.support.ravel(), frozen.query.ravel()])))
    used = used.to(clean.images.device)
    images = clean.images.clone()
    images.view(-1, *clean.input_shape)[used] = shifts.shifted(clean, used, shift, value)
    return dataset.ImageSplit(images, clean.data, clean.part, clean.base_classes, clean.rotations)
