"""Copy one URL to a file: retries, resumption by range, limits of size and time, progress."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import requests
from requests.adapters import HTTPAdapter
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError, ReadTimeoutError
from urllib3.util import Retry

from tasks.preparation.archives import DataError, describe

RETRIED = frozenset({429, *range(500, 600)})
TIMEOUT_SECONDS = (10, 60)  # to connect, and between two packets
LONGEST_PAUSE_SECONDS = 60  # longest wait before another try, whatever the server asks for
CHUNK = 1 << 20
LINE_SECONDS = 30  # where there is no terminal: seconds between two lines of progress

console = Console(stderr=True)


class NotFound(DataError):
    """No copy of a file can be reached."""


@dataclass(frozen=True)
class Limits:
    """What one download may take.

    tries: requests in a row that bring nothing new; backoff: seconds, doubled with each of them; bytes: size of the
    file; seconds: in all; rate: bytes a second, measured from the start and after `grace` seconds.
    """

    tries: int
    backoff: float
    bytes: int
    seconds: float = 4 * 3600
    rate: float = 20_000
    grace: float = 60

    def retries(self) -> Retry:
        """Requests that may pass the next time: broken connections, timeouts, HTTP 429 and 5xx."""
        return Retry(
            total=self.tries - 1,
            connect=min(1, self.tries - 1),  # an address that refuses a connection twice is not there
            status_forcelist=RETRIED,
            raise_on_status=False,
            backoff_factor=self.backoff,
            backoff_max=LONGEST_PAUSE_SECONDS,
            retry_after_max=LONGEST_PAUSE_SECONDS,
        )

    def check(self, url: str, received: int, seconds: float) -> None:
        """DataError: too much, too slow, or too long."""
        if received > self.bytes:
            raise DataError(f"{url}: larger than the {self.bytes >> 20} MB expected at most")
        if seconds > self.seconds or (seconds > self.grace and received < self.rate * (seconds - self.grace)):
            raise DataError(f"{url}: too slow, {received} bytes in {seconds:.0f} seconds")


def copy_url(url: str, path: Path, limits: Limits) -> None:
    """Download `url` to `path`, continuing after a broken connection where the server allows ranges.

    NotFound: no such file, or no answer after all tries. DataError: any other bad answer; both name the URL.
    """
    try:
        with requests.Session() as session, open(path, "wb") as file, _Shown(url) as shown:
            _Transfer(url, session, file, limits, shown).run()
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.RetryError) as error:
        raise NotFound(f"{url}: no answer after several tries: {_reason(error)}") from error
    except MaxRetryError as error:
        raise NotFound(f"{url}: gave up after several tries: {error.reason}") from error
    except (requests.RequestException, HTTPError, ValueError) as error:
        raise DataError(f"{url}: download failed: {error}") from error
    if describe(path).startswith("it is"):
        raise DataError(f"{url}: {describe(path)}")


def _reason(error: Exception) -> object:
    cause = error.args[0] if error.args else error
    return getattr(cause, "reason", None) or cause


class _Transfer:
    """One download in progress: the file so far, and the tries that are left."""

    def __init__(self, url: str, session: requests.Session, file: BinaryIO, limits: Limits, shown: "_Shown"):
        self.url, self.session, self.file, self.limits, self.shown = url, session, file, limits, shown
        self.start, self.most = time.monotonic(), 0
        self.retries = limits.retries()

    def run(self) -> None:
        while True:
            try:
                with self._ask() as response:
                    self.retries = response.raw.retries or self.retries
                    return self._append(response)
            except (ProtocolError, ReadTimeoutError) as error:
                self._pause(error)

    def _ask(self) -> requests.Response:
        adapter = HTTPAdapter(max_retries=self.retries)
        self.session.mount("https://", adapter)
        self.session.mount("http://", adapter)
        headers = {"Accept-Encoding": "identity"}
        if received := self.file.tell():
            headers["Range"] = f"bytes={received}-"
        response = self.session.get(self.url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
        if response.status_code in (404, 410):
            raise NotFound(f"{self.url}: HTTP {response.status_code}, no such file")
        if response.status_code in RETRIED:
            raise NotFound(
                f"{self.url}: gave up after {self.limits.tries} tries: HTTP {response.status_code}"
            )
        return response

    def _append(self, response: requests.Response) -> None:
        """Write the body behind what is there already; a whole body, or a range not asked for, starts afresh."""
        code, wanted = response.status_code, f"bytes {self.file.tell()}-"
        resumed = code == 206 and response.headers.get("Content-Range", "").startswith(wanted)
        if not resumed:
            self.file.seek(0)
            self.file.truncate()
        if code in (206, 416) and not resumed:
            raise ProtocolError(f"HTTP {code} for a range")
        if code not in (200, 206):
            raise DataError(f"{self.url}: HTTP {code} {response.reason}")
        length = response.headers.get("Content-Length", "")
        size = self.file.tell() + int(length) if length.isdecimal() else None
        self._check(size or 0)
        while chunk := response.raw.read1(CHUNK, decode_content=True):
            self.file.write(chunk)
            self._check(self.file.tell())
            self.shown.update(self.file.tell(), size)
        if size is not None and "Content-Encoding" not in response.headers and self.file.tell() < size:
            raise ProtocolError(f"the connection closed after {self.file.tell()} of {size} bytes")

    def _check(self, size: int) -> None:
        self.limits.check(self.url, size, time.monotonic() - self.start)

    def _pause(self, error: HTTPError) -> None:
        """Wait before another try. Tries are counted from the last one that brought at least CHUNK bytes more."""
        if self.file.tell() >= self.most + CHUNK:
            self.most, self.retries = self.file.tell(), self.limits.retries()
        self.retries = self.retries.increment("GET", self.url, error=error)
        self.retries.sleep()


class _Shown:
    """Progress of one download: a bar in a terminal, a line from time to time in a log."""

    def __init__(self, url: str):
        self.url, self.said = url, time.monotonic()
        columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
        self.bar = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.bar.add_task(url, total=None)

    def __enter__(self) -> "_Shown":
        self.bar.start()
        return self

    def __exit__(self, *_) -> None:
        self.bar.stop()

    def update(self, received: int, size: int | None) -> None:
        self.bar.update(self.task, completed=received, total=size)
        if self.bar.disable and time.monotonic() - self.said > LINE_SECONDS:
            self.said = time.monotonic()
            of = f" of {size / 1e6:.1f}" if size else ""
            console.print(f"{self.url}: {received / 1e6:.1f}{of} MB", markup=False, soft_wrap=True)
