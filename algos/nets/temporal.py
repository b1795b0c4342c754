"""Causal temporal convolutions and causal attention (Mishra et al. 2018, section 3).

Each block maps a sequence `[B, T, C]` to `[B, T, C']`. Its method `last` gives the output at one more position for Q
alternative tokens: `[B, Q, C]` and the block's input at the earlier positions `[B, T, C]` -> `[B, Q, C']`. No position
sees a later one, so the earlier outputs are the same for all alternatives and are computed once.
"""

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
        return self._join(x, self.gates(past).transpose(1, 2))

    def last(self, x: Tensor, past: Tensor) -> Tensor:
        earlier, now = self.gates.weight.unbind(-1)
        y = F.linear(x, now, self.gates.bias)
        if self.dilation <= past.shape[1]:  # positions before the first are zero
            y = y + F.linear(past[:, -self.dilation], earlier).unsqueeze(1)
        return self._join(x, y)

    @staticmethod
    def _join(x: Tensor, gates: Tensor) -> Tensor:
        signal, gate = gates.chunk(2, dim=-1)
        return torch.cat([x, torch.tanh(signal) * torch.sigmoid(gate)], dim=-1)


class CausalAttention(nn.Module):
    """One head of attention to this and earlier positions, concatenated to its input: `[B, T, C]` -> `[B, T, C + values]`."""

    def __init__(self, inputs: int, keys: int, values: int):
        super().__init__()
        self.query, self.key = nn.Linear(inputs, keys), nn.Linear(inputs, keys)
        self.value = nn.Linear(inputs, values)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.weights(x) @ self.value(x)], dim=-1)

    def weights(self, x: Tensor) -> Tensor:
        """Softmax over the keys up to each query: `[B, T, C]` -> `[B, T (queries), T (keys)]`."""
        logits = self._scaled_query(x) @ self.key(x).transpose(1, 2)
        future = torch.ones_like(logits[0], dtype=torch.bool).triu(1)
        return logits.masked_fill(future, -torch.inf).softmax(-1)

    def last(self, x: Tensor, past: Tensor) -> Tensor:
        query = self._scaled_query(x)
        own = (query * self.key(x)).sum(-1, keepdim=True)
        weights = torch.cat([query @ self.key(past).transpose(1, 2), own], dim=-1).softmax(-1)
        read = weights[..., :-1] @ self.value(past) + weights[..., -1:] * self.value(x)
        return torch.cat([x, read], dim=-1)

    def _scaled_query(self, x: Tensor) -> Tensor:
        return self.query(x) / math.sqrt(self.query.out_features)


class TCBlock(nn.Module):
    """Dense blocks of dilation 1, 2, 4, ... until the last position sees all `length` positions.

    start: first dilation. With 2, as in two ports, a position sees only every second earlier one.
    """

    def __init__(self, inputs: int, length: int, filters: int, start: int = 1):
        super().__init__()
        depth = max(1, math.ceil(math.log2(length)))
        self.blocks = nn.ModuleList(
            DenseBlock(inputs + i * filters, filters, start * 2**i) for i in range(depth)
        )
        self.outputs = inputs + depth * filters

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return x
