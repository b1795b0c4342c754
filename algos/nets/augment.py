"""Augmentation of photos: random crop, colour jitter and mirroring of a whole batch on its device."""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tasks.episodes import Episodes

CROPS = ("resized", "padded")
"""A box of 8 to 100 % of the area, enlarged (Chen et al. 2019); the image moved by up to PADDING (Lee et al. 2019)."""
PADDING = 8 / 84
JITTER = 0.4
CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def augmented_tasks(episodes: Episodes, crop: str) -> Episodes:
    """Augment every image of training tasks, support and queries alike; `none` leaves them as they are."""
    if crop == "none":
        return episodes
    if episodes.support_x.ndim != 5:
        raise ValueError(f"hyper-parameter augment: {crop!r} is for images; regression has `none`")
    sets = (episodes.support_x, episodes.query_x)
    support, query = (augmented(x.flatten(0, 1), crop).unflatten(0, x.shape[:2]) for x in sets)
    return replace(episodes, support_x=support, query_x=query)


def augmented(images: Tensor, crop: str = "resized") -> Tensor:
    """Augment images `[n, C, H, W]` in [0, 1], each independently, with draws from torch's global generator; same shape."""
    return _jittered(_cropped(images) if crop == "resized" else _moved(images))


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images), device=images.device, dtype=images.dtype).uniform_(low, high)


def _cropped(images: Tensor) -> Tensor:
    """Enlarge a random box of 8 to 100 % of the area to the full size and mirror half of the images."""
    area = _uniform(images, *CROP_AREA)
    stretch = _uniform(images, *map(math.log, CROP_RATIO)).exp()
    width, height = (area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)
    left, top = (1 - width) * _uniform(images, -1, 1), (1 - height) * _uniform(images, -1, 1)
    return _sampled(images, width, height, left, top, "border")


def _moved(images: Tensor) -> Tensor:
    """Move images by up to `PADDING` of their side, in whole pixels, into black margins and mirror half of them."""
    most = round(PADDING * images.shape[-1])
    left, top = (_uniform(images, 0, 2 * most + 1).floor() - most for _ in range(2))
    one, pixel = torch.ones_like(left), 2 / images.shape[-1]
    return _sampled(images, one, one, left * pixel, top * pixel, "zeros")


def _sampled(images: Tensor, width: Tensor, height: Tensor, left: Tensor, top: Tensor, margin: str) -> Tensor:
    mirror = torch.where(_uniform(images, 0, 1) < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(width)
    rows = [torch.stack([width * mirror, zero, left], dim=1), torch.stack([zero, height, top], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), images.shape, align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=margin, align_corners=False)


def _jittered(images: Tensor) -> Tensor:
    """Multiply brightness, contrast and saturation, in this order, each by a factor of 0.6 to 1.4."""
    brightness, contrast, saturation = (
        _uniform(images, 1 - JITTER, 1 + JITTER).view(-1, 1, 1, 1) for _ in range(3)
    )
    images = (images * brightness).clamp(0, 1)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (mean + (images - mean) * contrast).clamp(0, 1)
    grey = images.mean(1, keepdim=True)
    return (grey + (images - grey) * saturation).clamp(0, 1)
