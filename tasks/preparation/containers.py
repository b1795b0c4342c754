"""Folders and archives read alike, so that a data set is known by its content and not by its packing."""

import contextlib
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tasks.preparation.archives import Archive, DataError, open_tar, open_zip
from tasks.preparation.places import homes, is_archive, is_litter, walk

IMAGES = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".webp",
    ".avif",
    ".jp2",
} | {
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
}
OPEN_FILES = 32  # archives kept open between two reads


class Container:
    """A folder, zip or tar. names: its files without litter, sorted paths with `/`.

    DataError: an archive that is damaged or means harm.
    """

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @functools.cached_property
    def names(self) -> list[str]:
        if self.path.is_dir():
            return list(walk(self.path))
        return sorted(name for name in _open(self.path).names if not is_litter(name))

    @property
    def images(self) -> list[str]:
        return [name for name in self.names if PurePosixPath(name).suffix.casefold() in IMAGES]

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """The named files as (name, bytes), in the order of the names. DataError: a file that cannot be read."""
        if self.path.is_dir():
            return ((name, _read(self.path / name)) for name in names)
        return _open(self.path).read(names)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}: put it back, make it readable or remove it") from error


def _open(path: Path) -> Archive:
    facts = path.stat()
    return _opened(path, facts.st_mtime_ns, facts.st_size)


@functools.lru_cache(OPEN_FILES)
def _opened(path: Path, _time: int, _size: int) -> Archive:
    return (open_zip if path.name.casefold().endswith(".zip") else open_tar)(path)


@dataclass(frozen=True)
class Member:
    """A file in a container. In error messages: its path, or the archive and the name within."""

    container: Container
    name: str

    def read_bytes(self) -> bytes:
        return next(iter(self.container.read([self.name])))[1]

    def __str__(self) -> str:
        return place(self.container, self.name)


def place(container: Container, inside: str) -> str:
    """Where something is, for error messages."""
    if not inside:
        return str(container.path)
    return str(container.path / inside) if container.path.is_dir() else f"{container.path}: {inside}"


def containers(dataset: str) -> list[Container]:
    """Every folder of the data set and every readable archive in or beside them; damaged archives are left out."""
    found = []
    for home in homes(dataset):
        container = Container(home)
        packed = [home / name for name in container.names if is_archive(Path(name))] if home.is_dir() else []
        for candidate in (container, *map(Container, packed)):
            with contextlib.suppress(DataError):
                if candidate.names:
                    found.append(candidate)
    return found
