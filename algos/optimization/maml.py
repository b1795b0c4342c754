"""Model-Agnostic Meta-Learning.

Learn an initialisation from which a few gradient steps on the support set give a low loss on the queries, by
differentiating through those steps.

Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017 (Algorithm 2).

Deviations from the paper and its released code:
1. The inner loss is the mean cross-entropy over the support set; the released code's sum over classes is
   `inner_reduction: sum` (N times larger, so its step of 0.4 is 2.0 in ours at 5-way).
2. Batch norm has a learned scale besides the shift. Neither is adapted in the inner loop, as in the released code.
3. Outside the presets, 5 queries per class in training (the code uses as many as shots on Omniglot, 15 on miniImageNet).
4. Inductive mode, which the paper lacks: queries are normalised by the statistics of the adapted support pass.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from algos.base import MetaLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.layers import Linear, Statistics

NOT_ADAPTED = ("gamma", "beta")

Weights = dict[str, Tensor]


class Network(nn.Module):
    """Backbone and linear head: `[B, n, *x]` -> `[B, n, outputs]`."""

    def __init__(self, backbone: nn.Module, outputs: int):
        super().__init__()
        self.backbone, self.head = backbone, Linear(backbone.features, outputs)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        return self.head(self.backbone(x, statistics))


class MAML(MetaLearner):
    title = "MAML"
    family = "optimization-based"
    citation = "Finn et al. 2017"
    tasks = ("classification", "regression")
    paper_mode = "transductive"
    first_order = False
    any_way = False
    presets = {
        "omniglot": dict(backbone="conv4_stride", steps=60_000, schedule="constant", clip_norm=0.0),
        "omniglot 1shot": dict(train_query=1),
        "omniglot 5shot": dict(train_query=5),
        "omniglot 5way": dict(meta_batch=32, inner_rate=0.4, inner_steps=1, test_steps=3),
        "omniglot 20way": dict(meta_batch=16, inner_rate=0.1, inner_steps=5, test_steps=5),
        "miniimagenet": dict(
            hidden=32, inner_rate=0.01, inner_steps=5, test_steps=10, train_query=15, steps=60_000, schedule="constant"
        ),
        "miniimagenet 1shot": dict(meta_batch=4),
        "miniimagenet 5shot": dict(meta_batch=2),
        "sinusoid": dict(
            backbone="mlp", hidden=40, inner_rate=0.01, inner_steps=1, test_steps=10, meta_batch=25, train_shot=10,
            train_query=10, steps=70_000, schedule="constant", clip_norm=0.0,
        ),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "network that is adapted", BACKBONES)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        inner_rate: float = hyper(0.4, "step size of the inner loop")
        inner_steps: int = hyper(1, "gradient steps in training")
        test_steps: int = hyper(3, "gradient steps at test")
        inner_reduction: str = hyper(
            "mean", "inner cross-entropy over the support, per shot", ("mean", "sum")
        )

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.test_steps = params.test_steps
        self.net = Network(build_backbone(params.backbone, params.hidden, spec), spec.way)

    @property
    def steps(self) -> int:
        return self.params.inner_steps if self.training else self.test_steps

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> tuple[Weights, Tensor]:
        """Weights after gradient descent on the support loss (each with a leading B), and the support inputs."""
        if way != self.spec.way:
            raise ValueError(
                f"{self.title} has a head for {self.spec.way} classes and cannot do {way}-way tasks"
            )
        weights = {
            name: w.unsqueeze(0).expand(len(support_x), *w.shape)
            for name, w in self.net.named_parameters()
            if not name.endswith(NOT_ADAPTED)
        }
        for _ in range(self.steps):
            weights = self._step(weights, support_x, support_y)
        return weights, support_x

    def _step(self, weights: Weights, x: Tensor, y: Tensor) -> Weights:
        """phi <- phi - rate * gradient of the support loss (eq. 1), for all tasks at once."""
        with torch.enable_grad():
            if not self.training:
                weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
            loss = self._inner_loss(functional_call(self.net, weights, (x, Statistics.batch())), y)
            second_order = self.training and not self.first_order
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=second_order)
        return {
            name: w - self.params.inner_rate * g
            for (name, w), g in zip(weights.items(), gradients, strict=True)
        }

    def _inner_loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum over tasks (they share no weights, so none scales another) of each task's support loss."""
        if self.spec.kind == "regression":
            return F.mse_loss(prediction, target, reduction="sum") / target[0].numel()
        total = F.cross_entropy(prediction.flatten(0, 1), target.flatten(), reduction="sum")
        examples = target.shape[1]
        return total / (examples if self.params.inner_reduction == "mean" else examples / self.spec.way)

    def predict(self, phi: tuple[Weights, Tensor], query_x: Tensor) -> Tensor:
        weights, support_x = phi
        statistics = Statistics.batch()
        if not (self.training or self.transductive):
            functional_call(self.net, weights, (support_x, statistics))
            statistics = Statistics.of(statistics)
        return functional_call(self.net, weights, (query_x, statistics))
