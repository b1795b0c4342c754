"""Is the record of a prepared data set, meta.json, one that its readers can use, and does it fit its arrays?"""

import math
from pathlib import Path
from typing import Any

import numpy as np

PARTS = ("train", "val", "test")
IMAGERY = ("glyphs", "photos")
TEXTS = ("digest", "default_split")


def fault_of(meta: dict[str, Any], folder: Path) -> str:
    """Return which file is wrong and what is wrong with it, of a prepared data set in a folder; empty where nothing is."""
    arrays = {}
    for name in ("images.npy", "originals.npy"):
        path = folder / name
        try:
            arrays[name] = np.load(path, mmap_mode="r") if name == "images.npy" or path.exists() else None
        except Exception as error:  # damaged headers make numpy raise many kinds
            return f"{path} holds no array ({type(error).__name__})"
    images, originals = arrays.values()
    if images.dtype != np.uint8 or images.ndim not in (4, 5):
        return f"{folder / 'images.npy'} has the form {images.dtype} {list(images.shape)}, not uint8 [classes, n, H, W(, 3)]"
    if originals is not None and (originals.dtype != np.uint8 or originals.shape[:2] != images.shape[:2]):
        return (
            f"{folder / 'originals.npy'} does not fit images.npy: {originals.dtype} {list(originals.shape)}"
        )
    wrong = [key for key, fits in _answers(meta, images.shape).items() if not fits]
    return f"{folder / 'meta.json'} is damaged ({', '.join(wrong)})" if wrong else ""


def _answers(meta: dict[str, Any], shape: tuple[int, ...]) -> dict[str, bool]:
    """Whether the value of each key can be, with images of this shape."""
    classes, each, height, width, channels = (*shape, 1)[:5]
    splits, counts = meta.get("splits"), meta.get("counts") or [each] * classes
    named = {key: _listed(meta.get(key), str, classes) for key in ("class_names", "groups")}
    moments = {key: _listed(meta.get(key), (int, float), channels) for key in ("mean", "std")}
    return {
        **{key: isinstance(meta.get(key), str) for key in TEXTS},
        **named,
        **{key: fits and all(map(math.isfinite, meta[key])) for key, fits in moments.items()},
        "std above zero": moments["std"] and min(meta["std"]) > 0,
        "imagery": meta.get("kind", meta.get("imagery")) in IMAGERY,
        "size": meta.get("size") == height == width,
        "channels": meta.get("channels") == channels,
        "rotations": meta.get("rotations") in (1, 2, 3, 4),
        "counts": _listed(counts, int, classes) and all(0 < count <= each for count in counts),
        "splits": isinstance(splits, dict) and all(_parts(split, classes) for split in splits.values()),
        "split by default": isinstance(splits, dict) and meta.get("default_split") in splits,
    }


def _listed(value: Any, kind: type | tuple[type, ...], length: int) -> bool:
    return isinstance(value, list) and len(value) == length and all(isinstance(item, kind) for item in value)


def _parts(split: Any, classes: int) -> bool:
    """Whether a split has all parts, each a list of positions of classes."""
    return isinstance(split, dict) and all(
        isinstance(split.get(part), list)
        and all(type(position) is int and 0 <= position < classes for position in split[part])
        for part in PARTS
    )
