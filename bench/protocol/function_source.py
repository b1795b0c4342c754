"""Generated regression tasks as a source, and the scores of a learner on them."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from algos.base import MetaLearner, TaskSpec
from bench.protocol.evaluate import joined
from bench.protocol.scores import Scores, _regression_scores
from tasks.episodes import Episodes
from tasks.functions import FunctionEpisodes, FunctionSampler
from tasks.generated import FUNCTIONS
from tasks.seeds import torch_generator


class FunctionSource:
    """Generated regression tasks; `shot` points per task. Its shifts are ranges beyond those of meta-training."""

    digest, metric, sign, training_classes = "generated", "mse", -1, 0

    def __init__(self, name: str, split: str | None, device: torch.device):
        kind = FUNCTIONS[name]
        if split and split not in kind.SPLITS:
            known = ", or ".join(["leave the key out", *kind.SPLITS])
            raise ValueError(f"data set {name} is generated and has no split {split!r}: {known}")
        self.name, self.device = name, device
        self.split_name = split or "generated"
        self.functions = kind(**kind.SPLITS[split]) if split else kind()

    def spec(self, way: int, shot: int) -> TaskSpec:
        parameters = len(self.functions.PARAMETERS)
        return TaskSpec(self.name, "regression", (1,), way, shot, parameters=parameters)

    def sampler(self, *axes: str | int) -> FunctionSampler:
        return FunctionSampler(torch_generator(self.device, self.name, *axes), self.functions)

    def frozen(
        self, part: str, tasks: int, way: int, shot: int, query: int, study_seed: int, **ranges: Any
    ) -> FunctionEpisodes:
        """Return episodes of a part. ranges: of parameters, in place of those of meta-training."""
        return FunctionEpisodes.draw(replace(self.functions, **ranges), tasks, shot, query, part, study_seed)

    def batch(self, part: str, episodes: FunctionEpisodes, start: int, stop: int) -> Episodes:
        return episodes.batch(start, stop, self.device)

    def score(self, learner: MetaLearner, part: str, episodes: FunctionEpisodes, mode: str) -> Scores:
        return evaluate_points(learner, episodes, self.device)


def evaluate_points(learner: MetaLearner, episodes: FunctionEpisodes, device: torch.device) -> Scores:
    """Mean squared error of each regression episode; nll and coverage for learners that predict a distribution."""
    largest = episodes.functions.LARGEST_MSE
    with learner.testing(transductive=False):
        parts = (episodes.batch(start, start + 500, device) for start in range(0, len(episodes), 500))
        return joined(_regression_scores(*points(learner, part), part.query_y, largest) for part in parts)


def points(learner: MetaLearner, part: Episodes) -> tuple[Tensor, Tensor | None]:
    """Return the predicted mean and, where the learner has one, variance of each query."""
    phi = learner.adapt_to(part)
    predicted = learner.distribution(phi, part.query_x)
    return predicted if predicted is not None else (learner.predict(phi, part.query_x), None)
