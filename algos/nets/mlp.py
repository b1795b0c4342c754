"""Plain multi-layer perceptron with weights that may differ by task (regression tasks)."""

import torch
from torch import Tensor, nn

from algos.nets.layers import Linear, Statistics, per_task


class MLP(nn.Module):
    """`[B, n, d]` -> `[B, n, features]` through ReLU layers (Finn et al. 2017, sinusoids: 40, 40).

    transform: count of learned numbers appended to every input. Multiplied by their weights, they add to the bias of
    the first layer, so that a gradient step moves that bias by more than its own gradient (Finn et al. 2017b).
    """

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (40, 40), transform: int = 0):
        super().__init__()
        sizes = (inputs + transform, *hidden)
        self.layers = nn.ModuleList(Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.features = hidden[-1]
        self.transform = nn.Parameter(torch.zeros(transform)) if transform else None

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        if self.transform is not None:
            constant = per_task(self.transform, 1).unsqueeze(1)
            x = torch.cat([x, constant.expand(*x.shape[:2], -1)], dim=-1)
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
