"""Small image splits for tests: synthetic drawings with originals, real Omniglot characters, synthetic photos."""

import functools
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tasks.dataset import ImageData, ImageSplit
from tasks.images import pack_ink, shrink_ink, to_uint8
from tasks.preparation.decode import decode_ink
from tasks.seeds import numpy_generator

ZIP = Path(os.environ.get("DATA_MIRROR", "../shared/data")) / "omniglot" / "images_background.zip"


def _meta(imagery: str, size: int, classes: int, **more) -> dict:
    names = [f"script/char{i:02d}" for i in range(classes)]
    return {
        "name": "test", "imagery": imagery, "size": size, "class_names": names, "groups": ["script"] * classes,
        "splits": {"own": {"test": list(range(1, classes))}, "late": {"test": list(range(2, classes))}},
        "default_split": "own", "rotations": 1, **more,
    }  # fmt: skip


def drawn_split(ink: np.ndarray) -> ImageSplit:
    """bool `[classes, per_class, 105, 105]` -> a split with originals and rotations; class 0 is in no part."""
    meta = _meta("glyphs", 28, len(ink), rotations=4, original_size=105)
    return ImageData(meta, shrink_ink(ink, 28), pack_ink(ink)).split("test")


@functools.cache
def strokes(classes: int = 4, per_class: int = 5) -> ImageSplit:
    """Zigzag drawings with strokes 4 pixels wide in the middle of a frame of 105."""
    grid = np.stack(np.mgrid[:105, :105], axis=-1)
    ink = np.zeros((classes, per_class, 105, 105), dtype=bool)
    for place in np.ndindex(classes, per_class):
        corners = numpy_generator("strokes", *place).uniform(25, 80, size=(5, 2))
        for start, end in zip(corners[:-1], corners[1:], strict=True):
            along = np.clip(((grid - start) @ (end - start)) / ((end - start) ** 2).sum(), 0, 1)[..., None]
            ink[place] |= np.linalg.norm(grid - start - along * (end - start), axis=-1) < 2
    return drawn_split(ink)


@functools.cache
def omniglot() -> ImageSplit:
    """Eight real characters; skips the test where the archive is not at hand."""
    if not ZIP.exists():
        pytest.skip("needs the real Omniglot: set DATA_MIRROR")
    with zipfile.ZipFile(ZIP) as archive:
        names = sorted(name for name in archive.namelist() if "/Greek/" in name and name.endswith(".png"))
        ink = np.stack([decode_ink(archive.read(name), name) for name in names[:160]])
    return drawn_split(ink.reshape(8, 20, 105, 105))


@functools.cache
def photos() -> ImageSplit:
    """Smooth random colours, 84x84."""
    noise = torch.rand(30, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.interpolate(noise, size=84, mode="bicubic").clamp(0, 1)
    pixels = to_uint8(smooth).permute(0, 2, 3, 1).numpy().reshape(3, 10, 84, 84, 3)
    return ImageData(_meta("photos", 84, 3), pixels).split("test")


def all_ids(split: ImageSplit) -> Tensor:
    return torch.arange(split.images.shape[0] * split.images.shape[1])


def centres_of_mass(images: Tensor) -> Tensor:
    """`[n, 2]`: x, y relative to the image's centre."""
    mass, size = images.float().sum((1, 2, 3)), images.shape[-1]
    axis = torch.arange(size) - (size - 1) / 2
    x, y = (images.float().sum((1, other)) @ axis / mass for other in (2, 3))
    return torch.stack([x, y], dim=1)
