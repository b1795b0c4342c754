"""Streams of labelled images (Santoro et al. 2016): each image is to be named before its label is shown.

A stream holds a few classes under labels drawn afresh, so a class can only be named once it has been seen with its
label. What is scored is accuracy by presentation: at the first, second, ... image of a class.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.dataset import ImageSplit
from tasks.episodes import draw_distinct

SIZE = 20
LARGEST_ANGLE, LARGEST_SHIFT = math.pi / 16, 10 / 105
"""Augmentation: radians, and a share of the image's side."""


@dataclass(frozen=True, eq=False)
class Streams:
    """x `[B, T, SIZE * SIZE]` pixels in [0, 1], y int64 `[B, T]` labels."""

    x: Tensor
    y: Tensor
    way: int


class StreamSampler:
    """Streams from resident images, drawn on the device by the sampler's own generator.

    balanced: each class comes equally often, so that labels alone tell what is still to come (see `count_only`);
    otherwise every label is drawn independently. augment: small random rotations and translations of each image.
    """

    def __init__(self, split: ImageSplit, generator: torch.Generator, balanced: bool, augment: bool):
        self.split, self.generator, self.balanced, self.augment = split, generator, balanced, augment
        self.classes, self.per_class = split.images.shape[:2]

    def sample(self, streams: int, way: int = 5, length: int = 50) -> Streams:
        """Fresh classes, labels and images for each stream; an image comes again when a class has no more."""
        classes = draw_distinct(self.classes, way, (streams,), self.generator)
        images = self._permutations(streams, way, self.per_class)
        y = self._labels(streams, way, length)
        seen = presentations(y, way) % self.per_class
        image = images.gather(1, y.unsqueeze(-1).expand(-1, -1, self.per_class)).gather(2, seen.unsqueeze(-1))
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
        """Of the last dimension, each drawn anew."""
        noise = torch.rand(*shape, generator=self.generator, device=self.generator.device)
        return noise.argsort(dim=-1, stable=True)

    def _movements(self, count: int) -> tuple[Tensor, Tensor]:
        draws = 2 * torch.rand(count, 3, generator=self.generator, device=self.generator.device) - 1
        draws = draws * self.augment
        return LARGEST_ANGLE * draws[:, 0], LARGEST_SHIFT * draws[:, 1:]


def small_images(images: Tensor, angle: Tensor, shift: Tensor) -> Tensor:
    """Images `[n, 1, H, W]` turned by `angle` `[n]` and moved by `shift` `[n, 2]` (x, y; share of the side), 20 x 20."""
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack([torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)], dim=-2)
    where = torch.cat([turn, -2 * shift.unsqueeze(-1)], dim=-1)  # the grid's coordinates run from -1 to 1
    grid = F.affine_grid(where, [len(images), 1, SIZE, SIZE], align_corners=False)
    return F.grid_sample(images, grid, align_corners=False)


def presentations(y: Tensor, way: int) -> Tensor:
    """How often each label came before, in its stream: int64 `[B, T]`, 0 at the first presentation."""
    one_hot = F.one_hot(y, way)
    return (one_hot.cumsum(1) * one_hot).sum(-1) - 1


def by_presentation(credit: Tensor, y: Tensor, way: int, count: int = 10) -> list[float]:
    """Mean of `credit` `[B, T]` over all images at the first, ..., `count`-th presentation of their class."""
    number = presentations(y, way)
    return [credit[number == k].double().mean().item() for k in range(count)]


def count_only(y: Tensor, way: int, balanced: bool) -> Tensor:
    """Credit `[B, T]` of the best guess that never looks at an image; equally good guesses share the credit.

    In a balanced stream the classes that came least often are likelier; with independent labels there is no clue.
    """
    if not balanced:
        return torch.full(y.shape, 1 / way)
    before = F.one_hot(y, way).cumsum(1) - F.one_hot(y, way)
    best = before == before.amin(-1, keepdim=True)
    return best.gather(-1, y.unsqueeze(-1)).squeeze(-1) / best.sum(-1)
