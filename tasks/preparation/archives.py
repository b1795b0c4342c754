"""Read zip, tar and pickle files of strangers without letting them write or run anything."""

import bz2
import contextlib
import gzip
import io
import lzma
import pickle
import stat
import tarfile
import tempfile
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Protocol

import numpy as np

MAX_BYTES = 1 << 30
MAX_MEMBER_BYTES = 64 << 20  # of all files but pickles, which hold a whole part
MAX_TAR_BYTES = 16 << 30
PICKLES = {".pkl", ".pickle", ".p"}


class DataError(RuntimeError):
    """A source file that is missing or not what it should be; the message names it."""


def _check_member(archive: Path, name: str, size: int, is_link: bool) -> str:
    """Name of a member with `/` between folders. DataError: it climbs out, is a link, or is too large."""
    plain = name.replace("\\", "/").removeprefix("./")
    path = PurePosixPath(plain)
    if path.is_absolute() or ".." in path.parts or ":" in plain.split("/")[0]:
        raise DataError(f"{archive}: member {name!r} points outside of the archive; do not use this file")
    if is_link:
        raise DataError(
            f"{archive}: member {name!r} is a link, which no data archive needs; do not use this file"
        )
    if size > (MAX_BYTES if path.suffix in PICKLES else MAX_MEMBER_BYTES):
        raise DataError(
            f"{archive}: member {name!r} unpacks to {size} bytes; no data file here is that large"
        )
    return plain


class Archive:
    """An open zip or tar whose members are all checked. names: its files, sorted."""

    def __init__(
        self, path: Path, members: dict[str, Any], read: Callable[[Any], bytes], size: Callable[[Any], int]
    ):
        self.path, self._members, self._read, self._size = path, members, read, size
        self.names = sorted(members)

    def read(self, names: Iterable[str], max_bytes: int = MAX_BYTES) -> Iterator[tuple[str, bytes]]:
        """The named files as (name, bytes), in the order of the names. DataError: damaged, or more than `max_bytes`."""
        names = list(names)
        total = sum(self._size(self._members[name]) for name in names)
        if total > max_bytes:
            raise DataError(
                f"{self.path}: unpacks to {total} bytes, more than the {max_bytes} expected at most (zip bomb?)"
            )
        for name in names:
            with _named(self.path):
                data = self._read(self._members[name])
            yield name, data


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn what zipfile and tarfile raise into a DataError that names the file."""
    kind = "zip" if path.name.casefold().endswith(".zip") else "tar"
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # a damaged or hostile archive can raise anything
        raise DataError(f"{path}: {describe(path)}, not a complete {kind} ({error})") from error


def open_zip(path: Path) -> Archive:
    """Open a zip and check every member. DataError: no zip, truncated, or a climbing, linked or too large member."""
    with _named(path):
        archive = zipfile.ZipFile(path)
        members = {}
        for member in archive.infolist():
            if not member.is_dir():
                is_link = stat.S_ISLNK(member.external_attr >> 16)
                members[_check_member(path, member.filename, member.file_size, is_link)] = member
    return Archive(path, members, archive.read, lambda member: member.file_size)


def open_tar(path: Path) -> Archive:
    """Open a tar, also a compressed one, and check every member. DataError: as for `open_zip`."""
    with _named(path):
        archive = tarfile.open(path)
        if isinstance(archive.fileobj, (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)):
            archive = tarfile.open(fileobj=_unpacked(path, archive.fileobj))
        members = {}
        for member in archive:
            if not member.isdir():
                members[_check_member(path, member.name, member.size, not member.isreg())] = member
    return Archive(path, members, lambda m: archive.extractfile(m).read(), lambda member: member.size)


def _unpacked(path: Path, packed: BinaryIO) -> BinaryIO:
    """A compressed tar, unpacked to a temporary file, because it could only be read from front to back."""
    whole, size = tempfile.TemporaryFile(), 0
    packed.seek(0)
    while chunk := packed.read(1 << 20):
        size += whole.write(chunk)
        if size > MAX_TAR_BYTES:
            raise DataError(f"{path}: unpacks to more than {MAX_TAR_BYTES} bytes (a bomb?)")
    whole.seek(0)
    return whole


def read_zip(path: Path, max_bytes: int = MAX_BYTES) -> Iterator[tuple[str, bytes]]:
    """Files of a zip as (name, bytes) sorted by name. Every member is checked before the first is read.

    DataError: not a zip, truncated, encrypted, climbing or linked member, or more than `max_bytes` unpacked.
    """
    archive = open_zip(path)
    return archive.read(archive.names, max_bytes)


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


def describe(file: Path | bytes) -> str:
    """What a file (or its content) looks like, for error messages."""
    if isinstance(file, bytes):
        head, size = file[:512], len(file)
    else:
        with open(file, "rb") as opened:
            head, size = opened.read(512), file.stat().st_size
    if head.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        return "it is an HTML page (a login, quota or error page saved under the wrong name)"
    return f"a file of {size} bytes that starts with {head[:8]!r}"


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
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "defaultdict"): defaultdict,
    ("builtins", "list"): list,
    ("__builtin__", "list"): list,
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


class Readable(Protocol):
    """A `Path`, or a file inside an archive."""

    def read_bytes(self) -> bytes: ...


def load_pickle(path: Readable) -> Any:
    """Load a pickle of numpy arrays, numbers, strings, lists and dicts (any protocol, Python 2 included); run nothing else.

    DataError: anything else in it, an HTML page, a truncated file.
    """
    try:
        with open(path, "rb") if isinstance(path, Path) else io.BytesIO(path.read_bytes()) as file:
            return _ArrayUnpickler(file, encoding="latin1").load()
    except Exception as error:  # a hostile or cut-off stream can raise anything from inside the machine
        seen = describe(path if isinstance(path, Path) else path.read_bytes())
        raise DataError(
            f"{path}: {seen}, not a pickle of plain arrays ({error}); nothing in it was run"
        ) from error
