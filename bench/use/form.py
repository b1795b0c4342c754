"""The form of the inputs that a trained learner takes, and pictures or arrays brought into it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tasks import dataset
from tasks.catalogue import REGRESSION
from tasks.images import resize
from tasks.preparation.archives import DataError
from tasks.preparation.decode import decode_shown, fit_square, to_bytes

GREY = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue in a grey value."""


@dataclass(frozen=True)
class Form:
    """shape: of one input, `(C, H, W)` or `(d,)`. mean, std: per channel, in [0, 1] units; the network applies them.

    drawings: the inputs are drawings, with ink = 1 on a background of 0.
    """

    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    drawings: bool

    def inputs(self, given: Any) -> Tensor:
        """Float `[n, *shape]`, from paths of pictures or an array. ValueError says what differs."""
        if len(self.shape) == 1:
            return self._points(given)
        if isinstance(given, str | Path):
            raise ValueError(f"{given!r} is one path: give a list of paths, or an array of pictures")
        if _are_paths(given):
            return torch.stack([self._picture(Path(path)) for path in given])
        return self._array(given)

    def _points(self, given: Any) -> Tensor:
        points = torch.as_tensor(np.asarray(given, dtype=np.float32))
        if points.ndim != 2 or points.shape[1:] != self.shape:
            raise ValueError(
                f"inputs have the shape {list(points.shape)}; this learner takes [n, {self.shape[0]}]"
            )
        return points

    def _picture(self, path: Path) -> Tensor:
        """One picture file as `[C, H, W]`: as a viewer shows it; a drawing is inverted if most of it is bright."""
        if not path.is_file():
            raise FileNotFoundError(f"{path}: there is no such picture")
        pixels = decode_shown(path.read_bytes(), str(path))
        if self.drawings:
            pixels = _grey(pixels)
            pixels = 255 - pixels if pixels.mean() > 127.5 else pixels
        pixels = fit_square(self._with_channels(pixels), self.shape[1])
        return _to_values(pixels)

    def _array(self, given: Any) -> Tensor:
        """`[n, H, W]`, `[n, H, W, 1 or 3]` or `[n, 1 or 3, H, W]` in any range that `to_bytes` knows; squashed to the side."""
        values = given.detach().cpu().numpy() if isinstance(given, Tensor) else _as_array(given)
        if values.ndim == 4 and values.shape[1] in (1, 3) and values.shape[3] not in (1, 3):
            values = values.transpose(0, 2, 3, 1)
        if values.ndim == 4 and values.shape[3] == 1:
            values = values[..., 0]
        if values.ndim not in (3, 4) or values.shape[3:] not in ((), (3,)) or 0 in values.shape:
            raise ValueError(
                f"pictures have the shape {list(values.shape)}; expected [n, H, W], [n, H, W, 1 or 3] or "
                "[n, 1 or 3, H, W], with n, H and W above 0"
            )
        if values.dtype.kind == "i" and values.min() >= 0 and values.max() <= 255:
            values = values.astype(np.uint8)  # Python's integers
        try:
            pixels = to_bytes(values, "pictures")
        except DataError as error:
            raise ValueError(str(error)) from error
        images = torch.stack([_to_values(self._with_channels(one)) for one in pixels])
        side = self.shape[1]
        return images if images.shape[2:] == (side, side) else resize(images, side)

    def _with_channels(self, pixels: np.ndarray) -> np.ndarray:
        """`[H, W]` or `[H, W, 3]` with the learner's number of channels."""
        if self.shape[0] == 1:
            return _grey(pixels)
        return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


def form_of(record: dict) -> Form:
    """Form of a run's inputs, from its run.json. Older records lack it, and the prepared data set is asked.

    FileNotFoundError: neither has it; the message says how to prepare the data set.
    """
    stored = record["data"].get("input")
    if stored:
        shape, mean, std = (tuple(stored[key]) for key in ("shape", "mean", "std"))
        return Form(shape, mean, std, stored["imagery"] == "glyphs")
    if record["dataset"] in REGRESSION:
        return Form((1,), (0.0,), (1.0,), False)
    meta = dataset.load(record["dataset"]).meta
    shape = (meta["channels"], meta["size"], meta["size"])
    return Form(shape, tuple(meta["mean"]), tuple(meta["std"]), meta["imagery"] == "glyphs")


def _are_paths(given: Any) -> bool:
    return (
        isinstance(given, Sequence) and len(given) > 0 and all(isinstance(item, str | Path) for item in given)
    )


def _as_array(given: Any) -> np.ndarray:
    """An array of numbers. ValueError: pictures of several sizes, or no numbers."""
    try:
        values = np.asarray(given)
    except ValueError:
        values = np.empty(0, dtype=object)
    if values.dtype.kind not in "buif":
        raise ValueError(
            "pictures must be a list of paths or one array of numbers, [n, H, W] or [n, H, W, C]: "
            "bring pictures of several sizes to one size, or give their paths"
        )
    return values


def _grey(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 2 else np.rint(pixels @ GREY).astype(np.uint8)


def _to_values(pixels: np.ndarray) -> Tensor:
    """uint8 `[H, W]` or `[H, W, C]` -> float `[C, H, W]` in [0, 1]."""
    values = torch.from_numpy(pixels.astype(np.float32)) / 255
    return values.unsqueeze(0) if values.ndim == 2 else values.permute(2, 0, 1)
