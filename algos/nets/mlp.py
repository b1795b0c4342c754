"""A plain multi-layer perceptron whose weights may differ per task (regression tasks)."""

import torch
from torch import Tensor, nn

from algos.nets.layers import Linear, Statistics


class MLP(nn.Module):
    """`[B, n, d]` -> `[B, n, features]` through ReLU layers (Finn et al. 2017, sinusoids: 40, 40)."""

    def __init__(self, inputs: int, hidden: tuple[int, ...] = (40, 40)):
        super().__init__()
        sizes = (inputs, *hidden)
        self.layers = nn.ModuleList(Linear(a, b) for a, b in zip(sizes[:-1], sizes[1:], strict=True))
        self.features = hidden[-1]

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
