"""Tasks of other ways than those of meta-training, with the same number of examples per class."""

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
    "items": {"type": "integer", "minimum": 2},
    "uniqueItems": True,
    "default": [],
    "description": "Other ways at test",
}
TITLES = {}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score with each other way; learners whose head has a fixed number of classes are left out."""
    mode, count = reported_mode(learner, job), job.experiments.episodes
    for way in job.experiments.ways if learner.any_way else ():
        if way != frozen.way:
            episodes = source.frozen("test", count, way, frozen.shot, job.query, job.study_seed)
            scores = source.score(learner, "test", episodes, mode)
            yield Condition(way, frozen.shot, mode), episodes.digest, scores
