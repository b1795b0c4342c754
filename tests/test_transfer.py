"""Downloads from servers that break off, dawdle, never end or answer nonsense; mirrors by every kind of address."""

import contextlib
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.__main__ import main as bench
from tasks.preparation import download
from tasks.preparation.archives import DataError
from tasks.preparation.download import NotFound, SourceFile, fetch
from tasks.preparation.transfer import CHUNK, Limits, copy_url
from tests.server import Server

BODY = bytes(range(256)) * 40
LIMITS = Limits(tries=4, backoff=0.01, bytes=1 << 20)


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def empty_house(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    monkeypatch.setattr(download, "BACKOFF_SECONDS", 0.01)


def breaks_off(body: bytes, after: int, asked: list, ranges: bool = True):
    """A server that sends `after` bytes of what is left, then closes the connection."""

    def reply(handler):
        asked.append(handler.headers.get("Range"))
        start = int(asked[-1].removeprefix("bytes=").removesuffix("-")) if asked[-1] and ranges else 0
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(body) - start))
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        handler.end_headers()
        handler.wfile.write(body[start : start + after])

    return reply


def sends(headers: dict[str, str], body: bytes = b"", status: int = 200, pause: float = 0.0, times: int = 1):
    def reply(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(times):
                handler.wfile.write(body)
                handler.wfile.flush()
                time.sleep(pause)

    return reply


def test_a_broken_download_resumes_where_it_stopped(server, tmp_path):
    asked = []
    copy_url(server.put("/x", breaks_off(BODY, 4000, asked)), tmp_path / "x", LIMITS)
    assert (tmp_path / "x").read_bytes() == BODY
    assert asked == [None, "bytes=4000-", "bytes=8000-"]


def test_a_server_without_ranges_starts_afresh(server, tmp_path):
    asked = []
    url = server.put("/x", breaks_off(BODY, 4000, asked, ranges=False), (200, BODY))
    copy_url(url, tmp_path / "x", LIMITS)
    assert (tmp_path / "x").read_bytes() == BODY and asked == [None]


@pytest.mark.parametrize(
    "odd",
    [
        sends({"Content-Range": "bytes 0-9/10240"}, BODY[:10], status=206),
        sends({"Content-Range": "bytes */10240"}, status=416),
    ],
)
def test_a_range_that_was_not_asked_for_is_thrown_away(odd, server, tmp_path):
    copy_url(server.put("/x", breaks_off(BODY, 4000, []), odd, (200, BODY)), tmp_path / "x", LIMITS)
    assert (tmp_path / "x").read_bytes() == BODY


def test_tries_count_from_the_last_progress(server, tmp_path):
    body, asked = bytes(6 * CHUNK), []
    limits = replace(LIMITS, tries=2, bytes=len(body))
    copy_url(server.put("/x", breaks_off(body, CHUNK, asked)), tmp_path / "x", limits)
    assert (tmp_path / "x").stat().st_size == len(body) and len(asked) == 6
    with pytest.raises(NotFound, match="/y: gave up"):
        copy_url(server.put("/y", breaks_off(body, 1000, asked)), tmp_path / "y", limits)


BAD = {
    "endless": (sends({}, bytes(1 << 16), times=10**6), "larger than the 1 MB"),
    "announced too large": (sends({"Content-Length": str(1 << 40)}), "larger than the 1 MB"),
    "a byte now and then": (sends({"Content-Length": "1000"}, b"x", pause=0.05, times=1000), "too slow"),
    "broken gzip": (
        sends({"Content-Encoding": "gzip", "Content-Length": "99"}, b"x" * 99),
        "download failed.*gzip",
    ),
    "redirect loop": (sends({"Location": "/bad"}, status=302), "download failed: Exceeded 30 redirects"),
    "redirect to a file": (sends({"Location": "file:///etc/passwd"}, status=302), "download failed"),
    "forbidden": (sends({}, status=403), "HTTP 403"),
    "no HTTP": (lambda handler: handler.wfile.write(b"nonsense\r\n\r\n"), "no answer"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_answer_goes_on_to_the_next_address(kind, server, tmp_path, monkeypatch):
    reply, message = BAD[kind]
    monkeypatch.setattr(download, "Limits", lambda *_: replace(LIMITS, grace=0.2))
    urls = [server.put("/bad", reply), server.put("/good", (200, BODY))]
    assert fetch(SourceFile("omniglot", "x.zip", urls), Path.read_bytes) == BODY
    (tmp_path / "data/downloads/omniglot/x.zip").unlink()
    with pytest.raises(DataError, match=f"{urls[0]}: {message}"):
        fetch(SourceFile("omniglot", "x.zip", urls[:1]), Path.read_bytes)
    assert list((tmp_path / "data/downloads/omniglot").iterdir()) == []


@pytest.mark.parametrize("length", ["abc", "-5", ""])
def test_a_length_that_is_no_number_is_ignored(length, server, tmp_path):
    copy_url(server.put("/x", sends({"Content-Length": length}, BODY)), tmp_path / "x", LIMITS)
    assert (tmp_path / "x").read_bytes() == BODY


def test_a_copy_that_breaks_its_reader_goes_on_to_the_next(server):
    def read(path: Path) -> bytes:
        if path.read_bytes() != BODY:
            raise ValueError("Decompressed data too large")
        return BODY

    urls = [server.put("/bad", (200, b"bad")), server.put("/good", (200, BODY))]
    assert fetch(SourceFile("omniglot", "x.zip", urls), read) == BODY
    with pytest.raises(DataError, match=f"tried {urls[0]}: ValueError: Decompressed"):
        fetch(SourceFile("omniglot", "y.zip", urls[:1]), read)


def test_progress_in_a_log(server, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("tasks.preparation.transfer.LINE_SECONDS", 0)
    url = server.put("/x", (200, BODY))
    copy_url(url, tmp_path / "x", LIMITS)
    assert f"{url}: 0.0 of 0.0 MB" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------- DATA_MIRROR


@pytest.mark.parametrize(
    "value", ["/no/such/folder", "~/no-such-folder", "file:///no/such/folder", "relative"]
)
def test_a_mirror_that_does_not_exist_says_so_at_once(value, monkeypatch, capsys):
    monkeypatch.setenv("DATA_MIRROR", value)
    start = time.monotonic()
    assert bench(["prepare", "omniglot"]) == 2
    assert f"DATA_MIRROR={value} does not exist" in capsys.readouterr().err.replace("\n", "")
    assert bench(["prepare", "miniimagenet"]) == 2
    assert time.monotonic() - start < 5


def test_a_mirror_of_an_unknown_kind_says_what_is_allowed(tmp_path, monkeypatch):
    for value, message in (
        ("s3://bucket", "http, https or file"),
        (str(tmp_path / "file"), "is not a folder"),
    ):
        (tmp_path / "file").touch()
        monkeypatch.setenv("DATA_MIRROR", value)
        with pytest.raises(DataError, match=f"DATA_MIRROR={value}.*{message}"):
            download.mirror()


@pytest.mark.parametrize("form", ["file://{}", "file://localhost{}", "file:{}", "FILE://{}/", "{}/", "home"])
def test_a_mirror_by_every_kind_of_address(form, tmp_path, monkeypatch):
    folder = tmp_path / "a mirror"
    (folder / "omniglot").mkdir(parents=True)
    (folder / "omniglot/x").write_bytes(BODY)
    monkeypatch.setenv("HOME", str(tmp_path))
    address = "~/a mirror" if form == "home" else form.format(str(folder))
    monkeypatch.setenv("DATA_MIRROR", address.replace(" ", "%20") if "file:" in address.lower() else address)
    assert fetch(SourceFile("omniglot", "x"), Path.read_bytes) == BODY


def test_a_web_mirror_that_cannot_be_reached_is_named(server, monkeypatch, capsys):
    server.close()
    monkeypatch.setenv("DATA_MIRROR", server.url)
    assert not download.is_there(SourceFile("miniimagenet", "train/n01.zip"))
    assert f"DATA_MIRROR={server.url} cannot be reached" in capsys.readouterr().err.replace("\n", "")
