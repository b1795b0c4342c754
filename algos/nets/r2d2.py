"""The wide four-block network of R2-D2 (Bertinetto et al. 2019; its released code)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.nets.layers import ConvNorm, InputNorm, Statistics


class R2D2Net(nn.Module):
    """Four blocks of 1, 2, 4 and 16/3 times hidden channels (96, 192, 384, 512), LeakyReLU 0.1, dropout in the last two.

    `[B, n, C, H, W]` -> `[B, n, features]`: the maps of the last two blocks, joined and flattened. 28x28 -> 3584
    features.
    """

    def __init__(
        self, input_shape: tuple[int, int, int], hidden: int = 96, mean=(0.0,), std=(1.0,), dropout=0.1
    ):
        super().__init__()
        self.dropout = dropout
        self.normalise = InputNorm(mean, std)
        widths = [input_shape[0], hidden, 2 * hidden, 4 * hidden, 16 * hidden // 3]
        pools = [(2, 2), (2, 2), (2, 2), (2, 1)]
        self.blocks = nn.ModuleList(
            ConvNorm(a, b, pool=pool, slope=0.1)
            for a, b, pool in zip(widths[:-1], widths[1:], pools, strict=True)
        )
        side = input_shape[1] // 8 - 1
        self.features = (widths[3] + widths[4]) * side * side

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        x = self.normalise(x)
        for block in self.blocks[:2]:
            x = block(x, statistics)
        third = F.dropout(self.blocks[2](x, statistics), self.dropout, self.training)
        fourth = F.dropout(self.blocks[3](third, statistics), self.dropout, self.training)
        pooled = F.max_pool2d(third.flatten(0, 1), 2, stride=1).unflatten(0, third.shape[:2])
        return torch.cat([pooled.flatten(2), fourth.flatten(2)], dim=-1)
