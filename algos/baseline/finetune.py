"""Baseline: fine-tuning a linear classifier.

The features are those of an ordinary classifier of all meta-training classes and stay frozen; a new linear classifier
is fitted to the support set of each task.

Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot Classification. ICLR 2019 (Baseline).

Deviations from the paper and its released code:
1. The deviations of the supervised pretraining (algos/pretraining/supervised.py).
2. The classifier starts at zero, not at random: the fit is convex.
3. The order of the examples is drawn once and is the same for all tasks.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import EmbeddingLearner, HyperParameters, TaskSpec, hyper
from algos.nets.backbones import build_backbone

MOMENTUM = 0.9

Head = tuple[Tensor, ...]
"""Parameters of the tasks' classifiers, each with a leading B."""


def cross_entropy_gradient(inputs: Tensor, logits: Tensor, target: Tensor) -> Tensor:
    """Gradient `[B, D, K]` of each task's mean cross-entropy with respect to the weights, where logits = inputs @ weights."""
    return inputs.transpose(1, 2) @ (logits.softmax(-1) - target) / inputs.shape[1]


def fine_tune(
    head: Head,
    gradient: Callable[[Head, Tensor, Tensor], Head],
    inputs: Tensor,
    target: Tensor,
    params: "Finetune.Params",
    steps: int,
) -> Head:
    """Fit all tasks' classifiers at once by mini-batch SGD: inputs `[B, S, D]`, target one-hot `[B, S, K]`.

    Momentum 0.9 with dampening 0.9, as in the released code: the step is an exponential average of the gradients.
    """
    average = None
    for batch in mini_batches(inputs.shape[1], params.batch, steps, inputs.device):
        slopes = gradient(head, inputs[:, batch], target[:, batch])
        slopes = [s + params.weight_decay * w for s, w in zip(slopes, head, strict=True)]
        if average is None:
            average = slopes
        else:
            average = [MOMENTUM * a + (1 - MOMENTUM) * s for a, s in zip(average, slopes, strict=True)]
        head = tuple(w - params.rate * a for w, a in zip(head, average, strict=True))
    return head


def mini_batches(examples: int, size: int, steps: int, device: torch.device) -> list[Tensor]:
    """Indices of the examples of each step, int64 `[<= size]`: shuffle, cut into batches (the last one may be smaller), repeat."""
    generator = torch.Generator().manual_seed(0)
    count = max(1, -(-steps // -(-examples // size)))
    orders = torch.stack([torch.randperm(examples, generator=generator) for _ in range(count)]).to(device)
    return [batch for order in orders for batch in order.split(size)][:steps]


class Finetune(EmbeddingLearner):
    title = "Baseline"
    family = "baseline"
    citation = "Chen et al. 2019"
    trainable = False
    pretraining = "supervised"

    @dataclass(frozen=True)
    class Params(HyperParameters):
        epochs: int = hyper(100, "passes over the support set")
        batch: int = hyper(4, "examples of a step")
        rate: float = hyper(0.01, "step size")
        weight_decay: float = hyper(1e-3, "L2 penalty, as SGD's weight decay", least=0)

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone("conv4", 64, spec)  # replaced by the pretrained one
        self.test_steps = -1  # -1: the steps of `epochs` passes

    def steps(self, examples: int) -> int:
        """Number of steps for a support set of this many examples."""
        p = self.params
        return p.epochs * -(-examples // p.batch) if self.test_steps < 0 else self.test_steps

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        """Return the weights of the fitted classifiers, `[B, D + 1, way]`, bias last."""
        inputs, target = self._with_bias(features), F.one_hot(support_y, way).to(features.dtype)
        start = features.new_zeros(len(inputs), inputs.shape[2], way)
        steps = self.steps(inputs.shape[1])
        return fine_tune((start,), self._gradient, inputs, target, self.params, steps)[0]

    @staticmethod
    def _gradient(head: Head, inputs: Tensor, target: Tensor) -> Head:
        return (cross_entropy_gradient(inputs, inputs @ head[0], target),)

    @staticmethod
    def _with_bias(features: Tensor) -> Tensor:
        return torch.cat([features, torch.ones_like(features[..., :1])], dim=-1)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return self._with_bias(features) @ phi
