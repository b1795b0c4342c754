"""The conditions of a meta-test on the tasks that were trained for: clean, and under every shift of the study."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from algos.base import MetaLearner
from bench.protocol.embedder import Embedder
from bench.protocol.evaluate import evaluate_images, fitted_curve
from bench.protocol.scores import Scores
from bench.protocol.sources import FunctionSource, ImageSource
from bench.results.condition import Condition
from tasks import dataset, shifts
from tasks.episodes import FrozenEpisodes
from tasks.functions import FunctionEpisodes
from tasks.shift_table import SHIFTS, strength

Result = tuple[Condition, str, Scores]
"""A condition, the digest of its frozen episodes, and what was measured."""


def chosen_modes(learner: MetaLearner, spec: dict[str, Any]) -> list[str]:
    """The study's modes that a learner has; a learner that has none of them is tested in its own one."""
    return [mode for mode in spec["modes"] if mode in learner.modes] or list(learner.modes[:1])


def reported_mode(learner: MetaLearner, spec: dict[str, Any]) -> str:
    """The mode that stands for a learner: its paper's, or the first tested one where the study does not test that."""
    modes = chosen_modes(learner, spec)
    return learner.paper_mode if learner.paper_mode in modes else modes[0]


def image_conditions(
    source: ImageSource, learner: MetaLearner, frozen: FrozenEpisodes, spec: dict[str, Any]
) -> Iterator[Result]:
    """Score under every condition of a test specification: clean in each mode, then shifted in the reported one."""
    clean, embed = source.part("test"), Embedder(learner)
    for mode in chosen_modes(learner, spec):
        scores = evaluate_images(learner, frozen, clean, clean, mode, embed)
        yield Condition(frozen.way, frozen.shot, mode), frozen.digest, scores
    yield from _shifted(source, learner, frozen, spec, embed)


def _shifted(
    source: ImageSource, learner: MetaLearner, frozen: FrozenEpisodes, spec: dict[str, Any], embed: Embedder
) -> Iterator[Result]:
    """Each shifted image is made once; scopes share the shifted queries, shifts share the clean support."""
    clean, kind, mode = source.part("test"), source.data.meta["imagery"], reported_mode(learner, spec)
    fewer = frozen.head(spec["shifts"]["episodes"])
    for shift, severity, value in _strengths(spec["shifts"], kind):
        moved = shifted_split(clean, fewer, shift, value)
        for scope in spec["shifts"]["scopes"]:
            support = moved if scope == "task" else clean
            scores = evaluate_images(learner, fewer, support, moved, mode, embed)
            condition = Condition(frozen.way, frozen.shot, mode, shift, severity, value, scope)
            yield condition, fewer.digest, scores


def _strengths(spec: dict[str, Any], kind: str) -> Iterator[tuple[str, int, float]]:
    """Shift, severity and strength of what a study asks for and this kind of image has; severity 0: named exactly."""
    known = {name for name, shift in SHIFTS.items() if kind in shift.levels}
    for shift in [name for name in spec["severities"] if name in known]:
        for severity in spec["severities"][shift]:
            yield shift, severity, strength(shift, severity, kind)
    for shift in [name for name in spec["strengths"] if name in known]:
        for value in spec["strengths"][shift]:
            yield shift, 0, float(value)


def shifted_split(
    clean: dataset.ImageSplit, frozen: FrozenEpisodes, shift: str, value: float
) -> dataset.ImageSplit:
    """A copy of the split in which the images that the episodes use are shifted, on the uint8 grid of all data."""
    used = torch.from_numpy(np.unique(np.concatenate([frozen.support.ravel(), frozen.query.ravel()])))
    used = used.to(clean.images.device)
    images = clean.images.clone()
    images.view(-1, *clean.input_shape)[used] = shifts.shifted(clean, used, shift, value)
    return dataset.ImageSplit(images, clean.data, clean.part, clean.base_classes, clean.rotations)


def point_conditions(
    source: FunctionSource, learner: MetaLearner, frozen: FunctionEpisodes, spec: dict[str, Any]
) -> Iterator[Result]:
    """In range, with each parameter out of range (severity 1: the published range), by other numbers of steps."""
    own = Condition(1, frozen.shot)
    yield own, frozen.digest, source.score(learner, "test", frozen, "inductive")
    for shift, bounds, moved in _out_of_range(source, frozen, spec):
        condition = replace(own, shift=shift, severity=1, value=bounds[1], scope="task")
        yield condition, moved.digest, source.score(learner, "test", moved, "inductive")
    fewer = frozen.head(spec["experiments"]["episodes"])
    for steps in spec["experiments"]["steps"] if learner.test_steps is not None else ():
        with learner.testing(steps=steps):
            scores = source.score(learner, "test", fewer, "inductive")
        yield replace(own, test_steps=steps), fewer.digest, scores


def _out_of_range(
    source: FunctionSource, frozen: FunctionEpisodes, spec: dict[str, Any]
) -> Iterator[tuple[str, tuple[float, float], FunctionEpisodes]]:
    """The study's shifts of generated tasks: name, range, and the episodes drawn from it."""
    tasks, shot, query = spec["shifts"]["episodes"], frozen.shot, frozen.x.shape[1] - frozen.shot
    for shift, severities in spec["shifts"]["severities"].items():
        if shift in source.functions.OUT_OF_RANGE and severities:
            bounds = source.functions.OUT_OF_RANGE[shift]
            yield (
                shift,
                bounds,
                source.frozen("test", tasks, 1, shot, query, spec["study_seed"], **{shift: bounds}),
            )


def point_fits(
    source: FunctionSource, learner: MetaLearner, frozen: FunctionEpisodes, spec: dict[str, Any]
) -> dict[str, dict]:
    """The first episode in range (`none`) and out of it, by shift, with the learner's curve: what the report draws."""
    episodes = {"none": frozen} | {shift: moved for shift, _, moved in _out_of_range(source, frozen, spec)}
    return {shift: fitted_curve(learner, chosen, source.device) for shift, chosen in episodes.items()}
