"""Data sets of other repositories as pickles or npz files, one or two for each part: CIFAR-FS, FC100, tieredImageNet, miniImageNet."""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tasks.preparation.archives import PICKLES, DataError, load_pickle
from tasks.preparation.decode import UNREADABLE, decode_shown, to_bytes, unreadable
from tasks.preparation.folder_sources import ArrayPicture
from tasks.preparation.lists import PARTS, part_of
from tasks.preparation.places import walk

WANTED = (
    "expected per part one file of data and labels (CIFAR-FS, FC100) or of image_data and class_dict (miniImageNet), or "
    "<part>_images_png.pkl or <part>_images.npz with <part>_labels.pkl (tieredImageNet)"
)


@dataclass(frozen=True, eq=False)
class EncodedPicture:
    """A picture in a list of encoded files (PNG, JPEG)."""

    path: Path
    row: int
    data: bytes
    parallel = False

    def __str__(self) -> str:
        return f"{self.path}: image {self.row}"

    def head(self) -> tuple[tuple[int, int], str]:
        """(height, width) and the mode of Pillow. DataError: not a readable image."""
        try:
            with Image.open(io.BytesIO(self.data)) as image:
                return image.size[::-1], image.mode
        except UNREADABLE as error:
            raise DataError(f"{self}: {unreadable(error)}") from error

    def pixels(self) -> np.ndarray:
        """Pixels uint8 `[H, W]` or `[H, W, 3]`."""
        return decode_shown(self.data, str(self))


Row = tuple[ArrayPicture | EncodedPicture, str, str]
"""A picture, its class and its part."""


def part_files(folder: Path) -> dict[str, list[Path]]:
    """Pickles and npz files of a folder by the part that their names tell; empty unless every part has one."""
    found: dict[str, list[Path]] = {}
    for name in walk(folder):
        path = folder / name
        part = part_of(path.name) if path.suffix.casefold() in {*PICKLES, ".npz"} else None
        if part:
            found.setdefault(part, []).append(path)
    return found if set(found) == set(PARTS) else {}


def read_parts(files: Mapping[str, list[Path]]) -> list[Row]:
    """Every picture with its class and part. A name of a class that two parts use is theirs with the part before it.

    DataError names the file and what is wanted.
    """
    rows = [(picture, label, part) for part in PARTS for picture, label in _read_part(files[part])]
    parts_of: dict[str, set[str]] = {}
    for _, label, part in rows:
        parts_of.setdefault(label, set()).add(part)
    return [
        (picture, label if len(parts_of[label]) == 1 else f"{part}_{label}", part)
        for picture, label, part in rows
    ]


def _read_part(paths: list[Path]) -> Iterator[tuple[ArrayPicture | EncodedPicture, str]]:
    contents = {path: _load(path) for path in paths}
    images = [(path, found) for path, content in contents.items() if (found := _images(content)) is not None]
    names = [found for content in contents.values() if (found := _labels(content)) is not None]
    if len(images) != 1 or len(names) != 1:
        raise DataError(
            f"{', '.join(map(str, paths))}: {len(images)} sets of images and {len(names)} of labels; {WANTED}"
        )
    (path, pictures), labels = images[0], names[0]
    if len(labels) != len(pictures):
        raise DataError(
            f"{path}: {len(pictures)} images and {len(labels)} labels; one label per image is expected"
        )
    yield from zip(_pictures(path, pictures), labels, strict=True)


def _load(path: Path) -> Any:
    if path.suffix.casefold() != ".npz":
        return load_pickle(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file}
    except Exception as error:  # a damaged archive can raise anything
        raise DataError(f"{path}: not a complete npz of plain arrays ({error})") from error


def _images(content: Any) -> Any:
    """The images of a file: an array, or a list of encoded files; None where it holds none."""
    if isinstance(content, Mapping):
        return next((content[key] for key in ("data", "image_data", "images") if key in content), None)
    return (
        content
        if isinstance(content, list | np.ndarray) and len(content) and not np.isscalar(content[0])
        else None
    )


def _labels(content: Any) -> list[str] | None:
    """Name of the class of each image; None where the file holds no labels."""
    if isinstance(content, list | np.ndarray):
        return [_name(label) for label in content] if len(content) and np.isscalar(content[0]) else None
    if not isinstance(content, Mapping):
        return None
    if "class_dict" in content:
        rows = {int(row): str(name) for name, members in content["class_dict"].items() for row in members}
        return [rows[row] for row in sorted(rows)]
    key = next((key for key in ("labels", "label_specific") if key in content), None)
    if key is None:
        return None
    names = {value: name for name, value in content.get("catname2label", {}).items()}
    names |= dict(enumerate(content.get("label_specific_str", [])))
    return [_name(names.get(label, label)) for label in np.asarray(content[key]).tolist()]


def _name(label: Any) -> str:
    return f"{label:04d}" if isinstance(label, int | np.integer) else str(label)


def _pictures(path: Path, images: Any) -> list[ArrayPicture | EncodedPicture]:
    if not isinstance(images, np.ndarray) or images.dtype == object:
        return [
            EncodedPicture(path, row, bytes(np.asarray(data, np.uint8))) for row, data in enumerate(images)
        ]
    if images.ndim == 4 and images.shape[1] in (1, 3) and images.shape[3] not in (1, 3):
        images = images.transpose(0, 2, 3, 1)
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        raise DataError(f"{path}: images of shape {list(images.shape)}; expected [n, H, W] or [n, H, W, 3]")
    values = to_bytes(images, str(path))
    return [ArrayPicture(path, values, row) for row in range(len(values))]
