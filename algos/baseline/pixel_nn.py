"""Nearest neighbour on raw pixels: the floor that every trained learner must clear.

A query gets the label of the nearest support image. There are no parameters and no training.

Deviations: none; this is a baseline of the benchmark. The distance is L2, as in the "Pixels" row of Vinyals et al.
2016.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import EmbeddingLearner, HyperParameters, TaskSpec, hyper
from algos.nets.prototypes import class_means


class PixelNN(EmbeddingLearner):
    title = "Pixel nearest neighbour"
    family = "baseline"
    citation = "Vinyals et al. 2016"
    yardstick = True
    trainable = False
    modes = ("inductive",)

    @dataclass(frozen=True)
    class Params(HyperParameters):
        metric: str = hyper("l2", "distance between images", ("l2", "cosine"))
        rule: str = hyper("nearest", "nearest support image, or nearest class mean", ("nearest", "mean"))

    def __init__(self, spec: TaskSpec, params: HyperParameters):
        super().__init__(spec, params)
        self.encoder = lambda x, statistics: x.flatten(2)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> tuple[Tensor, Tensor]:
        """Return the support features `[B, S, D]` (or class means `[B, way, D]`) and their one-hot classes."""
        one_hot = F.one_hot(support_y, way).to(features.dtype)
        if self.params.rule == "nearest":
            return features, one_hot
        means = class_means(features, support_y, way)
        return means, torch.eye(way, dtype=features.dtype, device=features.device).expand(
            len(features), way, way
        )

    def score(self, phi: tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        exemplars, one_hot = phi
        if self.params.metric == "cosine":
            similarity = F.normalize(features, dim=-1) @ F.normalize(exemplars, dim=-1).transpose(1, 2)
        else:
            similarity = -torch.cdist(features, exemplars)
        masked = similarity.unsqueeze(-1).masked_fill(one_hot.unsqueeze(1) == 0, -torch.inf)  # [B, Q, S, way]
        return masked.amax(2)
