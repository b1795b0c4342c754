"""Streams of labelled images (Santoro et al. 2016): a learner names each image, then sees its label.

A stream holds a few classes under labels of its own, so a class can only be named after one of its images was seen with
its label. The score is accuracy by presentation: at the first, second, ... image of a class.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.dataset import ImageSplit
from tasks.episodes import draw_distinct

SIZE = 20  # pixels of the side of an image
LARGEST_ANGLE, LARGEST_SHIFT = math.pi / 16, 10 / 105
"""Augmentation: largest rotation in radians, largest translation as a share of the side of the image."""


@dataclass(frozen=True, eq=False)
class Streams:
    """B streams of T images: x float32 `[B, T, SIZE * SIZE]` in [0, 1], y int64 `[B, T]` labels in [0, way)."""

    x: Tensor
    y: Tensor
    way: int


class StreamSampler:
    """Streams from resident images, drawn on the device by the sampler's own generator.

    balanced: each class appears equally often, so that past labels tell which are still missing (see `count_only`);
    otherwise every label is drawn independently. augment: rotate and translate each image a little, at random.
    """

    def __init__(self, split: ImageSplit, generator: torch.Generator, balanced: bool, augment: bool):
        self.split, self.generator, self.balanced, self.augment = split, generator, balanced, augment
        self.classes, self.per_class = split.images.shape[:2]
        self.drawn = split.smallest  # images that a stream may show of a class

    def sample(self, streams: int, way: int = 5, length: int = 50) -> Streams:
        """Draw classes, labels and images for each stream; images repeat when a class has no more."""
        classes = draw_distinct(self.classes, way, (streams,), self.generator)
        images = self._permutations(streams, way, self.drawn)
        y = self._labels(streams, way, length)
        seen = presentations(y, way) % self.drawn
        image = images.gather(1, y.unsqueeze(-1).expand(-1, -1, self.drawn)).gather(2, seen.unsqueeze(-1))
        pixels = self.split.gather(classes.gather(1, y) * self.per_class + image.squeeze(-1)).flatten(0, 1)
        x = small_images(pixels, *self._movements(len(pixels)))
        return Streams(x.flatten(1).unflatten(0, (streams, length)), y, way)

    def _labels(self, streams: int, way: int, length: int) -> Tensor:
        device = self.generator.device
        if not self.balanced:
            return torch.randint(way, (streams, length), generator=self.generator, device=device)
        if length % way:
            raise ValueError(f"a balanced stream of {way} classes cannot have {length} images")
        return self._permutations(streams, length) % way

    def _permutations(self, *shape: int) -> Tensor:
        """Permutations of the last dimension, drawn independently: int64 `[*shape]`."""
        noise = torch.rand(*shape, generator=self.generator, device=self.generator.device)
        return noise.argsort(dim=-1, stable=True)

    def _movements(self, count: int) -> tuple[Tensor, Tensor]:
        draws = 2 * torch.rand(count, 3, generator=self.generator, device=self.generator.device) - 1
        draws = draws * self.augment
        return LARGEST_ANGLE * draws[:, 0], LARGEST_SHIFT * draws[:, 1:]


def small_images(images: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Rotate, translate and shrink images: `[n, 1, H, W]` -> `[n, 1, SIZE, SIZE]`.

    angle: radians `[n]`; shift: `[n, 2]`, x and y as a share of the side.
    """
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)], dim=-2)
    where = torch.cat([turn, -2 * shift.unsqueeze(-1)], dim=-1)  # the grid's coordinates run from -1 to 1
    grid = F.affine_grid(where, [len(images), 1, SIZE, SIZE], align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def presentations(y: Tensor, way: int) -> Tensor:
    """Count how often each label has appeared before in its stream: int64 `[B, T]`, 0 at the first presentation."""
    one_hot = F.one_hot(y, way)
    return (one_hot.cumsum(1) * one_hot).sum(-1) - 1


def by_presentation(credit: Tensor, y: Tensor, way: int, count: int = 10) -> list[float]:
    """Return the mean of `credit` `[B, T]` at the first, ..., `count`-th presentation of a class."""
    number = presentations(y, way)
    return [credit[number == k].double().mean().item() for k in range(count)]


def count_only(y: Tensor, way: int, balanced: bool) -> Tensor:
    """Credit `[B, T]` of the best guess from past labels alone; equally good guesses share the credit.

    In a balanced stream the classes seen least often are most likely; independent labels give no clue.
    """
    if not balanced:
        return torch.full(y.shape, 1 / way)
    before = F.one_hot(y, way).cumsum(1) - F.one_hot(y, way)
    best = before == before.amin(-1, keepdim=True)
    return best.gather(-1, y.unsqueeze(-1)).squeeze(-1) / best.sum(-1)
