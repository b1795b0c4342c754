"""Decode image files: drawings to ink, photos to squares of one size. DataError names a file that cannot be read."""

import io

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError

from tasks.images import resize, to_uint8
from tasks.preparation.archives import DataError


def _open(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{name}: not a readable image ({error})") from error
    return image


def decode_ink(data: bytes, name: str) -> np.ndarray:
    """Decode a black-on-white drawing: bool `[H, W]`, ink = True. Converted to 8 bit first (see `omniglot.NOTES`)."""
    return np.asarray(_open(data, name).convert("L")) < 128


def decode_photo(data: bytes, name: str, size: int) -> np.ndarray:
    """Decode a photo: uint8 `[size, size, 3]`; another size is squashed to the square by area average."""
    pixels = np.asarray(_open(data, name).convert("RGB"))
    if pixels.shape[:2] == (size, size):
        return pixels
    channels = torch.from_numpy(pixels.copy()).permute(2, 0, 1).to(torch.float32) / 255
    return to_uint8(resize(channels.unsqueeze(0), size))[0].permute(1, 2, 0).numpy()
