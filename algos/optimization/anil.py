"""Almost No Inner Loop.

MAML with an inner loop that adapts the linear head only: features are computed once, and the inner gradient of the head
has a closed form.

Raghu, Raghu, Bengio, Vinyals: Rapid Learning or Feature Reuse? Towards Understanding the Effectiveness of MAML.
ICLR 2020.

Deviations from the paper:
1. In training, support and queries share one pass through the body and its batch statistics (at test per task, in
   transductive mode); the paper, like MAML, normalises each set by its own. Inductive mode uses running statistics.
2. `head_init: shared` starts every class from one learned vector (Ye & Chao 2022); the paper's head is `free`.
3. `test_head: nil` is the paper's NIL: at test there is no head; support labels are weighted by a softmax of the
   cosine.
4. Rates and steps on Omniglot follow the paper's appendix from memory, and their length is ours; no official code was
   found. The inner loss is the mean cross-entropy. If the paper's rates, like those of MAML's code, are for the loss
   summed over classes, `inner_reduction: sum` is the paper's; paper.yaml has it, by this inference.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import EmbeddingLearner, Params, TaskSpec, hyper
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.layers import Linear


def head_gradient(inputs: Tensor, weight: Tensor, target: Tensor, regression: bool) -> Tensor:
    """Gradient `[B, D, K]` of each task's mean loss with respect to the linear map `weight` `[B, D, K]`.

    inputs `[B, S, D]`; target `[B, S, K]`, one-hot for cross-entropy, real for the squared error.
    """
    output = inputs @ weight
    residual = 2 * (output - target) / target.shape[-1] if regression else output.softmax(-1) - target
    return inputs.transpose(1, 2) @ residual / inputs.shape[1]


class ANIL(EmbeddingLearner):
    title = "ANIL"
    family = "optimization-based"
    citation = "Raghu et al. 2020"
    tasks = ("classification", "regression")
    paper_mode = "transductive"
    stated = ("miniimagenet",)
    presets = {
        "omniglot": dict(inner_rate=0.1, inner_steps=5, test_steps=5, schedule="constant", clip_norm=0.0),
        "miniimagenet": dict(
            backbone="conv4", hidden=32, meta_batch=4, inner_rate=0.01, inner_steps=5, test_steps=10,
            train_query=15, steps=30_000, schedule="constant",
        ),
        "sinusoid": dict(backbone="mlp", hidden=40, inner_rate=0.01, meta_batch=25, train_query=10),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(Params):
        backbone: str = hyper("conv4_stride", "body, which is not adapted", BACKBONES)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        inner_rate: float = hyper(0.4, "step size of the inner loop")
        inner_steps: int = hyper(5, "gradient steps of the head in training")
        test_steps: int = hyper(10, "gradient steps of the head at test", least=0)
        inner_reduction: str = hyper("mean", "of the inner cross-entropy, per shot", ("mean", "sum"))
        head_init: str = hyper("free", "start of each class: its own, or one for all", ("free", "shared"))
        test_head: str = hyper("adapted", "classifier at test; nil = nearest support", ("adapted", "nil"))

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.regression = spec.kind == "regression"
        if self.regression and params.test_head == "nil":
            raise ValueError("hyper-parameter test_head: 'nil' needs classes; use 'adapted' for regression")
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.any_way = params.head_init == "shared"
        self.head = Linear(self.encoder.features, 1 if params.head_init == "shared" else spec.way)
        self.test_steps = params.test_steps

    @property
    def nil(self) -> bool:
        return self.params.test_head == "nil" and not self.training

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor | tuple[Tensor, Tensor]:
        """Return the head `[B, D + 1, way]` after gradient descent on the support; for NIL, unit features and one-hot labels."""
        target = support_y if self.regression else F.one_hot(support_y, way).to(features.dtype)
        if self.nil:
            return F.normalize(features, dim=-1), target
        inputs, weight = self._with_bias(features), self._start(len(features), way)
        summed = self.params.inner_reduction == "sum" and not self.regression
        rate = self.params.inner_rate * (way if summed else 1)
        for _ in range(self.params.inner_steps if self.training else self.test_steps):
            gradient = head_gradient(inputs, weight, target, self.regression)
            weight = weight - rate * gradient
        return weight

    def _start(self, tasks: int, way: int) -> Tensor:
        if not self.any_way:
            self.require_own_way(way, "has a head for", "; head_init 'shared' can")
        columns = torch.cat([self.head.weight, self.head.bias.unsqueeze(1)], dim=1).T
        return columns.expand(-1, way).expand(tasks, -1, -1)

    @staticmethod
    def _with_bias(features: Tensor) -> Tensor:
        return torch.cat([features, torch.ones_like(features[..., :1])], dim=-1)

    def score(self, phi: Tensor | tuple[Tensor, Tensor], features: Tensor) -> Tensor:
        if not self.nil:
            return self._with_bias(features) @ phi
        support, one_hot = phi
        attention = (F.normalize(features, dim=-1) @ support.transpose(1, 2)).softmax(-1)
        return torch.log(attention @ one_hot)
