"""miniImageNet as one pickle per part, as several repositories keep it."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.preparation.archives import DataError, Readable, load_pickle
from tasks.preparation.miniimagenet_spec import Spec, check_counts

WANTED = (
    "expected a dict of class_dict and image_data (Ravi and Larochelle), or of data, labels and catname2label "
    "(Gidaris and Komodakis)"
)


def read_cache(path: Readable, part: str, spec: Spec) -> dict[str, np.ndarray]:
    """Images of one part, class -> uint8 `[per_class, size, size, 3]`, checked against the spec.

    Pixels may also be floats that hold 0..255 or 0..1, or channels first. DataError says what differs.
    """
    images, rows = _contents(load_pickle(path), path)
    check_counts(path, {name: len(set(members)) for name, members in rows.items()}, part, spec)
    images = _pixels(np.asarray(images), spec)
    if images.dtype != np.uint8 or images.shape[1:] != (spec.size, spec.size, 3):
        found = f"{images.dtype} {list(images.shape)}"
        raise DataError(f"{path}: expected images {spec.described(part)}, found {found}")
    if max(max(members) for members in rows.values()) >= len(images):
        raise DataError(f"{path}: class_dict points beyond the {len(images)} images")
    return {name: images[np.sort(np.asarray(members, dtype=np.int64))] for name, members in rows.items()}


def _contents(content: Any, path: Readable) -> tuple[Any, dict[str, list[int]]]:
    """The array of images, and the rows of each class."""
    keys = set(content) if isinstance(content, Mapping) else set()
    if {"image_data", "class_dict"} <= keys:
        return content["image_data"], {
            str(name): [int(row) for row in rows] for name, rows in content["class_dict"].items()
        }
    if {"data", "labels"} <= keys:
        names = {label: name for name, label in content.get("catname2label", {}).items()}
        rows = defaultdict(list)
        for row, label in enumerate(content["labels"]):
            rows[str(names.get(label, label))].append(row)
        return content["data"], dict(rows)
    raise DataError(f"{path}: {WANTED}, found {sorted(map(str, keys)) or type(content).__name__}")


def _pixels(images: np.ndarray, spec: Spec) -> np.ndarray:
    """Channels moved last, and floats with whole values of 0..255, or of 0..1 in steps of 1/255, made uint8."""
    if images.ndim == 4 and images.shape[1] == 3 and images.shape[3] == spec.size:
        images = images.transpose(0, 2, 3, 1)
    if images.dtype.kind == "f" and images.size and images.min() >= 0 and images.max() <= 255:
        scale = 255 if images.max() <= 1 else 1
        bytes_ = [np.rint(image * scale).astype(np.uint8) for image in images]
        if all(
            np.abs(image * scale - whole).max() < 1e-3 for image, whole in zip(images, bytes_, strict=True)
        ):
            return np.stack(bytes_)
    return images
