"""What every source of tasks offers; bench/protocol/sources.py has the sources."""

from typing import Any, Protocol

import torch

from algos.base import MetaLearner, TaskSpec
from bench.protocol.scores import Scores
from tasks.episodes import Episodes


class Source(Protocol):
    """What a training and a test need to know of where tasks come from.

    metric: main metric of the tasks, as in bench/results/metrics.py; sign: 1 where more of it is better, else -1.
    digest: of the data. training_classes: of the meta-training part, rotated copies included; 0 for regression.
    """

    name: str
    device: torch.device
    split_name: str
    digest: str
    metric: str
    sign: int
    training_classes: int

    def spec(self, way: int, shot: int) -> TaskSpec:
        """Return what a learner may know about its tasks."""

    def sampler(self, *axes: str | int) -> Any:
        """Return a sampler of meta-training tasks, whose stream the axes name."""

    def frozen(self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int) -> Any:
        """Return episodes of a part (`train`, `val`, `test`), the same for every algorithm and seed of a study."""

    def batch(self, part: str, episodes: Any, start: int, stop: int) -> Episodes:
        """Return some of the frozen episodes as tensors."""

    def score(self, learner: MetaLearner, part: str, episodes: Any, mode: str) -> Scores:
        """Return the scores of a learner on frozen episodes of a part."""
