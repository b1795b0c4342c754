"""Tasks of other shots than those of meta-training, with the same number of classes."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from algos.base import MetaLearner
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "array",
    "items": {"type": "integer", "minimum": 1},
    "uniqueItems": True,
    "default": [],
    "description": "Other shots at test",
}
TITLES = {}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score with each other number of support examples per class."""
    mode, count = reported_mode(learner, job), job.experiments.episodes
    for shot in job.experiments.shots:
        if shot != frozen.shot:
            episodes = source.frozen("test", count, frozen.way, shot, job.query, job.study_seed)
            scores = source.score(learner, "test", episodes, mode)
            yield Condition(frozen.way, shot, mode), episodes.digest, scores
