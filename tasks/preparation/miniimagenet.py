"""miniImageNet (Vinyals et al. 2016; classes of Ravi and Larochelle 2017): 100 classes x 600 photos of 84x84."""

from pathlib import Path

import numpy as np

from tasks.preparation.archives import DataError
from tasks.preparation.card import Built, prepared_digest
from tasks.preparation.download import load_sources
from tasks.preparation.miniimagenet_forms import find_form
from tasks.preparation.miniimagenet_spec import NAME, Spec


def build(scratch: Path, spec: Spec | None = None) -> Built:
    """Assemble miniImageNet from the first of its four source forms that is there; big arrays go through `scratch`.

    DataError: no form, or the form that is there is incomplete or wrong; the message says what and where.
    """
    spec = spec or Spec()
    names = spec.names
    form, photos = find_form(spec)
    shape = (len(names), spec.per_class, spec.size, spec.size, 3)
    images = np.lib.format.open_memmap(scratch / "photos.npy", mode="w+", dtype=np.uint8, shape=shape)
    missing = set(names)
    for name, pixels in photos:
        images[names.index(name)] = pixels
        missing.discard(name)
    if missing:
        raise DataError(f"{NAME}: {form}: classes {sorted(missing)} are missing")
    return Built(images, _meta(images, names, spec, form))


def _meta(images: np.ndarray, names: list[str], spec: Spec, form: str) -> dict:
    sources = load_sources()[NAME]
    splits = {part: [names.index(name) for name in sorted(classes)] for part, classes in spec.classes.items()}
    mean, std = channel_statistics(images, splits["train"])
    digest = prepared_digest(images, names)
    content = sources["known_digests"].get(
        digest, "no copy known here; other encodings move results by 1 to 3 points"
    )
    return {
        "imagery": "photos",
        "size": spec.size,
        "channels": 3,
        "class_names": names,
        "groups": [""] * len(names),
        "splits": {"ravi": splits},
        "default_split": "ravi",
        "rotations": 1,
        "mean": mean,
        "std": std,
        "digest": digest,
        "source": f"{sources['homepage']}, read from {form}",
        "licence": sources["licence"],
        "citation": sources["citation"],
        "notes": [f"Content: {content}.", "Mean and standard deviation are those of the meta-train classes."],
    }


def channel_statistics(images: np.ndarray, classes: list[int]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation per channel, in [0, 1] units, over the given classes of `[C, n, H, W, 3]`."""
    value = np.arange(256) / 255
    counts = np.zeros((3, 256))
    for c in classes:
        counts += [np.bincount(images[c, ..., channel].ravel(), minlength=256) for channel in range(3)]
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ value
    return mean.round(6).tolist(), np.sqrt(share @ value**2 - mean**2).round(6).tolist()
