"""Decode image files: drawings to ink, photos to squares of one size. DataError names a file that cannot be read."""

import io

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError

from tasks.images import resize, to_uint8
from tasks.preparation.archives import DataError

UNREADABLE = (OSError, ValueError, SyntaxError, TypeError, Image.DecompressionBombError)
"""What Pillow raises for bytes that are no image."""


def unreadable(error: Exception) -> str:
    """Say that an image cannot be read, and why. Of an unknown format, Pillow tells no more than an object's address."""
    reason = getattr(error, "strerror", None) or error
    return "not a readable image" + ("" if isinstance(error, UnidentifiedImageError) else f" ({reason})")


def _open(data: bytes, name: str) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except UNREADABLE as error:
        raise DataError(f"{name}: {unreadable(error)}") from error
    return image


def decode_ink(data: bytes, name: str) -> np.ndarray:
    """Decode a black-on-white drawing: bool `[H, W]`, ink = True. Converted to 8 bit first (see `omniglot.NOTES`)."""
    return np.asarray(_open(data, name).convert("L")) < 128


def decode_photo(data: bytes, name: str, size: int) -> np.ndarray:
    """Decode a photo: uint8 `[size, size, 3]`; another size is squashed to the square by area average."""
    return fit_square(np.asarray(_open(data, name).convert("RGB")), size)


def fit_square(pixels: np.ndarray, size: int) -> np.ndarray:
    """Squash an image to a square by area average: uint8 `[H, W]` or `[H, W, C]` -> `[size, size]` or `[size, size, C]`.

    An image of this size keeps every bit.
    """
    if pixels.shape[:2] == (size, size):
        return pixels
    channels = torch.from_numpy(pixels.reshape(*pixels.shape[:2], -1).copy()).permute(2, 0, 1)
    fitted = to_uint8(resize(channels.to(torch.float32).unsqueeze(0) / 255, size))[0].permute(1, 2, 0)
    return fitted.numpy().reshape(size, size, *pixels.shape[2:])


def decode_shown(data: bytes, name: str) -> np.ndarray:
    """Decode an image as a viewer shows it: uint8 `[H, W, 3]`, or `[H, W]` where it is grey.

    Turned upright by its EXIF orientation, transparency on white, palette and CMYK as colours, 16 bits reduced to 8, the
    first frame of an animation. Colour profiles are ignored.
    """
    image = _open(data, name)
    try:
        image = ImageOps.exif_transpose(image)
    except (OSError, ValueError, SyntaxError, TypeError, KeyError):
        pass  # damaged EXIF data: a viewer shows the image as it is stored
    if image.mode.startswith("I") or image.mode == "F":
        return to_bytes(np.asarray(image), name)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif image.mode in ("1", "L"):
        return np.asarray(image.convert("L"))
    return without_colour(np.asarray(image.convert("RGB")))


def without_colour(pixels: np.ndarray) -> np.ndarray:
    """Drop equal channels: `[H, W, 3]` -> `[H, W]` where red, green and blue are the same everywhere."""
    grey = pixels[..., :1]
    return pixels[..., 0] if (pixels == grey).all() else pixels


def to_bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Reduce values to uint8: whole numbers of 0..65535 (white = 65535), or floats of 0..1 or 0..255. DataError: others."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == bool:
        return values.astype(np.uint8) * 255
    top = values.max(initial=0)
    if values.min(initial=0) < 0 or not np.isfinite(top):
        raise DataError(f"{name}: values below 0 or not finite; expected 0..255, 0..65535 or 0..1")
    scale = {"u": 1 / 257, "i": 1 / 257}.get(values.dtype.kind, 255.0 if top <= 1 else 1.0)
    if top * scale > 255.5:
        raise DataError(f"{name}: values up to {top}; expected 0..255, 0..65535 or 0..1")
    return np.rint(values * scale).clip(0, 255).astype(np.uint8)
