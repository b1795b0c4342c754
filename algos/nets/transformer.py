"""A transformer that reads a set: examples attend to one another, and each query attends to the examples and itself.

Positions are not encoded, so the order of the examples does not matter; no query sees another query.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Memory = tuple[Tensor, Tensor]
"""Keys and values of the examples in one block, `[B, heads, S, width / heads]` each."""

SHARPNESS = 2.0
"""Factor of the query and key weights of a block that starts as a kernel; 1 is PyTorch's initialisation."""


class SetBlock(nn.Module):
    """Pre-norm attention and a two-layer perceptron, each added to its input: `[B, n, width]` -> the same shape."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} must be a multiple of heads, {heads}")
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    @torch.no_grad()
    def start_as_kernel(self, reads: bool) -> None:
        """Start as a soft nearest neighbour: queries and keys are the same projection, and the perceptron adds nothing.

        reads: if False, the attention adds nothing at the start, either.
        """
        query, key, _ = self.query_key_value.weight.chunk(3)
        query.mul_(SHARPNESS)
        key.copy_(query)
        self.query_key_value.bias.zero_()
        nn.init.zeros_(self.mlp[-1].weight)
        if not reads:
            nn.init.zeros_(self.output.weight)

    def forward(self, x: Tensor) -> tuple[Tensor, Memory]:
        """Examples `[B, S, width]` -> their new values `[B, S, width]` and the keys and values for queries."""
        query, key, value = self._projected(x)
        read = F.scaled_dot_product_attention(query, key, value)
        return self._added(x, read), (key, value)

    def ask(self, x: Tensor, memory: Memory) -> Tensor:
        """Queries `[B, Q, width]` -> their new values, each query in its own set with the examples."""
        query, key, value = self._projected(x)
        keys, values = memory
        scale = query.shape[-1] ** -0.5
        own = (query * key).sum(-1, keepdim=True)
        weights = (torch.cat([query @ keys.transpose(-2, -1), own], dim=-1) * scale).softmax(-1)
        return self._added(x, weights[..., :-1] @ values + weights[..., -1:] * value)

    def _projected(self, x: Tensor) -> tuple[Tensor, ...]:
        """Query, key and value `[B, heads, n, width / heads]`."""
        parts = self.query_key_value(self.before_attention(x)).chunk(3, dim=-1)
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)

    def _added(self, x: Tensor, read: Tensor) -> Tensor:
        x = x + self.output(read.transpose(1, 2).flatten(2))
        return x + self.mlp(self.before_mlp(x))
