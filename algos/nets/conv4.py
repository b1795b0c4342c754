"""The four-block convolutional networks of the few-shot literature (research cards, table 0.2)."""

import torch
from torch import Tensor, nn

from algos.nets.layers import ConvNorm, InputNorm, Statistics


class Conv4(nn.Module):
    """Four 3x3 convolution blocks: `[B, n, C, H, W]` images in [0, 1] -> `[B, n, features]`.

    `pool`: convolution, batch norm, ReLU, 2x2 max-pool (Vinyals 2016, Snell 2017): 28x28 -> 64, 84x84 -> 1600 features.
    `stride`: strided convolutions without pooling (Finn 2017, Omniglot): 28x28 -> 2x2, averaged to 64 features.
    `valid`: the first two blocks pool and have no padding, the last two do not pool (Sung 2018); the features are the
    flattened map: 28x28 -> 64x5x5.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        hidden: int = 64,
        form: str = "pool",
        mean: tuple[float, ...] = (0.0,),
        std: tuple[float, ...] = (1.0,),
    ):
        super().__init__()
        layouts = {
            "pool": [dict(pool=(2, 2))] * 4,
            "stride": [dict(stride=2, pool=None)] * 4,
            "valid": [dict(padding=0, pool=(2, 2))] * 2 + [dict(pool=None)] * 2,
        }
        if form not in layouts:
            raise ValueError(f"Conv4 has no form {form!r}; choose from {sorted(layouts)}")
        channels = [input_shape[0]] + [hidden] * 4
        self.average = form == "stride"
        self.blocks = nn.ModuleList(
            ConvNorm(a, b, **layout)
            for a, b, layout in zip(channels[:-1], channels[1:], layouts[form], strict=True)
        )
        self.normalise = InputNorm(mean, std)
        with torch.no_grad():
            self.map_shape = tuple(
                self._maps(torch.zeros(1, 1, *input_shape), Statistics.running()).shape[2:]
            )
        self.features = hidden if self.average else self.map_shape[0] * self.map_shape[1] * self.map_shape[2]

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        maps = self._maps(x, statistics)
        return maps.mean((3, 4)) if self.average else maps.flatten(2)

    def _maps(self, x: Tensor, statistics: Statistics) -> Tensor:
        x = self.normalise(x)
        for block in self.blocks:
            x = block(x, statistics)
        return x
