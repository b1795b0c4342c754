"""A learner's features with the nearest class mean in place of its own classifier: what the classifier adds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from algos.base import EmbeddingLearner, MetaLearner
from algos.nets.prototypes import class_means, squared_distances
from bench.protocol.conditions import Result, reported_mode
from bench.protocol.sources import ImageSource
from bench.results.condition import Condition
from tasks.episodes import FrozenEpisodes

if TYPE_CHECKING:
    from bench.study.jobs import TestingJob

SETTING = {
    "type": "boolean",
    "default": False,
    "description": "Learned features with the nearest class mean as classifier",
}
TITLES = {"prototypes": "Own features, nearest class mean"}


def results(
    learner: MetaLearner, source: ImageSource, frozen: FrozenEpisodes, job: "TestingJob"
) -> Iterator[Result]:
    """Score learners whose encoder is not adapted and gives vectors, not maps."""
    if not (isinstance(learner, EmbeddingLearner) and hasattr(learner.encoder, "features")):
        return
    mode, fewer = reported_mode(learner, job), frozen.head(job.experiments.episodes)
    condition = Condition(frozen.way, frozen.shot, mode, test_tasks="prototypes")
    yield condition, fewer.digest, source.score(NearestPrototype(learner), "test", fewer, mode)


class NearestPrototype(EmbeddingLearner):
    """A learner that classifies another one's features by the nearest class mean."""

    def __init__(self, learner: EmbeddingLearner):
        super().__init__(learner.spec, learner.params)
        self.encoder = learner.encoder
        self.eval()

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Return the class means."""
        return class_means(features, support_y, way)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        """Return negative squared distances to the class means."""
        return -squared_distances(features, phi)
