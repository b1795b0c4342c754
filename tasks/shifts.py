"""Shift images, so that test tasks look unlike the training tasks. Names and strengths: `tasks.shift_table`."""

import numpy as np
import torch
from torch import Tensor

from tasks import shift_ops
from tasks.dataset import ImageSplit
from tasks.images import resize, to_uint8, unpack_ink
from tasks.shift_ops import Draws
from tasks.shift_table import find

CHUNK = 32  # images at a time, few enough for the processor's cache (32 originals of 105x105 take 1.4 MB)


def apply(images: Tensor, name: str, value: float, *, imagery: str, ids: Tensor, seed: int = 0) -> Tensor:
    """Shift a batch: float32 `[n, C, H, W]` in [0, 1] -> the same shape, clamped to [0, 1].

    value: strength, lengths in pixels of `images`. ids: int64 `[n]`, a stable number per image; with `name` and `seed`
    it determines the random choices of the image, which therefore do not depend on batch, order, device or `value`
    (a stronger shift moves the same image further in the same direction). The identity value returns `images` itself.
    ValueError: unknown shift, strength outside of its limits, wrong type or shape.
    """
    shift = find(name, imagery)
    shift.check(value)
    if images.ndim != 4 or images.dtype != torch.float32 or ids.shape != images.shape[:1]:
        raise ValueError(
            f"shift {name!r} needs images float32 [n, C, H, W] and ids [n], "
            f"not {images.dtype} {list(images.shape)} and {list(ids.shape)}"
        )
    if value == shift.identity:
        return images
    draws = Draws(ids.to(images.device), "shift", name, seed)
    return getattr(shift_ops, name)(images, value, imagery, draws).clamp(0, 1)


def shifted(
    split: ImageSplit, image_ids: Tensor, name: str, value: float, seed: int = 0, chunk: int = CHUNK
) -> Tensor:
    """Return shifted images of a split on its device: flat ids int64 `[n]` -> uint8 `[n, C, H, W]`.

    Geometry acts on the full-resolution originals where the data set keeps them; the result is resized as the prepared
    images were. The identity value returns exactly the prepared images.
    """
    meta, device = split.data.meta, split.images.device
    shift = find(name, meta["imagery"])
    image_ids = image_ids.to(device)
    if value == shift.identity:
        return split.images.flatten(0, 1)[image_ids]
    enlarged = shift.acts_on == "geometry" and split.data.originals is not None
    ratio = meta["original_size"] / meta["size"] if enlarged and shift.unit == "px" else 1.0
    result = torch.empty(len(image_ids), *split.input_shape, dtype=torch.uint8, device=device)
    for ids, target in zip(image_ids.split(chunk), result.split(chunk), strict=True):
        images = _originals(split, ids) if enlarged else split.gather(ids)
        images = apply(
            images, name, value * ratio, imagery=meta["imagery"], ids=_stable_ids(split, ids), seed=seed
        )
        target.copy_(to_uint8(resize(images, meta["size"]) if enlarged else images))
    return result


def _locate(split: ImageSplit, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Split flat ids into quarter turns, class in the data set and image in the class; int64 `[n]` each."""
    classes, image = ids // split.images.shape[1], ids % split.images.shape[1]
    base = torch.tensor(split.base_classes, device=ids.device)
    return classes // len(base), base[classes % len(base)], image


def _stable_ids(split: ImageSplit, ids: Tensor) -> Tensor:
    """Number of each image, the same in every part and split of its data set: int64 `[n]`."""
    turns, base, image = _locate(split, ids)
    classes, per_class = split.data.images.shape[:2]
    return (turns * classes + base) * per_class + image


def _originals(split: ImageSplit, ids: Tensor) -> Tensor:
    """Full-resolution drawings, turned as their classes are: float32 `[n, 1, size, size]`, ink = 1."""
    turns, base, image = (part.cpu().numpy() for part in _locate(split, ids))
    ink = unpack_ink(split.data.originals[base, image], split.data.meta["original_size"])
    for turn in np.unique(turns[turns > 0]):
        ink[turns == turn] = np.rot90(ink[turns == turn], turn, axes=(1, 2))
    return torch.from_numpy(ink).to(split.images.device).unsqueeze(1).float()
