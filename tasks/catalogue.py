"""Names of data sets, shifts of generated tasks and folders: what a study can ask for, without loading anything."""

import os
from pathlib import Path

SHIPPED = Path(__file__).resolve().parents[1] / "data"
"""Folder of the facts about data that are part of the project: sources, splits, published values."""
NAMES = ("glyphs", "omniglot", "miniimagenet")
TORCHMETA = "torchmeta:"
OUT_OF_RANGE = {"sinusoid": ("amplitude", "phase"), "polynomial": ("coefficients",)}
"""Generated regression data sets, and the parameters of each that a shift takes beyond the range of meta-training."""
REGRESSION = tuple(OUT_OF_RANGE)
LAKE_DATA = ("omniglot", "lake")
"""Data set and split under which the characters of Lake's runs are not seen in meta-training."""


def data_root() -> Path:
    """Folder of downloads and prepared data (env DATA_ROOT, default `data`)."""
    return Path(os.environ.get("DATA_ROOT", "data"))


def prepared_root() -> Path:
    return data_root() / "prepared"


def folder_name(name: str) -> str:
    """Folder name of a data set: `torchmeta:cifar_fs` -> `torchmeta_cifar_fs`. ValueError lists the known names."""
    if name in NAMES or (name.startswith(TORCHMETA) and name.removeprefix(TORCHMETA).isidentifier()):
        return name.replace(":", "_")
    raise ValueError(
        f"unknown data set {name!r}; known: {', '.join(NAMES)}, {TORCHMETA}<name> (e.g. {TORCHMETA}cifar_fs)"
    )


def is_prepared(name: str, root: Path | None = None) -> bool:
    return ((root or prepared_root()) / folder_name(name) / "meta.json").exists()
