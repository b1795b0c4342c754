"""Find source files: download cache, DATA_MIRROR, then the URLs of data/sources.yaml; verified before they are kept."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests
import yaml

from tasks.catalogue import data_root
from tasks.facts import SHIPPED
from tasks.preparation.archives import DataError
from tasks.preparation.places import holdings, mirror
from tasks.preparation.transfer import TIMEOUT_SECONDS, Limits, NotFound, console, copy_url

SOURCES = SHIPPED / "sources.yaml"
TRIES = 4
BACKOFF_SECONDS = 2.0
MAX_BYTES = 64 << 20
"""Size of a download, unless data/sources.yaml says otherwise."""
Read = TypeVar("Read")


@dataclass(frozen=True)
class SourceFile:
    """One file: `<dataset>/<name>` below the cache and the mirror.

    expected: what it should hold, in words; max_bytes: size of a download at most; others: lists further local places
    (any object that `read` of `fetch` accepts and whose `str` names it).
    """

    dataset: str
    name: str
    urls: list[str] = field(default_factory=list)
    expected: str = ""
    max_bytes: int = MAX_BYTES
    others: Callable[[], list[Any]] = list

    @property
    def cached(self) -> Path:
        return data_root() / "downloads" / self.dataset / self.name

    @property
    def mirrored(self) -> str | Path | None:
        place = mirror()
        if isinstance(place, str):
            return f"{place}/{self.dataset}/{self.name}"
        return place and place / self.dataset / self.name

    def places(self) -> Iterator[Any]:
        """Where a copy may be, in order: a str is a URL, anything else is local."""
        known = [place for place in (self.cached, self.mirrored) if place is not None]
        yield from (place for place in known if isinstance(place, str) or place.is_file())
        yield from (place for place in self.others() if place not in known)
        yield from self.urls


def local_path(dataset: str, name: str) -> Path | None:
    """The file or folder `<dataset>/<name>` of the cache or of a mirror that is a folder, if there is one."""
    source = SourceFile(dataset, name)
    places = [source.cached, source.mirrored]
    return next((place for place in places if isinstance(place, Path) and place.exists()), None)


def is_there(source: SourceFile) -> bool:
    """Whether there is a local copy or DATA_MIRROR, if a URL, offers one. The URLs of data/sources.yaml are not asked."""
    if local_path(source.dataset, source.name):
        return True
    if not isinstance(source.mirrored, str):
        return False
    try:
        return (
            requests.head(source.mirrored, allow_redirects=True, timeout=TIMEOUT_SECONDS).status_code == 200
        )
    except requests.RequestException as error:
        _warn(f"DATA_MIRROR={mirror()} cannot be reached: {error}")
        return False


def load_sources(path: Path = SOURCES) -> dict:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def fetch(source: SourceFile, read: Callable[[Any], Read]) -> Read:
    """Return `read(place)` of the first copy that it accepts; `read` raises DataError, naming the place.

    A download is read before it gets its name in the cache, so nothing half-written or wrong is ever left there.
    NotFound: there is no copy. DataError: there are copies and all are bad. The message lists every place tried, what is
    expected, what the data set's folders hold, and the remedy.
    """
    failures: list[DataError] = []
    for place in source.places():
        if failures:
            _warn(f"no use: {failures[-1]}\ntrying {place}")
        try:
            return _download(source, place, read) if isinstance(place, str) else read(place)
        except DataError as error:
            failures.append(error)
        except (
            Exception
        ) as error:  # a hostile file or server can raise anything: the next place may be better
            failures.append(DataError(f"{place}: {type(error).__name__}: {error}"))
    missing = all(isinstance(error, NotFound) for error in failures)
    raise (NotFound if missing else DataError)(_remedy(source, failures))


def _warn(text: str) -> None:
    console.print(text, style="yellow", markup=False, soft_wrap=True)


def _remedy(source: SourceFile, failures: list[DataError]) -> str:
    tried = "".join(f"\n  tried {error}" for error in failures) or "\n  no local copy and no URL to try"
    expected = f"\n  expected: {source.expected}" if source.expected else ""
    return (
        f"no good copy of {source.dataset}/{source.name}{tried}{expected}{holdings(source.dataset)}\n"
        f"  put a good copy at {source.cached}, or set DATA_MIRROR to a folder or URL that holds "
        f"{source.dataset}/{source.name}"
    )


def _download(source: SourceFile, url: str, read: Callable[[Path], Read]) -> Read:
    source.cached.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(
        prefix=f".{source.cached.stem}-", suffix=source.cached.suffix, dir=source.cached.parent
    )
    os.close(handle)
    temporary = Path(name)
    try:
        copy_url(url, temporary, Limits(TRIES, BACKOFF_SECONDS, source.max_bytes))
        try:
            result = read(temporary)
        except DataError as error:
            raise DataError(str(error).replace(str(temporary), url)) from error
        temporary.chmod(0o644)
        temporary.replace(source.cached)
        return result
    finally:
        temporary.unlink(missing_ok=True)
