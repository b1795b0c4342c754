"""What a study can ask for, without loading anything: names of data sets, their folders, ranges of generated tasks."""

import hashlib
import os
import re
from pathlib import Path

NAMES = ("glyphs", "omniglot", "miniimagenet")
"""Image data sets that the project prepares itself."""
TORCHMETA = "torchmeta:"
"""Prefix of an image data set that the package torchmeta reads."""
TORCHMETA_NAMES = tuple(
    "omniglot miniimagenet tieredimagenet cifar_fs fc100 cub doublemnist triplemnist".split()
)
"""What may follow the prefix: torchmeta's own list, which needs torch."""
FOLDER = "folder:"
"""Prefix of your own pictures: a folder, an archive, a list (csv) or arrays (npz), as in `folder:/data/birds`."""
OPTIONS = re.compile(r"(?: (?:size|channels|split_seed)=\d+)*$")
"""End of a name of your own pictures that says how they are prepared, as in `folder:/data/birds size=64`."""
OUT_OF_RANGE = {"sinusoid": ("amplitude", "phase"), "polynomial": ("coefficients",)}
"""Generated regression data sets: name -> parameters that a shift moves beyond the range of meta-training.

Equals `OUT_OF_RANGE` of the classes in `tasks.generated`, which need torch.
"""
REGRESSION = tuple(OUT_OF_RANGE)
"""Names of the generated regression data sets."""


def data_root() -> Path:
    """Folder of downloads and prepared data (env DATA_ROOT, default `data`)."""
    return Path(os.environ.get("DATA_ROOT", "data"))


def prepared_root() -> Path:
    """Folder of prepared data sets, one folder each."""
    return data_root() / "prepared"


def folder_name(name: str) -> str:
    """Return the folder name of a data set: `torchmeta:cifar_fs` -> `torchmeta_cifar_fs`. ValueError lists the names.

    Your own pictures: `folder:/data/birds` -> `folder_birds_1f0c9a3e`, with a digest of the resolved path and the options.
    """
    if name.startswith(FOLDER) and name.removeprefix(FOLDER).strip():
        path = pictures_path(name)
        stem = re.sub(r"[^A-Za-z0-9]+", "_", path.name.split(".")[0]).strip("_") or "pictures"
        digest = hashlib.sha256(os.fsencode(path) + OPTIONS.search(name)[0].encode()).hexdigest()
        return f"folder_{stem}_{digest[:8]}"
    if name in NAMES or (name.startswith(TORCHMETA) and name.removeprefix(TORCHMETA).isidentifier()):
        return name.replace(":", "_")
    raise ValueError(
        f"unknown data set {name!r}; known: {', '.join(NAMES)}, {TORCHMETA}<name> (e.g. {TORCHMETA}cifar_fs), "
        f"{FOLDER}<path> (e.g. {FOLDER}/data/birds)"
    )


def pictures_path(name: str) -> Path:
    """Return the resolved path behind `folder:<path>`; `~` is the home folder."""
    return Path(OPTIONS.sub("", name.removeprefix(FOLDER)).strip()).expanduser().resolve()


def path_name(name: str) -> str:
    """Return the data set's name for paths and anchors: own pictures have a path in theirs, other names stay as they are."""
    return folder_name(name) if name.startswith(FOLDER) else name
