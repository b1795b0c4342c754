"""Augmentation of photos as in Chen et al. (2019): random crop, colour jitter and flip of a whole batch on its device."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

JITTER = 0.4
CROP_AREA, CROP_RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


def augmented(images: Tensor) -> Tensor:
    """Augment images `[n, C, H, W]` in [0, 1], each independently, with draws from torch's global generator; same shape."""
    return _jittered(_cropped(images))


def _uniform(images: Tensor, low: float, high: float) -> Tensor:
    return torch.empty(len(images), device=images.device, dtype=images.dtype).uniform_(low, high)


def _cropped(images: Tensor) -> Tensor:
    """Enlarge a random box of 8 to 100 % of the area to the full size and mirror half of the images."""
    area = _uniform(images, *CROP_AREA)
    stretch = _uniform(images, *map(math.log, CROP_RATIO)).exp()
    width, height = (area * stretch).sqrt().clamp(max=1), (area / stretch).sqrt().clamp(max=1)
    left, top = (1 - width) * _uniform(images, -1, 1), (1 - height) * _uniform(images, -1, 1)
    mirror = torch.where(_uniform(images, 0, 1) < 0.5, -1.0, 1.0)
    zero = torch.zeros_like(width)
    rows = [torch.stack([width * mirror, zero, left], dim=1), torch.stack([zero, height, top], dim=1)]
    grid = F.affine_grid(torch.stack(rows, dim=1), images.shape, align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


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
