"""Reading what strangers packed: zip, tar and pickle, without letting them write or run anything."""

import pickle
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

MAX_BYTES = 1 << 30
MAX_MEMBER_BYTES = 64 << 20


class DataError(RuntimeError):
    """A source file that is missing or not what it should be; the message names it."""


def _check_member(archive: Path, name: str, size: int, is_link: bool) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name.split("/")[0]:
        raise DataError(f"{archive}: member {name!r} points outside of the archive; do not use this file")
    if is_link:
        raise DataError(
            f"{archive}: member {name!r} is a link, which a data archive has no use for; do not use this file"
        )
    if size > MAX_MEMBER_BYTES:
        raise DataError(
            f"{archive}: member {name!r} unpacks to {size} bytes; no data file here is that large"
        )


def read_zip(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[tuple[str, bytes]]:
    """Files of a zip as (name, bytes) sorted by name. Every member is checked before the first is read.

    DataError: not a zip, truncated, encrypted, climbing or linked member, or more than `max_bytes` unpacked.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = sorted((m for m in archive.infolist() if not m.is_dir()), key=lambda m: m.filename)
            for member in members:
                _check_member(
                    path, member.filename, member.file_size, stat.S_ISLNK(member.external_attr >> 16)
                )
            total = sum(member.file_size for member in members)
            if total > max_bytes:
                raise DataError(
                    f"{path}: unpacks to {total} bytes, more than the {max_bytes} expected at most (zip bomb?)"
                )
            for member in members:
                yield member.filename, archive.read(member)
    except DataError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        raise DataError(f"{path}: {describe(path)}, not a complete zip ({error})") from error


def extract_zip(path: Path, folder: Path) -> None:
    """Unpack a zip below `folder`, with the checks of `read_zip`."""
    for name, data in read_zip(path):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def read_nested_tar(
    path: Path, wanted: Callable[[str], bool], pick: Callable[[str, list[str]], list[str]]
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Files out of tars inside a tar, streamed: nothing is unpacked to disk.

    For each inner tar that `wanted(its name)` accepts, yields its name and the (name, bytes) that `pick(its name, its
    files)` asks for, in that order. DataError: not a tar, truncated, climbing or linked member.
    """
    try:
        with tarfile.open(path, "r:") as outer:
            for member in outer:
                if wanted(member.name):
                    _check_member(path, member.name, 0, not member.isreg())
                    with tarfile.open(fileobj=outer.extractfile(member), mode="r:") as inner:
                        files = {file.name: file for file in inner.getmembers() if not file.isdir()}
                        for file in files.values():
                            _check_member(path, file.name, file.size, not file.isreg())
                        names = pick(member.name, list(files))
                        yield member.name, [(name, inner.extractfile(files[name]).read()) for name in names]
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: {describe(path)}, not a complete tar ({error})") from error


def describe(path: Path) -> str:
    """What a file looks like, for error messages."""
    with open(path, "rb") as file:
        head = file.read(512)
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is an HTML page (a login, quota or error page saved under the wrong name)"
    return f"a file of {path.stat().st_size} bytes that starts with {head[:8]!r}"


def _empty_array(kind: type, shape: tuple, _typecode: bytes) -> np.ndarray:
    # What numpy pickles is always an empty array that is filled afterwards: any other shape is an attempt to exhaust memory.
    if kind is not np.ndarray or tuple(shape) != (0,):
        raise pickle.UnpicklingError(f"array of type {kind} and shape {shape}")
    return np.ndarray.__new__(np.ndarray, (0,), "b")


def _latin1(text: str, encoding: str) -> bytes:
    # Protocol 2 stores bytes as text with this call; other codecs could unpack bombs.
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"codec {encoding!r}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
}
for _core in ("numpy.core", "numpy._core"):
    _ALLOWED[f"{_core}.multiarray", "_reconstruct"] = _empty_array
    _ALLOWED[f"{_core}.multiarray", "scalar"] = np._core.multiarray.scalar
    _ALLOWED[f"{_core}.numeric", "_frombuffer"] = np._core.numeric._frombuffer


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


def load_pickle(path: Path) -> Any:
    """Load a pickle of numpy arrays, numbers, strings, lists and dicts (any protocol, Python 2 included); run nothing else.

    DataError: anything else in it, an HTML page, a truncated file.
    """
    try:
        with open(path, "rb") as file:
            return _ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a hostile or cut-off stream can raise anything from inside the machine
        raise DataError(
            f"{path}: {describe(path)}, not a pickle of plain arrays ({error}); nothing in it was run"
        ) from error
