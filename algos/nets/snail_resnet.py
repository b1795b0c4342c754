"""The residual embedding of SNAIL for miniImageNet (Mishra et al. 2018, appendix A)."""

import torch.nn.functional as F
from torch import Tensor, nn

from algos.nets.layers import ConvNorm, InputNorm, Statistics

SLOPE = 0.1
DROP = 0.1
"""Share that is dropped. The paper's "dropout 0.9" is read as the share that is kept: with 0.9 dropped, nothing is learned."""


class SnailResNet(nn.Module):
    """Four blocks of 1, 1.5, 2 and 4 times hidden channels (64, 96, 128, 256), a 1x1 convolution and a mean over the map.

    `[B, n, C, H, W]` -> `[B, n, 32 * hidden]`: 2048 features. The paper's last 1x1 convolution (to 384) acts on one
    position, so it is the linear embedding of the learner.
    """

    def __init__(self, input_shape: tuple[int, int, int], hidden: int = 64, mean=(0.0,), std=(1.0,)):
        super().__init__()
        self.normalise = InputNorm(mean, std)
        widths = [input_shape[0], hidden, 3 * hidden // 2, 2 * hidden, 4 * hidden]
        self.blocks = nn.ModuleList(Block(a, b) for a, b in zip(widths[:-1], widths[1:], strict=True))
        self.features = 32 * hidden
        self.wide = nn.Conv2d(widths[-1], self.features, kernel_size=1)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        x = self.normalise(x)
        for block in self.blocks:
            x = F.dropout(block(x, statistics), DROP, self.training)
        pooled = self.wide(x.flatten(0, 1)).mean((2, 3)).unflatten(0, x.shape[:2])
        return F.dropout(F.relu(pooled), DROP, self.training)


class Block(nn.Module):
    """Three convolutions (batch norm, LeakyReLU) plus a 1x1 shortcut, then a 2x2 max-pool that keeps odd borders."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.convolutions = nn.ModuleList(
            ConvNorm(a, outputs, pool=None, slope=SLOPE) for a in (inputs, outputs, outputs)
        )
        self.shortcut = nn.Conv2d(inputs, outputs, kernel_size=1)

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        y = x
        for layer in self.convolutions:
            y = layer(y, statistics)
        y = y.flatten(0, 1) + self.shortcut(x.flatten(0, 1))
        return F.max_pool2d(y, 2, ceil_mode=True).unflatten(0, x.shape[:2])
