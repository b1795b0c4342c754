"""The control: the same network before meta-training, on the tasks that it will be trained for.

Random features are not at chance.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from algos.base import EmbeddingLearner, MetaLearner
from algos.nets.layers import ConvNorm
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "boolean",
    "default": False,
    "description": "The control: each learner as it was before meta-training",
}
TITLES = {"untrained": "Before meta-training"}
WEIGHTS = "initial"

STATISTICS_UPDATES, STATISTICS_TASKS = 40, 4
"""Passes, and tasks per pass, that fill running averages: at a momentum of 0.1, 1.5 % of the first values is left."""


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score learners that are meta-trained or pretrained.

    Where predictions use running averages of batch norm, these are those of training images, as after meta-training.
    """
    if not (learner.trainable or learner.pretraining):
        return
    mode, fewer = reported_mode(learner, job), frozen.head(job.experiments.episodes)
    if isinstance(learner, EmbeddingLearner) and any(
        isinstance(part, ConvNorm) for part in learner.modules()
    ):
        _fill_running_statistics(learner, source, frozen)
    condition = Condition(frozen.way, frozen.shot, mode, test_tasks="untrained")
    yield condition, fewer.digest, source.score(learner, "test", fewer, mode)


@torch.no_grad()
def _fill_running_statistics(learner: EmbeddingLearner, source: ImageSource, frozen: FrozenEpisodes) -> None:
    sampler = source.sampler("untrained", frozen.way, frozen.shot)
    learner.train()
    for _ in range(STATISTICS_UPDATES):
        learner.outer_loss(sampler.sample(STATISTICS_TASKS, frozen.way, frozen.shot, 1))
    learner.eval()
