"""Finding source files: download cache, DATA_MIRROR, then the URLs of data/sources.yaml; verified before they are kept."""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import requests
import yaml
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tasks.catalogue import SHIPPED, data_root
from tasks.preparation.archives import DataError, describe

SOURCES = SHIPPED / "sources.yaml"
TRIES = 4
BACKOFF_SECONDS = 2.0
TIMEOUT_SECONDS = (10, 60)
Read = TypeVar("Read")

console = Console(stderr=True)


class NotFound(DataError):
    """No copy of a file can be reached."""


class _Retry(Exception):
    """A failure that may pass: worth another try at the same URL."""


@dataclass(frozen=True)
class SourceFile:
    """One file: `<dataset>/<name>` below the cache and the mirror; `expected` says in words what it should hold."""

    dataset: str
    name: str
    urls: list[str] = field(default_factory=list)
    expected: str = ""

    @property
    def cached(self) -> Path:
        return data_root() / "downloads" / self.dataset / self.name

    @property
    def mirrored(self) -> str | Path | None:
        mirror = os.environ.get("DATA_MIRROR", "")
        if mirror.startswith(("http://", "https://")):
            return f"{mirror.rstrip('/')}/{self.dataset}/{self.name}"
        return Path(mirror) / self.dataset / self.name if mirror else None

    def places(self) -> list[str | Path]:
        """Where a copy may be, in order: a str is a URL, a Path a local file."""
        places = [self.cached, self.mirrored, *self.urls]
        return [
            place for place in places if isinstance(place, str) or (place is not None and place.is_file())
        ]


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
    except requests.RequestException:
        return False


def load_sources(path: Path = SOURCES) -> dict:
    return yaml.safe_load(path.read_text())


def fetch(source: SourceFile, read: Callable[[Path], Read]) -> Read:
    """What `read(path)` makes of the first copy that it accepts; `read` raises DataError, naming the path.

    A download is read before it gets its name in the cache, so nothing half-written or wrong is ever left there.
    NotFound: there is no copy. DataError: there are copies and all are bad; the message lists every place and remedy.
    """
    failures: list[DataError] = []
    for place in source.places():
        if failures:
            console.print(
                f"no use: {failures[-1]}\ntrying {place}", style="yellow", markup=False, soft_wrap=True
            )
        try:
            return read(place) if isinstance(place, Path) else _download(source, place, read)
        except DataError as error:
            failures.append(error)
    missing = all(isinstance(error, NotFound) for error in failures)
    raise (NotFound if missing else DataError)(_remedy(source, failures))


def _remedy(source: SourceFile, failures: list[DataError]) -> str:
    tried = "".join(f"\n  tried {error}" for error in failures) or "\n  no local copy and no URL to try"
    expected = f"\n  expected: {source.expected}" if source.expected else ""
    return (
        f"no good copy of {source.dataset}/{source.name}{tried}{expected}\n"
        f"  put a good copy at {source.cached}, or set DATA_MIRROR to a folder or URL that holds "
        f"{source.dataset}/{source.name}"
    )


def _download(source: SourceFile, url: str, read: Callable[[Path], Read]) -> Read:
    source.cached.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{source.cached.name}-", dir=source.cached.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        _get(url, temporary)
        try:
            result = read(temporary)
        except DataError as error:
            raise DataError(str(error).replace(str(temporary), url)) from error
        temporary.chmod(0o644)
        temporary.replace(source.cached)
        return result
    finally:
        temporary.unlink(missing_ok=True)


def _get(url: str, path: Path) -> None:
    """Download with retries: timeouts, broken connections, short bodies and 429/5xx are tried again, others not."""
    for attempt in range(TRIES):
        try:
            return _get_once(url, path)
        except (_Retry, requests.ConnectionError, requests.Timeout) as error:
            if attempt == TRIES - 1:
                raise NotFound(f"{url}: gave up after {TRIES} tries: {error}") from error
            time.sleep(BACKOFF_SECONDS * 2**attempt)
        except requests.RequestException as error:
            raise DataError(f"{url}: download failed: {error}") from error


def _get_once(url: str, path: Path) -> None:
    with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response:
        if response.status_code in (404, 410):
            raise NotFound(f"{url}: HTTP {response.status_code}, no such file")
        if response.status_code == 429 or response.status_code >= 500:
            raise _Retry(f"HTTP {response.status_code}")
        if response.status_code != 200:
            raise DataError(f"{url}: HTTP {response.status_code} {response.reason}")
        size = int(response.headers.get("Content-Length", 0)) or None
        received = _save(response, path, url, size)
    if size is not None and "Content-Encoding" not in response.headers and received < size:
        raise _Retry(f"the connection closed after {received} of {size} bytes")
    if describe(path).startswith("it is"):
        raise DataError(f"{url}: {describe(path)}")


def _save(response: requests.Response, path: Path, url: str, size: int | None) -> int:
    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    received = 0
    with Progress(*columns, console=console, transient=True) as progress, open(path, "wb") as file:
        task = progress.add_task(url, total=size)
        try:
            for chunk in response.iter_content(1 << 20):
                file.write(chunk)
                received += len(chunk)
                progress.update(task, completed=received)
        except requests.exceptions.ChunkedEncodingError as error:
            raise _Retry(f"the connection closed after {received} of {size} bytes") from error
    return received
