"""Pixels: resizing, packing of drawings, content digest. Decoding of files: `tasks.preparation.decode`."""

import hashlib
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor


def _overlap(source: int, target: int, like: Tensor) -> Tensor:
    """Share of each target cell that each source pixel covers: `[target, source]`, rows sum to 1."""
    scale = source / target
    pixel = torch.arange(source, dtype=torch.float64)
    start = torch.arange(target, dtype=torch.float64).unsqueeze(1) * scale
    covered = torch.minimum(start + scale, pixel + 1) - torch.maximum(start, pixel)
    return (covered.clamp(min=0) / scale).to(like)


def resize(images: Tensor, size: int) -> Tensor:
    """Resize by exact area average: float `[n, C, H, W]` in [0, 1] -> `[n, C, size, size]`.

    Each target pixel is the mean of the area it covers, fractions of source pixels included. (The torch mode `area` lets
    neighbouring windows overlap by whole pixels, which blurs.) Deterministic and differentiable; keeping the size changes
    no bit.
    """
    rows, columns = (_overlap(length, size, images) for length in images.shape[-2:])
    return rows @ images @ columns.T


def to_uint8(images: Tensor) -> Tensor:
    """Convert values in [0, 1] to uint8 0..255, rounded; any shape."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


def shrink_ink(ink: np.ndarray, size: int) -> np.ndarray:
    """Resize drawings: bool `[..., H, W]`, ink = True -> uint8 `[..., size, size]`, ink = 255."""
    flat = torch.from_numpy(ink.reshape(-1, 1, *ink.shape[-2:]))
    parts = [to_uint8(resize(part.to(torch.float32), size)) for part in flat.split(2048)]
    return torch.cat(parts).numpy().reshape(*ink.shape[:-2], size, size)


def pack_ink(ink: np.ndarray) -> np.ndarray:
    """Pack drawings, 8 pixels a byte: bool `[..., H, W]` -> uint8 `[..., ceil(H*W/8)]`."""
    return np.packbits(ink.reshape(*ink.shape[:-2], -1), axis=-1)


def unpack_ink(packed: np.ndarray, size: int) -> np.ndarray:
    """Undo `pack_ink` for square drawings: uint8 `[..., bytes]` -> uint8 0 or 1 `[..., size, size]`."""
    return np.unpackbits(packed, axis=-1, count=size * size).reshape(*packed.shape[:-1], size, size)


def content_digest(items: Iterable[tuple[str, np.ndarray]]) -> str:
    """sha256 of names, types, shapes and pixels in the given (sorted) order, whatever archive they came in."""
    code = hashlib.sha256()
    for name, pixels in items:
        code.update(f"{name}\0{pixels.dtype.name}{pixels.shape}\0".encode())
        code.update(np.ascontiguousarray(pixels).data)
    return code.hexdigest()
