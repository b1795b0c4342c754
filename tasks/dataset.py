"""The prepared form of an image data set, read: one memory-mapped uint8 array, and its parts on the device."""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tasks.catalogue import path_name, prepared_root


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Meta-train, meta-val or meta-test classes, resident on the device.

    images: uint8 `[classes, per_class, C, H, W]`; where classes differ in size, rows from `counts` on are padding. class id =
    rotation * len(base_classes) + position in `base_classes`.
    part: "train", "val" or "test"; rotations: copies of each base class, turned by 0, 90, ... degrees.
    """

    images: Tensor
    data: "ImageData"
    part: str
    base_classes: list[int]
    rotations: int

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of one image."""
        return tuple(self.images.shape[2:])

    @property
    def class_names(self) -> list[str]:
        """Name of each class; turned copies end in the angle, `/rot090`."""
        names = [self.data.meta["class_names"][c] for c in self.base_classes]
        return [
            f"{name}/rot{90 * k:03d}" if self.rotations > 1 else name
            for k in range(self.rotations)
            for name in names
        ]

    @property
    def groups(self) -> list[str]:
        """Alphabet (or script) of each class."""
        return [self.data.meta["groups"][c] for c in self.base_classes] * self.rotations

    @property
    def counts(self) -> list[int] | None:
        """Images of each class; None where every class has `per_class` of them."""
        counts = self.data.meta.get("counts")
        return [counts[c] for c in self.base_classes] * self.rotations if counts else None

    @property
    def smallest(self) -> int:
        """Images of the smallest class."""
        return min(self.counts or [self.images.shape[1]])

    def gather(self, flat: Tensor) -> Tensor:
        """Return images in [0, 1] by flat id (class * per_class + image): int64 `[...]` -> float32 `[..., C, H, W]`."""
        pixels = self.images.flatten(0, 1).index_select(0, flat.reshape(-1))
        return pixels.to(torch.float32).div_(255).reshape(*flat.shape, *self.input_shape)


@dataclass(frozen=True, eq=False)
class ImageData:
    """A prepared data set, memory-mapped.

    images: uint8 `[classes, per_class, H, W(, 3)]`; originals: packed drawings at full resolution (`images.pack_ink`), or
    None. meta: content of meta.json; `imagery` is "glyphs" (drawings, ink = 255) or "photos"; `counts` has the images of
    each class where these differ, and `images` is padded with zeros.
    """

    meta: dict
    images: np.ndarray
    originals: np.ndarray | None = None

    def split(
        self,
        part: str,
        device: str | torch.device = "cpu",
        split: str | None = None,
        rotations: int | None = None,
    ) -> ImageSplit:
        """Load `train`, `val` or `test` of the named split (default: the data set's own) onto the device.

        ValueError: no such split; the message lists the splits.
        """
        split = split or self.meta["default_split"]
        if split not in self.meta["splits"]:
            raise ValueError(
                f"{self.meta['name']} has no split {split!r}; choose from {sorted(self.meta['splits'])}"
            )
        classes = self.meta["splits"][split][part]
        rotations = self.meta["rotations"] if rotations is None else rotations
        images = torch.from_numpy(np.ascontiguousarray(self.images[classes])).to(device)
        images = images.unsqueeze(2) if images.ndim == 4 else images.permute(0, 1, 4, 2, 3).contiguous()
        turned = [torch.rot90(images, k, dims=(3, 4)) for k in range(rotations)]
        return ImageSplit(torch.cat(turned), self, part, list(classes), rotations)


def load(name: str, root: Path | None = None) -> ImageData:
    """Open a prepared data set. FileNotFoundError says how to prepare it."""
    folder = (root or prepared_root()) / path_name(name).replace(":", "_")  # torchmeta:cifar_fs
    if not (folder / "meta.json").exists():
        raise FileNotFoundError(
            f"{folder} is not prepared: run `python -m bench prepare {shlex.quote(name)}`"
        )
    originals = folder / "originals.npy"
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    if "kind" in meta:  # the key's name in data prepared by earlier versions
        meta["imagery"] = meta.pop("kind")
    return ImageData(
        meta=meta,
        images=np.load(folder / "images.npy", mmap_mode="r"),
        originals=np.load(originals, mmap_mode="r") if originals.exists() else None,
    )
