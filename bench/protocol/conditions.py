"""The conditions of a meta-test on the tasks that were trained for: clean, and under every shift of the study."""

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


def image_conditions(
    source: ImageSource, learner: MetaLearner, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score on clean tasks in each mode, then on shifted tasks in the reported mode."""
    clean, embed = source.part("test"), Embedder(learner)
    for mode in chosen_modes(learner, job):
        scores = evaluate_images(learner, frozen, clean, clean, mode, embed)
        yield Condition(frozen.way, frozen.shot, mode), frozen.digest, scores
    yield from _shifted(source, learner, frozen, job, embed)


def _shifted(
    source: ImageSource, learner: MetaLearner, frozen: FrozenEpisodes, job: "TestingJob", embed: Embedder
) -> Iterator[Result]:
    """Each shifted image is made once; scopes share the shifted queries, shifts share the clean support."""
    clean, kind, mode = source.part("test"), source.data.meta["imagery"], reported_mode(learner, job)
    fewer = frozen.head(job.shifts.episodes)
    for shift, severity, value in _strengths(job.shifts, kind):
        moved = shifted_split(clean, fewer, shift, value)
        for scope in job.shifts.scopes:
            support = moved if scope == "task" else clean
            scores = evaluate_images(learner, fewer, support, moved, mode, embed)
            yield (
                Condition(frozen.way, frozen.shot, mode, shift, severity, value, scope),
                fewer.digest,
                scores,
            )


def _strengths(asked: "Shifts", kind: str) -> Iterator[tuple[str, int, float]]:
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
