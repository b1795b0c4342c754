"""Meta-learner LSTM: the update of an LSTM's cell, read as a step of gradient descent.

The learner's weights are the cell state, the negative gradient is the candidate, the input gate is the learning rate
and the forget gate is a weight decay. One small LSTM, shared by all weights, sets both gates of each weight from its
gradient and the loss. The initial cell state is learned too: it is the learner's initialisation.

Ravi, Larochelle: Optimization as a Model for Few-Shot Learning. ICLR 2017.

Deviations from the paper and its released code:
1. The inner gradient is that of the mean loss; the released code divides it once more by the number of examples.
2. `gate_feedback: logit` feeds each gate its last value before the sigmoid (0 at first), as released; `gate` is the
   paper's equation.
3. Convolutions have no bias before batch norm. The first support pass sets the batch-norm statistics and later passes
   move them; the code starts from 0 and 1, which carry no weight after T passes.
4. Outside the miniImageNet presets, a meta-batch has several tasks, the schedule is a cosine, and there are 5 queries
   per class.
5. Regression, which the paper lacks, works in the same way with the squared error.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from algos.base import MetaLearner, Params, TaskSpec, hyper
from algos.nets.backbones import build_backbone
from algos.nets.layers import Statistics
from algos.optimization.maml import Network

SHARPNESS = 10.0  # p of the preprocessing


def preprocess(x: Tensor) -> Tensor:
    """Log-magnitude and sign; -1 and the scaled value where x is tiny: `[...]` -> `[2, ...]` (Andrychowicz et al. 2016)."""
    magnitude = x.abs()
    large = magnitude >= torch.e**-SHARPNESS
    logarithm = magnitude.clamp_min(torch.e**-SHARPNESS).log() / SHARPNESS
    return torch.stack(
        [torch.where(large, logarithm, -1.0), torch.where(large, x.sign(), torch.e**SHARPNESS * x)]
    )


class State(NamedTuple):
    """State that the update rule carries from step to step, for N coordinates."""

    hidden: Tensor
    """`[units, N]`, like `memory`."""
    memory: Tensor
    previous: Tensor
    """Last values that the forget gate (row 0) and the input gate (row 1) are fed, `[2, N]`."""


class UpdateRule(nn.Module):
    """LSTM and gates, shared by all coordinates. Coordinates are the last dimension, so slices of gates are contiguous."""

    def __init__(self, units: int, feedback: str):
        super().__init__()
        self.units, self.feedback = units, feedback
        self.weight = _uniform(4 * units, 4 + units)
        self.bias = _uniform(4 * units, 1)
        self.gate_hidden, self.gate_weight, self.gate_previous = (
            _uniform(2, units),
            _uniform(2, 1),
            _uniform(2, 1),
        )
        forget, rate = torch.empty(1, 1).uniform_(4, 5), torch.empty(1, 1).uniform_(-5, -4)
        self.gate_bias = nn.Parameter(torch.cat([forget, rate]))  # starts as SGD at 0.01 with little decay

    def start(self, like: Tensor) -> State:
        """Return the zero state for the coordinates of `like` `[N]`."""
        return State(*(like.new_zeros(rows, like.numel()) for rows in (self.units, self.units, 2)))

    def forward(self, theta: Tensor, gradient: Tensor, loss: Tensor, state: State) -> tuple[Tensor, State]:
        """theta, gradient, loss `[N]` -> the next theta (eq. 2) and state."""
        inputs = torch.cat([preprocess(loss), preprocess(gradient), state.hidden])
        gates = torch.addmm(self.bias, self.weight, inputs)
        read, keep, show, candidate = gates.chunk(4)
        memory = keep.sigmoid() * state.memory + read.sigmoid() * candidate.tanh()
        hidden = show.sigmoid() * memory.tanh()
        logits = self.gate_hidden @ hidden + self.gate_weight * theta + self.gate_previous * state.previous
        logits = logits + self.gate_bias
        forget, rate = opened = logits.sigmoid()
        fed = logits if self.feedback == "logit" else opened
        return forget * theta - rate * gradient, State(hidden, memory, fed)


def _uniform(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-0.01, 0.01))


class MetaLSTM(MetaLearner):
    title = "Meta-learner LSTM"
    family = "optimization-based"
    citation = "Ravi & Larochelle 2017"
    tasks = ("classification", "regression")
    any_way = False
    presets = {
        "miniimagenet": dict(meta_batch=1, train_query=15, schedule="constant"),
        "miniimagenet 1shot": dict(inner_steps=12, momentum=0.9, steps=75_000),
        "miniimagenet 5shot": dict(inner_steps=5, steps=50_000),
        "sinusoid": dict(backbone="mlp", hidden=40, meta_batch=10, train_shot=10, train_query=10),
    }

    @dataclass(frozen=True)
    class Params(Params):
        meta_batch: int = hyper(4, "tasks per meta-update")
        clip_norm: float = hyper(0.25, "largest global norm of the outer gradient; 0 = no clipping", least=0)
        # Every weight keeps an LSTM state of `units` numbers per step: larger networks would need tens of gigabytes.
        backbone: str = hyper(
            "conv4", "network that is updated", ("conv4", "conv4_stride", "conv4_valid", "mlp")
        )
        hidden: int = hyper(32, "channels (conv4*) or units (mlp) of each block")
        units: int = hyper(20, "units of the LSTM")
        inner_steps: int = hyper(5, "updates of the weights, in training and at test")
        gate_feedback: str = hyper("logit", "what a gate sees of its last value", ("logit", "gate"))
        momentum: float = hyper(
            0.95, "weight of the newest support pass in the queries' batch-norm statistics", most=1
        )

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.net = Network(build_backbone(params.backbone, params.hidden, spec), spec.way)
        self.rule = UpdateRule(params.units, params.gate_feedback)
        self.test_steps = params.inner_steps

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> tuple[dict[str, Tensor], Statistics]:
        """Return the weights after T updates (each with a leading B) and the batch-norm statistics of the support passes."""
        self.require_own_way(way, "has a head for")
        cell = torch.cat([w.flatten() for w in self.net.parameters()])
        theta = cell.expand(len(support_x), -1).flatten()
        state, statistics = self.rule.start(theta), Statistics.batch()
        steps = self.params.inner_steps if self.training else self.test_steps
        if not steps:  # nothing is adapted, but the support still sets the normalisation
            functional_call(self.net, self._weights(theta, len(support_x)), (support_x, statistics))
        for _ in range(steps):
            gradient, losses, latest = self._gradient(theta, support_x, support_y)
            statistics = _blended(statistics, latest, self.params.momentum)
            theta, state = self.rule(theta, gradient, losses.repeat_interleave(len(cell)), state)
        return self._weights(theta, len(support_x)), statistics

    def _gradient(self, theta: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Statistics]:
        """Return the gradient of each task's mean loss, flat `[B * n]`, the losses `[B]` and the statistics of batch norm.

        Both are constants to the outer gradient: the paper drops the dependence of gradients on the weights.
        """
        statistics = Statistics.batch()
        with torch.enable_grad():
            theta = theta.detach().requires_grad_()
            losses = self._losses(functional_call(self.net, self._weights(theta, len(x)), (x, statistics)), y)
            (gradient,) = torch.autograd.grad(losses.sum(), theta)
        return gradient, losses.detach(), statistics

    def _weights(self, theta: Tensor, tasks: int) -> dict[str, Tensor]:
        """Split flat weights `[B * n]` into the parameters of the network, each `[B, ...]`."""
        names, shared = zip(*self.net.named_parameters(), strict=True)
        parts = theta.view(tasks, -1).split([w.numel() for w in shared], dim=1)
        return {n: part.view(tasks, *w.shape) for n, part, w in zip(names, parts, shared, strict=True)}

    def _losses(self, prediction: Tensor, target: Tensor) -> Tensor:
        if self.spec.kind == "regression":
            return (prediction - target).square().mean((1, 2))
        return F.cross_entropy(prediction.transpose(1, 2), target, reduction="none").mean(1)

    def predict(self, phi: tuple[dict[str, Tensor], Statistics], query_x: Tensor) -> Tensor:
        """Predict the queries, normalised by themselves in training and transductive mode, else by the support, as released."""
        weights, support = phi
        by_queries = self.training or self.transductive
        return functional_call(
            self.net, weights, (query_x, Statistics.batch() if by_queries else Statistics.of(support))
        )


def _blended(running: Statistics, latest: Statistics, newest: float) -> Statistics:
    """Update the running means and (unbiased) variances over the support passes of this episode."""
    for layer, (mean, variance, count) in latest.used.items():
        mean, variance = mean.detach(), variance.detach() * count / max(count - 1, 1)
        old_mean, old_variance, _ = running.used.get(layer, (mean, variance, count))
        running.used[layer] = (old_mean.lerp(mean, newest), old_variance.lerp(variance, newest), count)
    return running
