"""Self-Critique and Adapt.

After the inner loop on the support, further steps on the unlabelled queries descend a learned loss, the critic, which
sees only the predictions. Initialisation, rates and critic are trained together by the resulting query loss.

Antoniou, Storkey: Learning to Learn via Self-Critique. NeurIPS 2019.

Deviations from the paper and its released code:
1. The critic sees the predictions only; the paper's variants that add a task embedding or the weights, and its
   "high-end" base, are left out. `critic: entropy` descends the entropy of the predictions; `none` is the base.
2. Critic steps have their own learned rates; the released loop reuses those of the first support step.
3. In critic steps, batch norm uses the parameters of the last support step. Network, outer loss before the critic and
   multi-step phase are the base's; so is the Omniglot preset, so that the two can be compared.
4. The critic's score is the mean over the queries. The released code takes the sum, so that the step grows with their
   number: a model trained with 5 per class fell from 96.5 to 73.8 % at 15 (Omniglot 5-way 1-shot). `critic_rate` 0.75
   is the code's 0.01 times 75.
5. Inductive mode excludes the idea of the method, looking at the queries together, so there it is the base learner.
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.base import TaskSpec, hyper
from algos.nets.layers import Statistics
from algos.optimization.maml import Weights, descend
from algos.optimization.mamlpp import OMNIGLOT, MAMLPlusPlus
from tasks.episodes import Episodes

PLAIN_MAML = dict(learn_rates=False, step_norm=False, multi_step_share=0.0, first_order_share=0.0)
LAYERS, FILTERS, UNITS, EPSILON = 5, 8, 16, 1e-5


class Critic(nn.Module):
    """Score of each task's predictions, averaged over its queries: logits `[B, Q, way]` -> `[B]`.

    Dense dilated convolutions, with batch norm over the queries, read logits, absolute values, squares and signs.
    """

    def __init__(self, way: int):
        super().__init__()
        self.way, length = way, 4 * way
        inputs = [1 + FILTERS * i for i in range(LAYERS + 1)]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(inputs[i], FILTERS, 3, dilation=2**i, padding=2**i, bias=False) for i in range(LAYERS)
        )
        self.scale = nn.Parameter(torch.ones(LAYERS, FILTERS, 1))
        self.shift = nn.Parameter(torch.zeros(LAYERS, FILTERS, 1))
        self.score = nn.Sequential(
            nn.Linear(inputs[-1] * length, UNITS, bias=False), nn.ReLU(),
            nn.Linear(UNITS, UNITS, bias=False), nn.ReLU(),
            nn.Linear(UNITS, 1, bias=False),
        )  # fmt: skip

    def forward(self, logits: Tensor) -> Tensor:
        if logits.shape[-1] != self.way:
            asked = f"SCA's critic reads {self.way} classes and cannot do {logits.shape[-1]}-way tasks"
            raise ValueError(f"{asked}; critic 'entropy' can")
        x = torch.cat([logits, logits.abs(), logits.square(), logits.sign()], dim=-1).unsqueeze(2)
        for convolution, scale, shift in zip(self.convolutions, self.scale, self.shift, strict=True):
            y = convolution(x.flatten(0, 1)).unflatten(0, x.shape[:2])
            x = torch.cat([x, F.relu(standardised(y) * scale + shift)], dim=2)
        return self.score(x.flatten(2)).mean((1, 2))


def standardised(x: Tensor) -> Tensor:
    """Shift and scale `[B, Q, C, L]` to mean 0 and variance 1 in each task and channel."""
    centred = x - x.mean((1, 3), keepdim=True)
    return centred * torch.rsqrt(centred.square().mean((1, 3), keepdim=True) + EPSILON)


def entropy(logits: Tensor) -> Tensor:
    """Entropy of the predictions, averaged over the queries: logits `[B, Q, way]` -> `[B]`."""
    log_p = F.log_softmax(logits, dim=-1)
    return -(log_p.exp() * log_p).sum(2).mean(1)


class SCA(MAMLPlusPlus):
    title = "SCA"
    citation = "Antoniou & Storkey 2019"
    tasks = ("classification",)
    stated = ("miniimagenet",)
    presets = {
        "omniglot": OMNIGLOT,
        "miniimagenet": dict(
            backbone="conv4", hidden=48, inner_rate=0.01, train_query=15, multi_step_share=0.15, first_order_share=0.0,
            steps=75_000, schedule="constant", weight_decay=1e-4,
        ),
        "miniimagenet 1shot": dict(meta_batch=2),
        "miniimagenet 5shot": dict(meta_batch=1),
    }  # fmt: skip

    @dataclass(frozen=True)
    class Params(MAMLPlusPlus.Params):
        base: str = hyper("mamlpp", "learner under the critic", ("mamlpp", "maml"))
        critic: str = hyper("learned", "loss of the unlabelled queries", ("learned", "entropy", "none"))
        critic_steps: int = hyper(1, "steps down the critic")
        critic_rate: float = hyper(0.75, "rate of every tensor and critic step at the start")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, replace(params, **PLAIN_MAML) if params.base == "maml" else params)
        self.any_way = self.any_way and params.critic != "learned"
        if params.critic != "none":
            steps, tensors = params.critic_steps, self.rates.shape[1]
            self.critic_rates = nn.Parameter(torch.full((steps, tensors), params.critic_rate))
            self.critic = Critic(spec.way) if params.critic == "learned" else entropy

    def outer_loss(self, episodes: Episodes) -> Tensor:
        """Weighted query losses before and after the critic; the first has weight 1/2 at the start and 0 at the end."""
        before, weights, prediction = self._descent(episodes)
        if self.params.critic == "none":
            return before
        after = self.loss(self._criticised(weights, episodes.query_x, prediction), episodes.query_y)
        share = max(0.0, 1 - self.updates / self.params.steps) / 2
        return share * before + (1 - share) * after

    def predict(self, phi: tuple[Weights, Tensor], query_x: Tensor) -> Tensor:
        if self.params.critic == "none" or not (self.training or self.transductive):
            return super().predict(phi, query_x)
        return self._criticised(phi[0], query_x)

    def _criticised(self, weights: Weights, query_x: Tensor, prediction: Tensor | None = None) -> Tensor:
        """Predictions after phi <- phi - rate * gradient of the critic. prediction: that of the first phi, where known."""
        for rates in self.critic_rates:
            with torch.enable_grad():
                if prediction is None:
                    weights = self._differentiable(weights)
                    prediction = self._output(weights, query_x, Statistics.batch(), self.steps - 1)
                criticism = self.critic(prediction).sum()
                gradients = torch.autograd.grad(criticism, list(weights.values()), create_graph=self.training)
            weights, prediction = descend(weights, gradients, rates), None
        return self._output(weights, query_x, Statistics.batch(), self.steps - 1)
