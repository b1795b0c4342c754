"""Causal temporal convolutions (Mishra et al. 2018, section 3)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DenseBlock(nn.Module):
    """Gated causal convolution of kernel 2, concatenated to its input: `[B, T, C]` -> `[B, T, C + filters]`."""

    def __init__(self, inputs: int, filters: int, dilation: int):
        super().__init__()
        self.dilation = dilation
        self.gates = nn.Conv1d(inputs, 2 * filters, kernel_size=2, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        past = F.pad(x.transpose(1, 2), (self.dilation, 0))
        signal, gate = self.gates(past).chunk(2, dim=1)
        return torch.cat([x, (torch.tanh(signal) * torch.sigmoid(gate)).transpose(1, 2)], dim=-1)


class TCBlock(nn.Module):
    """Dense blocks of dilation 1, 2, 4, ... until the last position sees all `length` of them."""

    def __init__(self, inputs: int, length: int, filters: int):
        super().__init__()
        depth = max(1, math.ceil(math.log2(length)))
        self.blocks = nn.ModuleList(DenseBlock(inputs + i * filters, filters, 2**i) for i in range(depth))
        self.outputs = inputs + depth * filters

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x
