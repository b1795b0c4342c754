"""Reptile.

Reptile trains on a task with ordinary optimiser steps, then moves the initialisation towards the resulting weights.
There is no query set and no second derivative.

Nichol, Achiam, Schulman: On First-Order Meta-Learning Algorithms. 2018.

Deviations from the paper and its released code:
1. The tasks of a meta-batch run in parallel from the same second moments of Adam, whose mean over tasks is kept; the
   released code runs them in turn and passes the moments on. As released, they persist over meta-updates and into the
   test.
2. Inductive mode normalises queries by the statistics of the adapted support pass; the released code passes the support
   with one query at a time. Transductive mode is that of the code: all queries of a task together.
3. The schedule applies to the outer step; the published one is linear, from `meta_step` to zero.
4. Conv4 averages its last 2x2 map (the code flattens it) and pools after the ReLU; Omniglot's ink is 1, not 0.
5. Mini-batches are drawn without replacement, as released. The tasks of a meta-batch share one draw; at test it is
   fixed.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call

from algos.base import LABELS, HyperParameters, MetaLearner, TaskSpec, hyper
from algos.nets.backbones import ADAPTED, build_backbone
from algos.nets.layers import Statistics
from algos.optimization.maml import Network, Weights, predicted
from tasks.episodes import TRAIN_LABELS

DECAY, EPSILON = 0.999, 1e-8


def adam_step(
    weights: Weights, gradients: Weights, moments: Weights, count: Tensor, rate: float
) -> tuple[Weights, Weights]:
    """Take one step of Adam with beta1 = 0 (Kingma & Ba 2015, end of section 2); return the new weights and moments.

    weights, gradients and second moments `[B, ...]` by name; count `[]`: number of steps, including this one.
    """
    moments = {name: DECAY * moments[name] + (1 - DECAY) * g.square() for name, g in gradients.items()}
    rate = rate * torch.sqrt(1 - DECAY**count)
    stepped = {
        name: w - rate * gradients[name] / (moments[name].sqrt() + EPSILON) for name, w in weights.items()
    }
    return stepped, moments


def mini_batches(examples: int, steps: int, size: int, generator: torch.Generator | None = None) -> Tensor:
    """Indices int64 `[steps, size]`: shuffle, cut consecutive batches, shuffle again when all examples are used."""
    rounds = -(-steps * size // examples) or 1
    order = torch.cat([torch.randperm(examples, generator=generator) for _ in range(rounds)])
    return order[: steps * size].view(steps, size)


class Reptile(MetaLearner):
    title = "Reptile"
    family = "optimization-based"
    citation = "Nichol et al. 2018"
    stated = ("omniglot", "miniimagenet")
    tasks = ("classification", "regression")
    paper_mode = "transductive"
    any_way = False
    presets = {
        "omniglot": dict(train_shot=10, steps=100_000, test_batch=5),
        "omniglot 20way": dict(
            inner_batch=20, inner_steps=10, learning_rate=5e-4, steps=200_000, test_batch=10
        ),
        "miniimagenet": dict(
            backbone="conv4", hidden=32, train_shot=15, inner_steps=8, steps=100_000, test_batch=5
        ),
        "miniimagenet 5shot": dict(test_batch=15),
        "sinusoid": dict(
            backbone="mlp", hidden=64, train_shot=10, learning_rate=1e-2, inner_steps=10, test_steps=32
        ),
    }

    @dataclass(frozen=True)
    class Params(HyperParameters):
        steps: int = hyper(20_000, "meta-updates")
        meta_batch: int = hyper(5, "tasks per meta-update")
        train_way: int | None = hyper(None, "classes per training task; null = as tested")
        train_shot: int | None = hyper(None, "support examples per class in training; null = as tested")
        train_labels: str = hyper("shuffled", LABELS, TRAIN_LABELS)
        learning_rate: float = hyper(
            1e-3, "rate of the inner Adam, constant; the schedule is the outer step's"
        )
        schedule: str = hyper("linear", "course of the outer step", ("constant", "halve", "cosine", "linear"))
        halve_every: int = hyper(2_000, "meta-updates between halvings, for schedule `halve`")
        backbone: str = hyper("conv4_stride", "network that is adapted", ADAPTED)
        hidden: int = hyper(64, "channels (conv4*) or units (mlp) of each block")
        meta_step: float = hyper(1.0, "initial step from the weights towards the mean of the tasks'")
        inner_steps: int = hyper(5, "optimiser steps in training")
        inner_batch: int = hyper(10, "examples of a step in training")
        test_steps: int = hyper(50, "optimiser steps at test", least=0)
        test_batch: int = hyper(5, "examples of a step at test")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.net = Network(build_backbone(params.backbone, params.hidden, spec), spec.way)
        for name, w in self.net.named_parameters():
            self.register_buffer(self._moment(name), torch.zeros_like(w))
        self.register_buffer("count", torch.zeros(()))
        self.test_steps = params.test_steps

    @staticmethod
    def _moment(name: str) -> str:
        return "moment_" + name.replace(".", "_")

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> tuple[Weights, Tensor]:
        """Return the weights after optimisation on the support (each with a leading B) and the support inputs."""
        weights, _, _ = self._optimise(support_x, support_y, way)
        return weights, support_x

    def _optimise(self, x: Tensor, y: Tensor, way: int) -> tuple[Weights, Weights, Tensor]:
        """Return weights and second moments after the inner loop and the mean loss of its last step; nothing is stored."""
        self.require_own_way(way, "has a head for")
        tasks, p = len(x), self.params
        weights = {n: w.detach().expand(tasks, *w.shape) for n, w in self.net.named_parameters()}
        moments = {n: getattr(self, self._moment(n)).expand(tasks, *w.shape[1:]) for n, w in weights.items()}
        steps, size = (p.inner_steps, p.inner_batch) if self.training else (self.test_steps, p.test_batch)
        generator = None if self.training else torch.Generator().manual_seed(0)
        loss = x.new_zeros(())
        for i, batch in enumerate(mini_batches(x.shape[1], steps, size, generator).to(x.device), start=1):
            loss, gradients = self._gradients(weights, x[:, batch], y[:, batch])
            weights, moments = adam_step(weights, gradients, moments, self.count + i, p.learning_rate)
        return weights, moments, loss

    def _gradients(self, weights: Weights, x: Tensor, y: Tensor) -> tuple[Tensor, Weights]:
        """Return the mean loss over tasks and the gradient of each task, `[B, ...]`."""
        with torch.enable_grad():
            weights = {name: w.detach().requires_grad_() for name, w in weights.items()}
            prediction = functional_call(self.net, weights, (x, Statistics.batch()))
            loss = self.loss(prediction, y)
            gradients = torch.autograd.grad(len(x) * loss, list(weights.values()))
        return loss.detach(), dict(zip(weights, gradients, strict=True))

    def predict(self, phi: tuple[Weights, Tensor], query_x: Tensor) -> Tensor:
        weights, support_x = phi

        def network(x: Tensor, statistics: Statistics) -> Tensor:
            return functional_call(self.net, weights, (x, statistics))

        return predicted(network, support_x, query_x, self.transductive)

    @torch.no_grad()
    def meta_update(self, sampler: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        """theta <- theta + step * mean over tasks of (phi - theta) (Algorithm 2); the optimiser only supplies the schedule."""
        p = self.params
        step = p.meta_step * optimizer.param_groups[0]["lr"] / p.learning_rate
        way, shot = p.train_way or self.spec.way, p.train_shot or self.spec.shot
        episodes = sampler.sample(p.meta_batch, way, shot, 0, p.train_labels)
        weights, moments, loss = self._optimise(episodes.support_x, episodes.support_y, episodes.way)
        for name, w in self.net.named_parameters():
            w.lerp_(weights[name].mean(0), step)
            getattr(self, self._moment(name)).copy_(moments[name].mean(0))
        self.count += p.inner_steps
        return loss
