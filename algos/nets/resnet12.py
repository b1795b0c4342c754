"""ResNet-12 with DropBlock (Lee et al. 2019, MetaOptNet; its released code)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.nets.layers import ConvNorm, InputNorm, Statistics

SLOPE = 0.1
DROP = 0.1
RAMP = 40_000


class ResNet12(nn.Module):
    """Four residual blocks of 1, 2.5, 5 and 10 times hidden channels (64, 160, 320, 640), each halving the map.

    `[B, n, C, H, W]` -> `[B, n, features]`, flattened without global pooling: 84x84 -> 640 x 5 x 5 = 16,000 features.
    Dropout 0.1 in the first two blocks, DropBlock (5x5) in the last two; its rate rises to 0.1 over 40,000 training
    passes (the released code also counts passes at test).
    """

    def __init__(self, input_shape: tuple[int, int, int], hidden: int = 64, mean=(0.0,), std=(1.0,)):
        super().__init__()
        self.normalise = InputNorm(mean, std)
        widths = [input_shape[0], hidden, 5 * hidden // 2, 5 * hidden, 10 * hidden]
        self.blocks = nn.ModuleList(
            Residual(a, b, drop_block=i >= 2)
            for i, (a, b) in enumerate(zip(widths[:-1], widths[1:], strict=True))
        )
        side = input_shape[1] // 16
        self.map_shape = (widths[-1], side, side)
        self.features = widths[-1] * side * side

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        x = self.normalise(x)
        for block in self.blocks:
            x = block(x, statistics)
        return x.flatten(2)


class Residual(nn.Module):
    """Three convolutions and a 1x1 shortcut, LeakyReLU 0.1, max-pool, dropout or DropBlock."""

    def __init__(self, inputs: int, outputs: int, drop_block: bool):
        super().__init__()
        self.convolutions = nn.ModuleList(
            ConvNorm(a, outputs, pool=None, slope=slope)
            for a, slope in ((inputs, SLOPE), (outputs, SLOPE), (outputs, None))
        )
        self.shortcut = ConvNorm(inputs, outputs, kernel=1, padding=0, pool=None, slope=None)
        for layer in (*self.convolutions, self.shortcut):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="leaky_relu")
        self.drop_block = drop_block
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        y = x
        for layer in self.convolutions:
            y = layer(y, statistics)
        y = F.leaky_relu(y + self.shortcut(x, statistics), SLOPE)
        y = F.max_pool2d(y.flatten(0, 1), 2)
        return self._drop(y).unflatten(0, x.shape[:2])

    def _drop(self, y: Tensor) -> Tensor:
        if not self.training:
            return y
        if not self.drop_block:
            return F.dropout(y, DROP)
        rate = DROP * (self.passes.clamp(max=RAMP) / RAMP)
        self.passes += 1
        return drop_block(y, rate, size=5)


def drop_block(y: Tensor, rate: Tensor, size: int) -> Tensor:
    """Zero random squares of the maps `[n, C, H, W]` so that a share `rate` is dropped (Ghiasi et al. 2018).

    Seeds lie where a whole square fits; on maps smaller than `size` the square is the map.
    """
    side = y.shape[-1]
    size = min(size, side)
    places = side - size + 1
    gamma = rate / size**2 * side**2 / places**2
    seeds = (torch.rand(*y.shape[:2], places, places, device=y.device, dtype=y.dtype) < gamma).to(y.dtype)
    dropped = F.max_pool2d(F.pad(seeds, [size - 1] * 4), size, stride=1)
    kept = 1 - dropped
    return y * kept * (kept.numel() / kept.sum().clamp(min=1))
