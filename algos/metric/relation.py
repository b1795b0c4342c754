"""Relation Network.

The comparison itself is learned: a small convolutional network reads the stacked feature maps of a class and a query
and returns a relation score, trained to be 1 for the class of the query and 0 for the others.

Sung, Yang, Zhang, Xiang, Torr, Hospedales: Learning to Compare: Relation Network for Few-Shot Learning. CVPR 2018.

Deviations from the paper and its released code:
1. Transductive mode is that of the released code: every pass is normalised by its own batch. Inductive mode, which
   paper and code lack, uses running averages from training, in the encoder and in the relation module.
2. Logits are the relation scores before the sigmoid. The loss applies the sigmoid (`mse`) or is the cross-entropy of
   the logits (`cross_entropy`).
3. The gradient of both networks together is clipped at one norm; the code clips each at 0.5.
4. Convolutions start from Xavier's rule and the linear layers from PyTorch's default (the code: N(0, 0.01), bias 1).
5. Inputs are scaled by the mean and deviation of the data set (the code uses 0.922 and 0.084 on both).
6. Checkpoints are selected on meta-validation classes; the code uses meta-test classes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import build_backbone
from algos.nets.layers import ConvNorm, Statistics


class RelationModule(nn.Module):
    """Two convolution blocks and two linear layers: pairs of maps `[B, n, 2C, h, w]` -> scores `[B, n]`."""

    def __init__(self, map_shape: tuple[int, int, int], hidden: int, width: int):
        super().__init__()
        channels, side, _ = map_shape
        padding = 0 if side >= 10 else 1  # as released: no padding for 84x84 inputs, padding for 28x28
        self.blocks = nn.ModuleList()
        for inputs in (2 * channels, hidden):
            side += 2 * padding - 2
            pool = (2, 2) if side > 1 else None
            self.blocks.append(ConvNorm(inputs, hidden, padding=padding, pool=pool))
            side = side // 2 if pool else side
        self.head = nn.Sequential(nn.Linear(hidden * side * side, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, pairs: Tensor, statistics: Statistics) -> Tensor:
        for block in self.blocks:
            pairs = block(pairs, statistics)
        return self.head(pairs.flatten(2)).squeeze(-1)


class Relation(EmbeddingLearner):
    title = "Relation Network"
    family = "metric-based"
    citation = "Sung et al. 2018"
    stated = ("omniglot", "miniimagenet")
    capturable = True
    paper_mode = "transductive"
    presets = {
        "omniglot": dict(steps=1_000_000, schedule="halve", halve_every=100_000, clip_norm=0.5),
        "omniglot 5way 1shot": dict(train_query=19),
        "omniglot 5way 5shot": dict(train_query=15),
        "omniglot 20way 1shot": dict(train_query=10),
        "omniglot 20way 5shot": dict(train_query=5),
        "miniimagenet": dict(steps=500_000, schedule="halve", halve_every=100_000, clip_norm=0.5),
        "miniimagenet 1shot": dict(train_query=15),
        "miniimagenet 5shot": dict(train_query=10),
    }

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(1, "tasks per meta-update")
        backbone: str = hyper(
            "conv4_valid", "embedding network with feature maps", ("conv4_valid", "conv4", "resnet12")
        )
        hidden: int = hyper(64, "channels of each block, of both networks")
        width: int = hyper(8, "units of the relation module's hidden layer")
        shots: str = hyper("sum", "how a class's K support maps are put together", ("sum", "mean"))
        objective: str = hyper("mse", "loss of the relation scores", ("mse", "cross_entropy"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.relation = RelationModule(self.encoder.map_shape, params.hidden, params.width)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Return the flattened feature map of each class, `[B, way, D]`."""
        one_hot = F.one_hot(support_y, way).to(features.dtype)
        if self.params.shots == "mean":
            one_hot = one_hot / one_hot.sum(1, keepdim=True)
        return one_hot.transpose(1, 2) @ features

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return self._relate(self.pairs(phi, features)).unflatten(1, (features.shape[1], phi.shape[1]))

    def pairs(self, classes: Tensor, queries: Tensor) -> Tensor:
        """Pair each query with each class, class maps first: `[B, way, D]`, `[B, Q, D]` -> `[B, Q * way, 2C, h, w]`."""
        way, count = classes.shape[1], queries.shape[1]
        classes = classes.unsqueeze(1).expand(-1, count, -1, -1)
        queries = queries.unsqueeze(2).expand(-1, -1, way, -1)
        channels, height, width = self.encoder.map_shape
        return torch.cat([classes, queries], dim=-1).flatten(1, 2).unflatten(2, (2 * channels, height, width))

    def _relate(self, pairs: Tensor) -> Tensor:
        """Scores `[B, n]`. Batch norm works as in the encoder: running, per task, or over the meta-batch in training."""
        if not (self.training or self.transductive):
            return self.relation(pairs, Statistics.running())
        statistics = Statistics.batch()
        if not self.training:
            return self.relation(pairs, statistics)
        scores = self.relation(pairs.flatten(0, 1).unsqueeze(0), statistics)[0].unflatten(0, pairs.shape[:2])
        statistics.remember()
        return scores

    def loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Mean squared error between the relation scores and 0 or 1 (eq. 2), or cross-entropy."""
        if self.params.objective == "cross_entropy":
            return super().loss(prediction, target)
        same = F.one_hot(target, prediction.shape[-1]).to(prediction.dtype)
        return F.mse_loss(prediction.sigmoid(), same)
