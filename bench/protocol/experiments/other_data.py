"""Tasks of the same way and shot on other data sets than that of meta-training."""

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
    "items": {"type": "string"},
    "uniqueItems": True,
    "default": [],
    "description": "Data sets to test on besides that of meta-training",
}
TITLES = {}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score on each other data set whose images have the shape that the learner takes."""
    mode, way, shot = reported_mode(learner, job), frozen.way, frozen.shot
    for name in job.experiments.other_data:
        other = ImageSource(name, None, source.device)
        if name != source.name and other.spec(way, shot).input_shape == learner.spec.input_shape:
            episodes = other.frozen("test", job.experiments.episodes, way, shot, job.query, job.study_seed)
            scores = other.score(learner, "test", episodes, mode)
            yield Condition(way, shot, mode, test_tasks=name), episodes.digest, scores
