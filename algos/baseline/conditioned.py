"""A network that is given the task: it reads the parameters of the function beside x, so there is nothing to infer.

Its error is what a network of this size can represent at best. It never sees a support set.

Finn, Levine: Meta-Learning and Universality: Deep Representations and Gradient Descent Can Approximate any Learning
Algorithm. ICLR 2018 (the task-conditioned "oracle").

Deviations from the paper, which does not print its settings:
1. The parameters are the numbers that define a task (for polynomials, the coefficients), appended to the input of the
   first layer.
2. The training loss is taken on the queries, as for the learners it is compared with; support points are not used.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from algos.base import MetaLearner, Params, TaskSpec, hyper
from algos.nets.backbones import build_backbone
from algos.nets.layers import Statistics
from algos.optimization.maml import Network
from tasks.episodes import Episodes


class Conditioned(MetaLearner):
    title = "Told the task"
    family = "baseline"
    citation = "Finn & Levine 2018"
    tasks = ("regression",)
    yardstick = True
    modes = ("inductive",)
    presets = {"polynomial": dict(meta_batch=25, train_query=10)}

    @dataclass(frozen=True)
    class Params(Params):
        hidden: int = hyper(40, "units of each layer")
        depth: int = hyper(2, "hidden layers")

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        if not spec.parameters:
            raise ValueError(
                f"data set {spec.dataset} is not generated, so there are no parameters to be told"
            )
        told = replace(spec, input_shape=(spec.input_shape[0] + spec.parameters,))
        self.net = Network(build_backbone("mlp", params.hidden, told, params.depth), spec.way)

    def adapt_to(self, episodes: Episodes) -> Tensor:
        """Return the parameters of the tasks, `[B, p]`."""
        return episodes.truth

    def predict(self, phi: Tensor, query_x: Tensor) -> Tensor:
        told = phi.unsqueeze(1).expand(-1, query_x.shape[1], -1)
        return self.net(torch.cat([query_x, told], dim=-1), Statistics.batch())
