"""Image data sets of torchmeta (Deleu et al. 2019) in our prepared form: `torchmeta:omniglot`, `torchmeta:cifar_fs`."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from tasks.catalogue import data_root
from tasks.images import pack_ink, resize, to_uint8
from tasks.preparation.archives import DataError, extract_zip
from tasks.preparation.card import Built
from tasks.preparation.download import SourceFile, fetch, load_sources
from tasks.preparation.miniimagenet import channel_statistics
from tasks.preparation.omniglot import ORIGINAL_SIZE, read_drawings
from tasks.preparation.torchmeta_compat import import_torchmeta

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Recipe:
    """Facts that torchmeta lacks. size: side in pixels; rotations: turned copies of each class; prefix: words of a label
    before the group."""

    size: int = 84
    rotations: int = 1
    prefix: int = 0


RECIPES = {
    "omniglot": Recipe(
        size=28, rotations=4, prefix=1
    ),  # labels begin with images_background or images_evaluation
    "cifar_fs": Recipe(size=32),
    "fc100": Recipe(size=32),
    "doublemnist": Recipe(size=64),
}


DOWNLOADS = {
    **dict.fromkeys(("cifar_fs", "fc100"), "cifar100/cifar-100-python.tar.gz"),
    "miniimagenet": "miniimagenet/mini-imagenet.tar.gz",
    "tieredimagenet": "tieredimagenet/tiered-imagenet.tar",
    "cub": "cub/CUB_200_2011.tgz",
    "doublemnist": "doublemnist/double_mnist_seed_123_image_size_64_64.zip",
    "triplemnist": "triplemnist/triple_mnist_seed_123_image_size_84_84.zip",
}
"""File that torchmeta would download, by helper."""


@dataclass(frozen=True, eq=False)
class Classes:
    """Classes of all three parts, sorted by name. words: (group, ..., name) of each; parts: its part; read: its images."""

    words: list[tuple[str, ...]]
    parts: list[str]
    read: list[Callable[[], list[np.ndarray]]]


def build(name: str, scratch: Path) -> Built:
    """Prepare the data set of the helper function `torchmeta.datasets.helpers.<name>`.

    Omniglot comes from the same verified archives as our own; torchmeta itself loads the others into
    DATA_ROOT/downloads/torchmeta. DataError: torchmeta is missing, has no such data set, or could not load it.
    """
    helpers = import_torchmeta()
    if name not in helpers.__all__:
        raise DataError(f"torchmeta has no data set {name!r}; it has {', '.join(helpers.__all__)}")
    recipe = RECIPES.get(name, Recipe())
    root = (scratch if name == "omniglot" else data_root() / "downloads") / "torchmeta"
    root.mkdir(parents=True, exist_ok=True)
    if name == "omniglot":
        lay_out_omniglot(root, load_sources()["omniglot"]["files"])
    return convert(partial(getattr(helpers, name), shots=1, ways=2), recipe, root, scratch)


def lay_out_omniglot(root: Path, files: dict[str, dict]) -> None:
    """Put the archives where torchmeta looks for them, and unpack them, because torchmeta unpacks its own downloads only.

    files: those of omniglot in data/sources.yaml.
    """
    folder = root / "omniglot"
    for name, facts in files.items():
        if name.startswith("images_"):
            source = SourceFile("omniglot", name, facts["urls"])
            fetch(source, partial(_verified_extract, facts=facts, folder=folder))
            (folder / name).touch()


def _verified_extract(path: Path, facts: dict, folder: Path) -> None:
    read_drawings(path, facts)
    extract_zip(path, folder)


def convert(maker: Callable[..., Any], recipe: Recipe, root: Path, scratch: Path) -> Built:
    """Prepare what `maker(root, meta_split=..., transform=None, class_augmentations=None, download=True)` opens.

    `maker` is a torchmeta helper or a class like `torchmeta.datasets.CIFARFS` with its other arguments filled in.
    """
    datasets = {part: open_part(maker, root, part) for part in PARTS}
    try:
        classes = list_classes(datasets, recipe)
        per_class = min(len(dataset[c]) for dataset in datasets.values() for c in range(len(dataset)))
        images, originals = read_images(classes, per_class, recipe, scratch)
    finally:
        for dataset in datasets.values():
            dataset.close()
    meta = _meta(maker, classes, images, recipe)
    return Built(images, meta if originals is None else meta | {"original_size": ORIGINAL_SIZE}, originals)


def open_part(maker: Callable[..., Any], root: Path, part: str) -> Any:
    settings = {"meta_split": part, "transform": None, "class_augmentations": None, "download": True}
    try:
        return maker(str(root), **settings).dataset
    except Exception as error:  # torchmeta raises whatever its downloads and parsers raise
        raise DataError(
            f"torchmeta could not load the {part} part ({type(error).__name__}: {error}); {remedy(maker, root)}"
        ) from error


def remedy(maker: Callable[..., Any], root: Path) -> str:
    """Which file to put where, and the way without torchmeta."""
    name = getattr(getattr(maker, "func", maker), "__name__", "")
    wanted = f"put {DOWNLOADS[name]}" if name in DOWNLOADS else "put the files that it asks for"
    return (
        f"{wanted} below {root} (without a network it is taken from there), or give your own copy, unpacked or as pickles, as "
        "the data set `folder:<path>`"
    )


def list_classes(datasets: dict[str, Any], recipe: Recipe) -> Classes:
    rows = []
    for part, dataset in datasets.items():
        for c, label in enumerate(dataset.labels):
            words = (label,) if isinstance(label, str) else tuple(label)[recipe.prefix :]
            rows.append((words, part, partial(_raw_images, dataset, c)))
    rows.sort(key=lambda row: "/".join(row[0]))
    return Classes(*(list(column) for column in zip(*rows, strict=True)))


def _raw_images(dataset: Any, index: int) -> list[np.ndarray]:
    """Read the images of a class, sorted by content, because torchmeta stores them in the order of a directory listing."""
    pictures = [item[0] for item in (dataset[index][i] for i in range(len(dataset[index])))]
    if not all(isinstance(picture, Image.Image) for picture in pictures):
        raise DataError(
            f"class {dataset.labels[index]} does not hold images; only image classification can be prepared"
        )
    grey = all(picture.mode in ("1", "L") for picture in pictures)
    arrays = [np.asarray(picture.convert("L" if grey else "RGB")) for picture in pictures]
    return sorted(arrays, key=lambda array: (array.shape, array.tobytes()))


def read_images(
    classes: Classes, per_class: int, recipe: Recipe, scratch: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return uint8 images (a file in `scratch`), and packed originals if all are drawings as large as those of Omniglot."""
    images, originals = None, []
    for k, read in enumerate(classes.read):
        raw = read()[:per_class]
        small = np.stack([_shrink(array, recipe.size) for array in raw])
        if images is None:
            shape = (len(classes.read), *small.shape)
            images = np.lib.format.open_memmap(scratch / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        images[k] = small
        if {array.shape for array in raw} == {(ORIGINAL_SIZE, ORIGINAL_SIZE)}:
            originals.append(pack_ink(np.stack(raw) > 127))
    return images, np.stack(originals) if len(originals) == len(images) else None


def _shrink(pixels: np.ndarray, size: int) -> np.ndarray:
    """Resize uint8 `[H, W]` or `[H, W, 3]` to `[size, size]` or `[size, size, 3]`."""
    if pixels.shape[:2] == (size, size):
        return pixels
    channels = torch.from_numpy(np.array(pixels)).reshape(*pixels.shape[:2], -1).permute(2, 0, 1)
    small = to_uint8(resize(channels.unsqueeze(0).to(torch.float32) / 255, size))[0].permute(1, 2, 0)
    return small.squeeze(-1).numpy() if pixels.ndim == 2 else small.numpy()


def _meta(maker: Callable[..., Any], classes: Classes, images: np.ndarray, recipe: Recipe) -> dict:
    drawings = images.ndim == 4
    splits = {part: [k for k, other in enumerate(classes.parts) if other == part] for part in PARTS}
    mean, std = ([0.0], [1.0]) if drawings else channel_statistics(images, splits["train"])
    maker = inspect.unwrap(getattr(maker, "func", maker))
    return {
        "imagery": "glyphs" if drawings else "photos",
        "size": recipe.size,
        "channels": 1 if drawings else 3,
        "class_names": ["/".join(words) for words in classes.words],
        "groups": ["/".join(words[:-1]) for words in classes.words],
        "splits": {"torchmeta": splits},
        "default_split": "torchmeta",
        "rotations": recipe.rotations,
        "mean": mean,
        "std": std,
        "source": f"torchmeta 1.8.0, {maker.__module__}.{maker.__name__}",
        "licence": "see the original data set",
        "citation": "Deleu et al.: Torchmeta: A meta-learning library for PyTorch. arXiv:1909.06576 (2019)",
        "notes": [
            f"{images.shape[1]} images of each class, as many as the smallest class has, ordered by content.",
            f"Resized to {recipe.size}x{recipe.size} pixels by exact area average.",
        ],
    }
