"""Networks of MetaNet: two learners with slow and fast weights, and the meta-learners that produce the fast ones.

Fast weights are stored as one vector of convolution weights and one of linear weights; the meta-learners have separate
parameters for the two (Munkhdalai & Yu 2017, released code).
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from algos.nets.layers import ConvNorm, InputNorm, Statistics, conv2d, per_task

KINDS = ("conv", "linear")
SCALE = 7.0
"""p in the preprocessing of gradients."""
CACHED = 2**12
"""Coordinates per call of a meta-learner on a CPU: their activations fit the cache of a core (twice as fast)."""
TYPICAL = torch.cat([sign * torch.exp(-torch.linspace(2, 12, 100)) for sign in (1, -1)])
"""Typical gradients `[200]`: both signs, log-magnitudes equally spaced. The meta-learners are initialised on them."""
STORED = 2**19
"""Largest number of coordinates whose activations are stored (about 3 kB each)."""

Weights = dict[str, Tensor]


def preprocess(gradient: Tensor) -> Tensor:
    """Log-magnitude of a gradient and its sign (if tiny, its scaled value): `[...]` -> `[..., 2]`, both of order 1."""
    magnitude = torch.log(gradient.abs().clamp_min(1e-30)) / SCALE
    return torch.stack([magnitude.clamp_min(-1), (gradient * math.exp(SCALE)).clamp(-1, 1)], dim=-1)


def in_chunks(
    function: Callable[[Tensor], Tensor], x: Tensor, size: int, dim: int = 0, again: bool = True
) -> Tensor:
    """Apply a function to x in pieces of `size` along `dim`: `[..., n, ...]` -> the results, joined along `dim`.

    again: recompute each piece in the backward pass instead of storing its activations.
    """
    pieces = x.split(size, dim)
    if len(pieces) > 1 and again and torch.is_grad_enabled():
        return torch.cat([checkpoint(function, piece, use_reentrant=False) for piece in pieces], dim)
    return torch.cat([function(piece) for piece in pieces], dim)


def by_coordinate(meta_learner: nn.Module, gradients: Tensor) -> Tensor:
    """Apply a meta-learner to gradients `[K, ...]` -> `[K]`; beyond STORED coordinates, activations are not stored."""
    size = CACHED if gradients.device.type == "cpu" else STORED
    return in_chunks(meta_learner, gradients, size, again=len(gradients) > STORED)


class ExampleMetaLearner(nn.Module):
    """m: gradient of one example -> its fast weights, `[K]` -> `[K]`, by a perceptron shared by all coordinates."""

    def __init__(self, units: int):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(2, units), nn.ReLU(), nn.Linear(units, units), nn.ReLU())
        self.output = nn.Linear(units, 1)
        start_small(self, TYPICAL)

    def forward(self, gradient: Tensor) -> Tensor:
        return self.output(self.hidden(preprocess(gradient))).squeeze(-1)


class TaskMetaLearner(nn.Module):
    """d: gradients of T chunks of the support set -> fast weights, `[K, T]` -> `[K]`, by an LSTM over T."""

    def __init__(self, units: int):
        super().__init__()
        self.lstm = nn.LSTM(2, units, batch_first=True)
        self.output = nn.Linear(units, 1)
        start_small(self, TYPICAL.unsqueeze(1).expand(-1, 5))

    def forward(self, gradients: Tensor) -> Tensor:
        _, (hidden, _) = self.lstm(preprocess(gradients))
        return self.output(hidden[0]).squeeze(-1)


def start_small(meta_learner: nn.Module, gradients: Tensor) -> None:
    """Start the last layer near zero, so that fast weights of typical gradients `[K, ...]` are small and of mean zero.

    Fast weights of the default scale (0.1 to 0.3, all of one sign) multiply up through the layers to logits of 1e9. If
    small ones are all negative, no fast unit passes its ReLU and the meta-learner never gets a gradient (measured on
    Omniglot for one seed in three).
    """
    nn.init.normal_(meta_learner.output.weight, std=0.01 / math.sqrt(meta_learner.output.in_features))
    nn.init.zeros_(meta_learner.output.bias)
    with torch.no_grad():
        meta_learner.output.bias -= meta_learner(gradients.to(meta_learner.output.weight)).mean()


class AugmentedNet(nn.Module):
    """Convolutions and two linear layers without biases, in which fast weights may act beside the slow ones.

    Inputs are `[G, n, C, H, W]`. Slow weights are shared or `[G, ...]`; fast weights are `[G, ...]`, one set for n
    inputs.
    """

    def __init__(self, channels: int, size: int, hidden: int, outputs: int, blocks: int):
        super().__init__()
        features = hidden * size_after(size, blocks) ** 2
        shapes = {f"conv{i}": (hidden, hidden if i else channels, 3, 3) for i in range(blocks)}
        shapes |= {"linear0": (features, features), "linear1": (outputs, features)}
        self.slow = nn.ParameterDict(
            {name: nn.init.kaiming_uniform_(torch.empty(shape)) for name, shape in shapes.items()}
        )

    def logits(self, x: Tensor, slow: Weights, fast: Weights | None = None) -> Tensor:
        """Logits `[G, n, outputs]` of inputs `[G, n, C, H, W]`."""
        hidden = self._features(x, slow, fast)
        hidden = F.relu(_linear(hidden, slow["linear0"])) + (
            F.relu(_linear(hidden, fast["linear0"])) if fast else 0
        )
        return _linear(hidden, slow["linear1"]) + (_linear(hidden, fast["linear1"]) if fast else 0)

    def keys(self, x: Tensor, slow: Weights, fast: Weights) -> Tensor:
        """Embedding `[G, n, D]` of inputs `[G, n, C, H, W]`: output of the first linear layer, here without a ReLU."""
        hidden = self._features(x, slow, fast)
        return _linear(hidden, slow["linear0"]) + _linear(hidden, fast["linear0"])

    def _features(self, x: Tensor, slow: Weights, fast: Weights | None) -> Tensor:
        for name in (name for name in slow if name.startswith("conv")):
            y = F.relu(conv2d(x, slow[name]))
            if fast:
                y = y + F.relu(conv2d(x, fast[name]))
            x = F.max_pool2d(y.flatten(0, 1), 2, ceil_mode=True).unflatten(0, x.shape[:2])
        return x.flatten(2)

    def loss_gradients(self, x: Tensor, y: Tensor, share: Tensor) -> dict[str, Tensor]:
        """Gradient of each group's loss with respect to the slow weights, as constants: `[G, K]` by kind.

        x `[G, n, C, H, W]`, y `[G, n]`; share `[G, n]`: weights of the cross-entropies in the loss of their group.
        """
        with torch.enable_grad():
            slow = {
                name: w.detach().expand(len(x), *w.shape).requires_grad_() for name, w in self.slow.items()
            }
            logits = self.logits(x.detach(), slow)
            losses = F.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
            gradients = torch.autograd.grad(losses @ share.flatten(), list(slow.values()))
        return self.joined(dict(zip(slow, gradients, strict=True)))

    @staticmethod
    def joined(weights: Weights) -> dict[str, Tensor]:
        """Join weights `[G, ...]` by layer into vectors `[G, K]` by kind."""
        return {
            kind: torch.cat([w.flatten(1) for name, w in weights.items() if name.startswith(kind)], dim=1)
            for kind in KINDS
        }

    def split(self, vectors: dict[str, Tensor]) -> Weights:
        """Split vectors `[G, K]` by kind into weights `[G, ...]` by layer: the inverse of `joined`.

        Vectors may be shorter; layers beyond their end are left out.
        """
        weights = {}
        for kind, vector in vectors.items():
            for name, like in self.slow.items():
                if name.startswith(kind) and vector.shape[1] >= like.numel():
                    part, vector = vector.split([like.numel(), vector.shape[1] - like.numel()], dim=1)
                    weights[name] = part.unflatten(1, like.shape)
        return weights


def _linear(x: Tensor, weight: Tensor) -> Tensor:
    return x @ per_task(weight, 2).transpose(1, 2)


def size_after(size: int, blocks: int) -> int:
    """Side of a map after this many 2x2 poolings that keep odd borders."""
    for _ in range(blocks):
        size = math.ceil(size / 2)
    return size


class SlowBlocks(nn.Module):
    """First blocks of both learners, with slow weights only: `[B, n, C, H, W]` -> `[B, n, 2, ...]`.

    Without blocks, both learners see the image: `[B, n, 1, C, H, W]`.
    """

    def __init__(self, channels: int, hidden: int, blocks: int, mean: tuple, std: tuple):
        super().__init__()
        self.normalise = InputNorm(mean, std)
        self.learners = nn.ModuleList(
            nn.ModuleList(
                ConvNorm(hidden if i else channels, hidden, pool=(2, 2, 0, 1, True)) for i in range(blocks)
            )
            for _ in range(2 if blocks else 0)
        )

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        x = self.normalise(x)
        maps = []
        for blocks in self.learners:
            y = x
            for block in blocks:
                y = block(y, statistics)
            maps.append(y)
        return torch.stack(maps or [x], dim=2)
