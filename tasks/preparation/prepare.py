"""From sources to the prepared form: by name, whole or not at all, safe when two processes prepare the same data set."""

import contextlib
import fcntl
import importlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tasks.catalogue import FOLDER, TORCHMETA, folder_name, pictures_path, prepared_root
from tasks.dataset import ImageData, load
from tasks.preparation.card import Built, prepared_digest, write_card
from tasks.preparation.folder_resume import RECORD
from tasks.preparation.write import write_prepared
from tasks.prepared import is_prepared


def prepare(name: str, root: Path | None = None, force: bool = False) -> ImageData:
    """Prepare a data set unless it already is (or `force`), and open it.

    ValueError: unknown name. DataError: no good source file; the message names the place for one.
    """
    root = root or prepared_root()
    folder = root / folder_name(name)
    with _locked(root / f".{folder.name}.lock"):
        if force or not is_prepared(name, root):
            _prepare(name, folder)
    return load(folder.name, root)


def _prepare(name: str, folder: Path) -> None:
    for stale in folder.parent.glob(
        f".{folder.name}-*"
    ):  # left by a killed process, since this one holds the lock
        shutil.rmtree(stale, ignore_errors=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    unfinished = folder.parent / f".{folder.name}.unfinished"  # stays where one is killed or interrupted
    unfinished.mkdir(exist_ok=True)
    try:
        built = _build(name, unfinished)
        built.meta["name"] = folder.name
        built.meta.setdefault("digest", prepared_digest(built.images, built.meta["class_names"]))
        made = write_prepared(folder.name, built.images, built.meta, built.originals, root=stage)
        for file, arrays in built.arrays.items():
            np.savez_compressed(made / file, **arrays)
        for file, text in built.texts.items():
            (made / file).write_text(text, encoding="utf-8")
        write_card(built, made)
        if folder.exists():
            folder.rename(stage / "old")
        made.rename(folder)
        shutil.rmtree(unfinished)
    except BaseException as error:
        if isinstance(error, Exception) or not (unfinished / RECORD).exists():
            shutil.rmtree(unfinished, ignore_errors=True)
        raise
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _build(name: str, scratch: Path) -> Built:
    if name == "glyphs":
        return Built(*importlib.import_module("tasks.preparation.glyphs").build())
    if name.startswith(TORCHMETA):
        return importlib.import_module("tasks.preparation.torchmeta_adapter").build(
            name.removeprefix(TORCHMETA), scratch
        )
    if name.startswith(FOLDER):
        own = importlib.import_module("tasks.preparation.folder")
        return own.build(pictures_path(name), scratch, **own.options_of(name))
    return importlib.import_module(f"tasks.preparation.{name}").build(scratch)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock; a second process waits for it and then finds the work done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
