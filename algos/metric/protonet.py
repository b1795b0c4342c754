"""Prototypical Networks.

A class is the mean of its embedded support examples; a query goes to the nearest class by squared Euclidean distance.

Snell, Swersky, Zemel: Prototypical Networks for Few-shot Learning. NeurIPS 2017.

Deviations from the paper:
1. There is no second training on meta-train + meta-val; meta-val selects the checkpoint.
2. A `scale` below 1 softens the start where there are many features (1,600 on photos: the loss starts near 100, and
   Adam's memory of those gradients slows the next thousand updates).
3. Length and checkpoint: the code stops by patience on meta-val; the presets' 20,000 episodes are ours.
4. The default schedule is a cosine over the declared updates; the paper's halving every 2,000 episodes is `halve`.
"""

from dataclasses import dataclass

from torch import Tensor

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.prototypes import class_means, squared_distances


class ProtoNet(EmbeddingLearner):
    title = "ProtoNet"
    family = "metric-based"
    citation = "Snell et al. 2017"
    capturable = True
    presets = {
        "omniglot": dict(train_way=60, train_query=5, steps=20_000, schedule="halve", halve_every=2_000),
        "miniimagenet": dict(train_way=20, train_query=15, steps=20_000, schedule="halve", halve_every=2_000),
        "miniimagenet 1shot": dict(train_way=30),
    }

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(1, "tasks per meta-update")
        backbone: str = hyper("conv4", "embedding network", BACKBONES)
        hidden: int = hyper(64, "channels of each block")
        scale: float = hyper(1.0, "factor of the squared distances in the logits; 1 in the paper")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        return class_means(features, support_y, way)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return -self.params.scale * squared_distances(features, phi)
