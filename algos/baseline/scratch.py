"""Training from scratch: a fresh network, trained on the support set of each task and on nothing else.

The distance to this baseline is what meta-training adds.

Deviations: none; this is a baseline of the benchmark. Every task starts from the same fresh weights, drawn from the
run's seed; the classifier starts at zero. Queries are normalised by the statistics of the trained support pass, or by
their own (transductive mode).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from algos.base import HyperParameters, MetaLearner, TaskSpec, hyper
from algos.nets.backbones import ADAPTED, build_backbone
from algos.nets.layers import Statistics
from algos.optimization.maml import Network, Weights, predicted


class Scratch(MetaLearner):
    title = "From scratch"
    family = "baseline"
    citation = "this benchmark"
    trainable = False

    @dataclass(frozen=True)
    class Params(HyperParameters):
        backbone: str = hyper("conv4", "network that is trained", ADAPTED)
        hidden: int = hyper(64, "channels of each block")
        test_steps: int = hyper(10, "Adam steps on the whole support set", least=0)
        rate: float = hyper(3e-3, "Adam's rate")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.net = Network(build_backbone(params.backbone, params.hidden, spec), 1)
        nn.init.zeros_(self.net.head.weight)  # one start for every class, so the number of classes is free
        self.test_steps = params.test_steps

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> tuple[Weights, Tensor]:
        """Return the weights trained on the support set (each with a leading B) and the support inputs."""
        start = dict(self.net.named_parameters())
        start |= {name: w.expand(way, *w.shape[1:]) for name, w in start.items() if name.startswith("head.")}
        weights = {
            name: w.detach().expand(len(support_x), *w.shape).clone().requires_grad_()
            for name, w in start.items()
        }
        optimizer = torch.optim.Adam(weights.values(), lr=self.params.rate)  # elementwise: tasks do not mix
        for _ in range(self.test_steps):
            with torch.enable_grad():
                logits = functional_call(self.net, weights, (support_x, Statistics.batch()))
                loss = F.cross_entropy(logits.flatten(0, 1), support_y.flatten(), reduction="sum")
                gradients = torch.autograd.grad(loss / support_y.shape[1], list(weights.values()))
            for w, gradient in zip(weights.values(), gradients, strict=True):
                w.grad = gradient
            optimizer.step()
        return {name: w.detach() for name, w in weights.items()}, support_x

    def predict(self, phi: tuple[Weights, Tensor], query_x: Tensor) -> Tensor:
        weights, support_x = phi

        def network(x: Tensor, statistics: Statistics) -> Tensor:
            return functional_call(self.net, weights, (x, statistics))

        return predicted(network, support_x, query_x, self.transductive)
