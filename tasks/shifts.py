"""Distribution shifts of growing severity: what happens to a learner when new tasks look unlike the training tasks.

Severities follow MNIST-C (Mu and Gilmer 2019) and ImageNet-C (Hendrycks and Dietterich 2019) where those leave a 28x28
drawing legible; shear and scale also take the values of Finn and Levine (2018), which are explicit strengths.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tasks import shift_ops
from tasks.dataset import ImageSplit
from tasks.images import resize, to_uint8, unpack_ink
from tasks.shift_ops import Draws

KINDS = ("glyphs", "photos")
SEVERITIES = range(6)
CHUNK = 32  # images at a time: small enough to stay in cache (32 originals of 105x105 take 1.4 MB)


@dataclass(frozen=True)
class Shift:
    """One kind of shift.

    unit: what a strength counts ("px" of the prepared image where lengths scale with the resolution);
    limits: lowest and highest strength allowed; identity: the strength that changes nothing;
    levels: strengths of severities 1..5 by kind of image;
    stage: "geometry" acts on full-resolution originals where there are any, "pixels" on the prepared image.
    """

    name: str
    title: str
    unit: str
    identity: float
    limits: tuple[float, float]
    levels: dict[str, tuple[float, float, float, float, float]]
    stage: Literal["geometry", "pixels"]
    operation: Callable[[Tensor, float, str, Draws], Tensor]
    doc: str

    def check(self, value: float) -> None:
        """ValueError names the limits, unless they hold this strength."""
        low, high = self.limits
        if not low <= value <= high:
            raise ValueError(
                f"value of shift {self.name!r} must be from {low} to {high} {self.unit}, not {value!r}"
            )


def _tangents(*values: float) -> tuple[float, ...]:
    return tuple(math.atan(value) for value in values)


def _table() -> dict[str, Shift]:
    def levels(glyphs, photos=None):
        return {"glyphs": glyphs} | ({"photos": photos} if photos else {})

    inf, ops = math.inf, shift_ops
    shrink, fade, sigma = (0.9, 0.8, 0.7, 0.6, 0.5), (0.4, 0.3, 0.2, 0.1, 0.05), (0.5, 0.75, 1.0, 1.25, 1.5)
    rows = [
        Shift("smear", "Smear", "px", 0, (0, inf), levels((3, 5, 7, 9, 11), (5, 7, 9, 13, 17)), "geometry", ops.smear,
              "ink dragged to the upper right, its trail fading over this length; photos: a fading motion blur"),
        Shift("shear", "Shear", "rad", 0, (-1.5, 1.5),
              levels(_tangents(0.2, 0.4, 0.6, 0.8, 1.0), _tangents(0.1, 0.2, 0.3, 0.4, 0.5)), "geometry", ops.shear,
              "rows displaced in proportion to their height; a positive angle leans left, a negative one right"),
        Shift("scale", "Scale", "x", 1, (0.05, 20), levels(shrink, shrink), "geometry", ops.scale,
              "size of the content in a frame of constant size"),
        Shift("rotate", "Rotation", "rad", 0, (-math.tau, math.tau),
              levels((0.2, 0.4, 0.6, 0.8, 1.0), (0.15, 0.3, 0.45, 0.6, 0.8)), "geometry", ops.rotate,
              "counter-clockwise; 0.79 is as far from the class as from its copy turned by 90 degrees"),
        Shift("translate", "Translation", "px", 0, (0, inf), levels((1, 2, 3, 4, 5), (3, 6, 9, 12, 15)), "geometry",
              ops.translate, "each image moved in a random direction of its own"),
        Shift("blur", "Blur", "px", 0, (0, inf), levels(sigma, sigma), "geometry", ops.blur,
              "Gaussian blur of this standard deviation"),
        Shift("noise", "Gaussian noise", "sigma", 0, (0, inf),
              levels((0.08, 0.12, 0.18, 0.26, 0.38), (0.04, 0.08, 0.12, 0.15, 0.18)), "pixels", ops.noise,
              "independent Gaussian noise of this standard deviation, clipped"),
        Shift("impulse", "Impulse noise", "share", 0, (0, 1),
              levels((0.03, 0.06, 0.09, 0.17, 0.27), (0.01, 0.02, 0.05, 0.08, 0.14)), "pixels", ops.impulse,
              "this share of the values replaced by black or white"),
        Shift("occlude", "Occlusion", "px", 0, (0, inf), levels((4, 6, 8, 10, 12), (12, 20, 28, 36, 44)), "pixels",
              ops.occlude, "a square of this side hidden, centred on ink but never over all of it; photos: anywhere"),
        Shift("contrast", "Contrast", "x", 1, (0, inf), levels(fade, fade), "pixels", ops.contrast,
              "distance of each value to the image's mean"),
        Shift("thickness", "Stroke thickness", "px", 0, (-inf, inf), levels((0.3, 0.6, 0.9, 1.2, 1.5)), "geometry",
              ops.thickness, "strokes grown by a disk of this radius; a negative one thins, 40 % of the ink stays"),
    ]  # fmt: skip
    return {row.name: row for row in rows}


SHIFTS: dict[str, Shift] = _table()


def find(name: str, kind: str) -> Shift:
    """The shift of this name, if it is defined for this kind of image. ValueError names what may be chosen."""
    if kind not in KINDS:
        raise ValueError(f"kind of image {kind!r} is unknown; choose from {', '.join(KINDS)}")
    available = [shift.name for shift in SHIFTS.values() if kind in shift.levels]
    if name not in available:
        raise ValueError(f"shift {name!r} is not defined for {kind}; choose from {', '.join(available)}")
    return SHIFTS[name]


def strength(name: str, severity: int, kind: str) -> float:
    """Strength of a severity 0..5; 0 is the identity."""
    shift = find(name, kind)
    if severity not in SEVERITIES:
        raise ValueError(f"severity of shift {name!r} must be an integer from 0 to 5, not {severity!r}")
    return float(shift.levels[kind][int(severity) - 1]) if severity else float(shift.identity)


def apply(images: Tensor, name: str, value: float, *, kind: str, ids: Tensor, seed: int = 0) -> Tensor:
    """Shift a batch at once: float32 `[n, C, H, W]` in [0, 1] -> the same shape, clamped to [0, 1].

    value: the strength, lengths in pixels of `images`. ids: int64 `[n]`, a stable number per image: with `name` and
    `seed` it determines the image's random choices, which therefore do not depend on batch, order, device or `value`
    (a stronger shift moves the same image further along the same way). The identity value returns `images` itself.
    """
    shift = find(name, kind)
    shift.check(value)
    if images.ndim != 4 or images.dtype != torch.float32 or ids.shape != images.shape[:1]:
        raise ValueError(
            f"shift {name!r} needs images float32 [n, C, H, W] and ids [n], "
            f"not {images.dtype} {list(images.shape)} and {list(ids.shape)}"
        )
    if value == shift.identity:
        return images
    draws = Draws(ids.to(images.device), "shift", name, seed)
    return shift.operation(images, value, kind, draws).clamp(0, 1)


def shifted(
    split: ImageSplit, image_ids: Tensor, name: str, value: float, seed: int = 0, chunk: int = CHUNK
) -> Tensor:
    """Shifted images of a split on its device: flat ids int64 `[n]` -> uint8 `[n, C, H, W]`, on the grid of prepared data.

    Geometry acts on the full-resolution originals where the data set keeps them, and the result is resized as the
    prepared images were. The identity value gives exactly the prepared images.
    """
    meta, device = split.data.meta, split.images.device
    shift = find(name, meta["kind"])
    image_ids = image_ids.to(device)
    if value == shift.identity:
        return split.images.flatten(0, 1)[image_ids]
    enlarged = shift.stage == "geometry" and split.data.originals is not None
    ratio = meta["original_size"] / meta["size"] if enlarged and shift.unit == "px" else 1.0
    result = torch.empty(len(image_ids), *split.input_shape, dtype=torch.uint8, device=device)
    for ids, target in zip(image_ids.split(chunk), result.split(chunk), strict=True):
        images = _originals(split, ids) if enlarged else split.gather(ids)
        images = apply(images, name, value * ratio, kind=meta["kind"], ids=_stable_ids(split, ids), seed=seed)
        target.copy_(to_uint8(resize(images, meta["size"]) if enlarged else images))
    return result


def _locate(split: ImageSplit, ids: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flat ids -> quarter turns, class in the data set, image in the class; int64 `[n]` each."""
    classes, image = ids // split.images.shape[1], ids % split.images.shape[1]
    base = torch.tensor(split.base_classes, device=ids.device)
    return classes // len(base), base[classes % len(base)], image


def _stable_ids(split: ImageSplit, ids: Tensor) -> Tensor:
    """Numbers that follow an image through every part and split of its data set."""
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
