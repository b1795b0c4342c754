"""Other numbers of gradient steps at test, of learners with an inner loop."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from algos.base import MetaLearner
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.embedder import Embedder
from bench.protocol.evaluate import evaluate_images
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0},
    "uniqueItems": True,
    "default": [],
    "description": "Gradient steps at test, of algorithms with an inner loop and of baselines that fit a classifier or a network",
}
TITLES = {}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score the first episodes of the setting after each number of steps."""
    mode, split = reported_mode(learner, job), source.part("test")
    fewer, embed = frozen.head(job.experiments.episodes), Embedder(learner)
    for steps in job.experiments.steps if learner.test_steps is not None else ():
        with learner.testing(steps=steps):
            scores = evaluate_images(learner, fewer, split, split, mode, embed)
        yield Condition(frozen.way, frozen.shot, mode, test_steps=steps), fewer.digest, scores
