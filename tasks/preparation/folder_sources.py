"""One of your own pictures: a file in a folder or archive, or a row of an array. Its pixels are those that a viewer shows."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tasks.preparation.archives import DataError
from tasks.preparation.containers import Container, place
from tasks.preparation.decode import UNREADABLE, decode_shown, to_bytes, unreadable, without_colour

ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""EXIF tag of the orientation, and its values that exchange width and height."""


@dataclass(frozen=True, eq=False)
class FilePicture:
    """A picture in a folder or archive."""

    container: Container
    name: str

    def __str__(self) -> str:
        return place(self.container, self.name)

    @property
    def parallel(self) -> bool:
        """Whether several threads may read from the container."""
        return self.container.path.is_dir()

    def _bytes(self) -> bytes:
        return next(iter(self.container.read([self.name])))[1]

    def head(self) -> tuple[tuple[int, int], str]:
        """(height, width) as shown, and the mode of Pillow, from the head of the file. DataError: not a readable image."""
        local = self.container.path.is_dir()
        try:
            with Image.open(self.container.path / self.name if local else io.BytesIO(self._bytes())) as image:
                width, height = image.size
                turned = image.getexif().get(ORIENTATION) in TURNED
                return ((width, height) if turned else (height, width)), image.mode
        except UNREADABLE as error:
            raise DataError(f"{self}: {unreadable(error)}: replace it or remove it") from error

    def pixels(self) -> np.ndarray:
        """Pixels as a viewer shows them: uint8 `[H, W]` or `[H, W, 3]`."""
        data = self._bytes()
        try:
            return decode_shown(data, str(self))
        except DataError as error:
            raise DataError(f"{error}: replace it or remove it") from error


@dataclass(frozen=True, eq=False)
class ArrayPicture:
    """A row of an array of pictures, `[n, H, W]` or `[n, H, W, C]` with 1 or 3 channels."""

    path: Path
    values: np.ndarray
    row: int
    parallel = False

    def __str__(self) -> str:
        return f"{self.path}: x[{self.row}]"

    def head(self) -> tuple[tuple[int, int], str]:
        """(height, width), and a mode of Pillow: L or RGB."""
        return self.values.shape[1:3], "RGB" if self.values.ndim == 4 and self.values.shape[3] == 3 else "L"

    def pixels(self) -> np.ndarray:
        """Pixels uint8 `[H, W]` or `[H, W, 3]`."""
        pixels = self.values[self.row]
        return without_colour(pixels) if pixels.ndim == 3 else pixels


def read_arrays(path: Path) -> tuple[list[ArrayPicture], dict[str, list[str]]]:
    """Read `x` and `y` of an npz: pictures, and the columns `label`, `group` and `split` as far as they are there.

    x: `[n, H, W]`, `[n, H, W, C]` or `[n, C, H, W]`, C = 1 or 3; uint8, uint16, bool, or floats of 0..1 or 0..255.
    y: `[n]`, names or whole numbers; group, split: `[n]`, names. DataError says what differs.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in ("x", "y", "group", "split") if key in file}
            found = sorted(file)
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{path}: not a complete npz of plain arrays ({error})") from error
    if not {"x", "y"} <= set(arrays):
        raise DataError(f"{path}: expected arrays x (images) and y (classes), found {found}")
    x = arrays.pop("x")
    if x.ndim == 4 and x.shape[1] in (1, 3) and x.shape[3] not in (1, 3):
        x = x.transpose(0, 2, 3, 1)
    if x.ndim not in (3, 4) or (x.ndim == 4 and x.shape[3] not in (1, 3)):
        raise DataError(f"{path}: x has shape {list(x.shape)}; expected [n, H, W] or [n, H, W, 1 or 3]")
    for key, column in arrays.items():
        if column.shape != x.shape[:1] or column.dtype.kind not in "iuUS":
            found = f"{column.dtype} {list(column.shape)}"
            raise DataError(
                f"{path}: {key} is {found}; expected {len(x)} names or whole numbers, one per image"
            )
    x = to_bytes(x[..., 0] if x.ndim == 4 and x.shape[3] == 1 else x, f"{path}: x")
    columns = {"label" if key == "y" else key: _names(column) for key, column in arrays.items()}
    return [ArrayPicture(path, x, row) for row in range(len(x))], columns


def _names(column: np.ndarray) -> list[str]:
    """Names as text. Whole numbers get leading zeros, so that they sort by value."""
    if column.dtype.kind == "S":
        column = np.char.decode(column, "utf-8")
    if column.dtype.kind == "U":
        return [name.strip() for name in column.tolist()]
    width = len(str(column.max(initial=0)))
    return [f"{number:0{width}d}" for number in column.tolist()]
