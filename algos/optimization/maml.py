"""Model-Agnostic Meta-Learning.

MAML learns an initialisation from which a few gradient steps on the support set give a low loss on the queries, by
differentiating through those steps.

Finn, Abbeel, Levine: Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks. ICML 2017 (Algorithm 2).

Deviations from the paper and its released code:
1. The inner loss is the mean cross-entropy over the support set. The released code's loss, N times larger, is
   `inner_reduction: sum`: the miniImageNet preset and the studies with published budgets (paper.yaml, omniglot.yaml)
   have it. The Omniglot presets adapt with 1 / N of the published step.
2. Batch norm has a learned scale besides the shift. Neither is adapted in the inner loop, as in the released code.
3. Outside the presets, training tasks have 5 queries per class.
4. Inductive mode, which the paper lacks, normalises queries by the statistics of the adapted support pass.
5. The paper's head is `free`: each class has its own start. `head_init: shared` starts every class from one learned
   vector (Ye & Chao 2022), `zero` from zero (Kao, Chiu & Chen 2022); both handle tasks of any way.
6. A transductive test normalises all queries of a task together, 75 in most studies; the code has as many per class as
   shots. On miniImageNet, tests of 5 to 15 queries are 1.5 to 2.5 points lower.
7. `bias_transform` (Finn et al., One-Shot Visual Imitation Learning, CoRL 2017; Finn & Levine 2018) appends numbers to
   the inputs, zero at first, as in the released code. Rates and batch sizes for polynomials are ours.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from algos.base import MetaLearner, Params, TaskSpec, hyper
from algos.nets.backbones import ADAPTED, build_backbone
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


def descend(weights: Weights, gradients: Iterable[Tensor], rates: Iterable[float | Tensor]) -> Weights:
    """Return weights - rate * gradient, tensor by tensor: weights and gradients `[B, ...]`, one rate per tensor."""
    return {name: w - rate * g for (name, w), g, rate in zip(weights.items(), gradients, rates, strict=True)}


def predicted(
    network: Callable[[Tensor, Statistics], Tensor], support_x: Tensor, query_x: Tensor, by_queries: bool
) -> Tensor:
    """Predictions `[B, Q, outputs]` of an adapted network for query_x `[B, Q, *x]`.

    Queries are normalised by their own batch statistics (`by_queries`) or by those of the support pass `[B, S, *x]`.
    """
    statistics = Statistics.batch()
    if not by_queries:
        network(support_x, statistics)
        statistics = Statistics.of(statistics)
    return network(query_x, statistics)


class MAML(MetaLearner):
    title = "MAML"
    family = "optimization-based"
    citation = "Finn et al. 2017"
    capturable = True
    tasks = ("classification", "regression")
    paper_mode = "transductive"
    first_order = False
    stated = ("omniglot", "miniimagenet", "sinusoid")
    presets = {
        "omniglot": dict(backbone="conv4_stride", steps=60_000, schedule="constant", clip_norm=0.0),
        "omniglot 1shot": dict(train_query=1),
        "omniglot 5shot": dict(train_query=5),
        "omniglot 5way": dict(meta_batch=32, inner_rate=0.4, inner_steps=1, test_steps=3),
        "omniglot 20way": dict(meta_batch=16, inner_rate=0.1, inner_steps=5, test_steps=5),
        "miniimagenet": dict(
            backbone="conv4", hidden=32, inner_rate=0.01, inner_reduction="sum", inner_steps=5, test_steps=10,
            train_query=15, steps=60_000, schedule="constant",
        ),
        "miniimagenet 1shot": dict(meta_batch=4),
        "miniimagenet 5shot": dict(meta_batch=2),
        "sinusoid": dict(
            backbone="mlp", hidden=40, inner_rate=0.01, inner_steps=1, test_steps=10, meta_batch=25, train_shot=10,
            train_query=10, steps=70_000, schedule="constant", clip_norm=0.0,
        ),
        "polynomial": dict(
            backbone="mlp", hidden=40, bias_transform=10, inner_rate=0.01, inner_steps=1, test_steps=1, meta_batch=25,
            train_query=10,
        ),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "network that is adapted", ADAPTED)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        depth: int | None = hyper(None, "hidden layers of an mlp; null = two")
        bias_transform: int = hyper(0, "learned, adapted numbers beside the inputs of an mlp")
        inner_rate: float = hyper(0.4, "step size of the inner loop")
        inner_steps: int = hyper(1, "gradient steps in training")
        test_steps: int = hyper(3, "gradient steps at test", least=0)
        inner_reduction: str = hyper("mean", "of the inner cross-entropy, per shot", ("mean", "sum"))
        head_init: str = hyper("free", "start of the classes", ("free", "shared", "zero"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.any_way = params.head_init != "free"
        outputs = 1 if self.any_way else spec.way
        form = (params.hidden, spec, params.depth, params.bias_transform)
        self.net = Network(build_backbone(params.backbone, *form), outputs)
        if params.head_init == "zero":
            nn.init.zeros_(self.net.head.weight)
            self.net.head.requires_grad_(False)
        self.test_steps = params.test_steps

    @property
    def steps(self) -> int:
        return self.params.inner_steps if self.training else self.test_steps

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> tuple[Weights, Tensor]:
        """Return the weights after gradient descent on the support loss (each with a leading B) and the support inputs."""
        weights = self._start(len(support_x), way)
        for step in range(self.steps):
            weights = self._step(weights, support_x, support_y, step)
        return weights, support_x

    def _start(self, tasks: int, way: int) -> Weights:
        """Expand theta to the tasks: views `[B, ...]` of the weights that the inner loop adapts."""
        if self.params.head_init == "free":
            self.require_own_way(way, "has a head for", "; head_init 'shared' or 'zero' can")
        weights = {name: w for name, w in self.net.named_parameters() if not name.endswith(NOT_ADAPTED)}
        if self.params.head_init != "free":
            weights |= {
                name: w.expand(way, *w.shape[1:]) for name, w in weights.items() if name.startswith("head.")
            }
        return {name: w.expand(tasks, *w.shape) for name, w in weights.items()}

    def _step(self, weights: Weights, x: Tensor, y: Tensor, step: int) -> Weights:
        """phi <- phi - rate * gradient of the support loss (eq. 1), for all tasks at once."""
        second_order = self.training and not self.first_order
        with torch.enable_grad():
            weights = self._differentiable(weights)
            loss = self._inner_loss(self._output(weights, x, Statistics.batch(second_order), step), y)
            gradients = torch.autograd.grad(loss, list(weights.values()), create_graph=second_order)
        return descend(weights, gradients, self._rates(step, len(weights)))

    def _differentiable(self, weights: Weights) -> Weights:
        """Cut the graph before each step at test; in training, only before a head of zeros, which is not learned."""
        return {
            name: w if self.training and w.requires_grad else w.detach().requires_grad_()
            for name, w in weights.items()
        }

    def _output(self, weights: Weights, x: Tensor, statistics: Statistics, step: int) -> Tensor:
        """Prediction of the network with these weights; `step` is the index of the inner step, which does not matter here."""
        return functional_call(self.net, weights, (x, statistics))

    def _rates(self, step: int, tensors: int) -> Iterable[float | Tensor]:
        """Step size of each weight tensor."""
        return [self.params.inner_rate] * tensors

    def _inner_loss(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Sum of the support losses of the tasks, which share no weights, so the sum gives each task its own gradient."""
        if self.spec.kind == "regression":
            return F.mse_loss(prediction, target, reduction="sum") / target[0].numel()
        total = F.cross_entropy(prediction.flatten(0, 1), target.flatten(), reduction="sum")
        examples, way = target.shape[1], prediction.shape[-1]
        return total / (examples if self.params.inner_reduction == "mean" else examples / way)

    def predict(self, phi: tuple[Weights, Tensor], query_x: Tensor) -> Tensor:
        weights, support_x = phi
        network = partial(self._output, weights, step=self.steps - 1)
        return predicted(network, support_x, query_x, self.training or self.transductive)
