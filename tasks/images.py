"""Pixels: decoding, the one resize function, packing of ink, content digest."""

import hashlib
import io
from collections.abc import Iterable

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from tasks.archives import DataError


def _overlap(source: int, target: int, like: Tensor) -> Tensor:
    """Share of each target cell that each source pixel covers: `[target, source]`, rows sum to 1."""
    scale = source / target
    pixel = torch.arange(source, dtype=torch.float64)
    start = torch.arange(target, dtype=torch.float64).unsqueeze(1) * scale
    covered = torch.minimum(start + scale, pixel + 1) - torch.maximum(start, pixel)
    return (covered.clamp(min=0) / scale).to(like)


def resize(images: Tensor, size: int) -> Tensor:
    """Exact area average: float `[n, C, H, W]` in [0, 1] -> `[n, C, size, size]`; deterministic and differentiable.

    Each target pixel is the mean of what it covers, fractions of source pixels included (the torch mode `area` lets
    neighbouring windows overlap by whole pixels, which blurs). Keeping the size is the identity.
    """
    rows, columns = (_overlap(length, size, images) for length in images.shape[-2:])
    return rows @ images @ columns.T


def to_uint8(images: Tensor) -> Tensor:
    """[0, 1] -> uint8 0..255, rounded."""
    return (images * 255).round().clamp(0, 255).to(torch.uint8)


def shrink_ink(ink: np.ndarray, size: int) -> np.ndarray:
    """Resize drawings: bool `[..., H, W]`, ink = True -> uint8 `[..., size, size]`, ink = 255."""
    flat = torch.from_numpy(ink.reshape(-1, 1, *ink.shape[-2:]))
    parts = [to_uint8(resize(part.to(torch.float32), size)) for part in flat.split(2048)]
    return torch.cat(parts).numpy().reshape(*ink.shape[:-2], size, size)


def pack_ink(ink: np.ndarray) -> np.ndarray:
    """bool `[..., H, W]` -> uint8 `[..., ceil(H*W/8)]`."""
    return np.packbits(ink.reshape(*ink.shape[:-2], -1), axis=-1)


def unpack_ink(packed: np.ndarray, size: int) -> np.ndarray:
    """Inverse of `pack_ink` for square drawings: uint8 `[..., bytes]` -> uint8 0/1 `[..., size, size]`."""
    return np.unpackbits(packed, axis=-1, count=size * size).reshape(*packed.shape[:-1], size, size)


def _open(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: not a readable image ({error})") from error
    return image


def decode_ink(data: bytes, name: str) -> np.ndarray:
    """A black-on-white drawing -> bool `[H, W]`, ink = True. Converted to 8 bit first: see `omniglot.NOTES`."""
    return np.asarray(_open(data, name).convert("L")) < 128


def decode_photo(data: bytes, name: str, size: int) -> np.ndarray:
    """A photo -> uint8 `[size, size, 3]`; another size is squashed to the square by area average."""
    pixels = np.asarray(_open(data, name).convert("RGB"))
    if pixels.shape[:2] == (size, size):
        return pixels
    channels = torch.from_numpy(pixels.copy()).permute(2, 0, 1).to(torch.float32) / 255
    return to_uint8(resize(channels.unsqueeze(0), size))[0].permute(1, 2, 0).numpy()


def content_digest(items: Iterable[tuple[str, np.ndarray]]) -> str:
    """sha256 over names, shapes and pixels in the given (sorted) order: independent of how an archive was packed."""
    code = hashlib.sha256()
    for name, pixels in items:
        code.update(f"{name}\0{pixels.dtype.name}{pixels.shape}\0".encode())
        code.update(np.ascontiguousarray(pixels).data)
    return code.hexdigest()
