"""The download path against a server on this machine, and archives that mean harm. Nothing here touches the internet."""

import io
import os
import pickle
import stat
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.images import content_digest
from tasks.preparation import download
from tasks.preparation.archives import DataError, extract_zip, load_pickle, read_zip
from tasks.preparation.download import NotFound, SourceFile, fetch
from tasks.preparation.omniglot import read_drawings
from tests.server import Server


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def drawing(seed: int) -> bytes:
    ink = np.random.default_rng(seed).random((105, 105)) < 0.1
    buffer = io.BytesIO()
    Image.fromarray(~ink).save(buffer, "png")
    return buffer.getvalue()


DRAWINGS = {f"set/Script/character{c:02d}/{c}_{i}.png": drawing(10 * c + i) for c in (1, 2) for i in (1, 2)}
GOOD = zipped(DRAWINGS)
PAGE = b"<!DOCTYPE html>\n<html><body>Quota exceeded</body></html>"


@pytest.fixture(scope="module")
def facts(tmp_path_factory):
    path = tmp_path_factory.mktemp("facts") / "good.zip"
    path.write_bytes(GOOD)
    loose = {"classes": 2, "images": 4}
    return {**loose, "digest": content_digest(read_drawings(path, loose).items())}


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


def get(facts: dict, *urls: str) -> dict:
    return fetch(
        SourceFile("omniglot", "set.zip", list(urls), "4 drawings"), lambda path: read_drawings(path, facts)
    )


def left_behind(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "data").rglob("*") if path.is_file())


def test_a_good_file_is_kept_and_not_asked_for_again(server, facts, tmp_path):
    url = server.put("/set.zip", (200, GOOD))
    assert sorted(get(facts, url)) == sorted(DRAWINGS)
    assert left_behind(tmp_path) == ["set.zip"]
    get(facts, url)
    assert server.asked == ["/set.zip"]


def test_a_404_moves_on_to_the_next_mirror_at_once(server, facts):
    urls = [server.put("/gone", (404, b"")), server.put("/set.zip", (200, GOOD))]
    assert len(get(facts, *urls)) == 4
    assert server.asked == ["/gone", "/set.zip"]


def test_503_is_tried_again(server, facts):
    url = server.put("/set.zip", (503, b""), (503, b""), (200, GOOD))
    assert len(get(facts, url)) == 4
    assert len(server.asked) == 3


def test_a_connection_that_breaks_is_tried_again(server, facts):
    url = server.put("/set.zip", (200, GOOD[:500], len(GOOD)), (200, GOOD))
    assert len(get(facts, url)) == 4


def test_giving_up_says_where_to_put_a_good_copy(server, facts, tmp_path):
    url = server.put("/set.zip", (503, b""))
    with pytest.raises(NotFound) as error:
        get(facts, url)
    assert len(server.asked) == download.TRIES
    message = str(error.value)
    for part in (
        url,
        "503",
        "expected: 4 drawings",
        str(tmp_path / "data/downloads/omniglot/set.zip"),
        "DATA_MIRROR",
    ):
        assert part in message
    assert left_behind(tmp_path) == []


BAD = {
    "HTML page": (PAGE, "HTML page"),
    "truncated zip": (GOOD[:-300], "not a complete zip"),
    "damaged zip": (GOOD[:100] + b"\0" * 60 + GOOD[160:], "not a complete zip"),
    "missing class": (
        zipped({n: d for n, d in DRAWINGS.items() if "r01" in n}),
        "classes: expected 2, found 1",
    ),
    "other classes": (
        zipped({n.replace("r01/", "r03/1"): d for n, d in DRAWINGS.items()} | DRAWINGS),
        "classes: expected 2, found 3",
    ),
    "other pixels": (zipped(DRAWINGS | {"set/Script/character01/1_1.png": drawing(99)}), "digest: expected"),
    "no image": (zipped(DRAWINGS | {"set/Script/character01/1_1.png": b"text"}), "not a readable image"),
    "climbing path": (zipped(DRAWINGS | {"../../evil.png": drawing(0)}), "points outside"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_refused_and_a_good_mirror_used(kind, server, facts, tmp_path):
    body, reason = BAD[kind]
    bad, good = server.put("/bad.zip", (200, body)), server.put("/good.zip", (200, GOOD))
    with pytest.raises(DataError, match=reason) as error:
        get(facts, bad)
    assert bad in str(error.value)
    assert left_behind(tmp_path) == []
    assert len(get(facts, bad, good)) == 4
    assert left_behind(tmp_path) == ["set.zip"]


@pytest.mark.parametrize("kind", ["url", "folder"])
def test_the_mirror_comes_before_the_urls(kind, server, facts, tmp_path, monkeypatch):
    server.put("/mirror/omniglot/set.zip", (200, GOOD))
    (tmp_path / "mirror/omniglot").mkdir(parents=True)
    (tmp_path / "mirror/omniglot/set.zip").write_bytes(GOOD)
    monkeypatch.setenv("DATA_MIRROR", f"{server.url}/mirror/" if kind == "url" else str(tmp_path / "mirror"))
    assert len(get(facts, server.put("/set.zip", (200, GOOD)))) == 4
    assert server.asked == (["/mirror/omniglot/set.zip"] if kind == "url" else [])
    assert left_behind(tmp_path) == (["set.zip"] if kind == "url" else [])


def test_a_bad_copy_in_the_cache_is_left_to_its_owner_until_a_good_one_arrives(server, facts, tmp_path):
    cached = tmp_path / "data/downloads/omniglot/set.zip"
    cached.parent.mkdir(parents=True)
    cached.write_bytes(b"half")
    with pytest.raises(DataError, match="not a complete zip"):
        get(facts)
    assert cached.read_bytes() == b"half"
    get(facts, server.put("/set.zip", (200, GOOD)))
    assert cached.read_bytes() == GOOD


def linked_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (zipped({"../evil": b"x"}), "points outside"),
        (zipped({"/evil": b"x"}), "points outside"),
        (zipped({"a/../../evil": b"x"}), "points outside"),
        (zipped({"C:\\evil": b"x"}), "points outside"),
        (linked_zip(), "is a link"),
        (zipped({f"{i}": bytes(1 << 20) for i in range(3)}), "zip bomb"),
    ],
)
def test_hostile_zips_are_refused_before_anything_is_unpacked(content, reason, tmp_path):
    path = tmp_path / "hostile.zip"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        list(read_zip(path, max_bytes=1 << 21))
    if "bomb" not in reason:
        with pytest.raises(DataError, match="hostile.zip"):
            extract_zip(path, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["hostile.zip"]


class Runs:
    """Unpickling this would run a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "payload",
    [
        lambda mark: Runs(os.system, f"touch {mark}"),
        lambda mark: {"image_data": np.zeros(3), "class_dict": Runs(eval, f"open({str(mark)!r}, 'w')")},
        lambda mark: np.array([Runs(os.system, f"touch {mark}")], dtype=object),
        lambda _: Runs(np._core.multiarray._reconstruct, np.ndarray, (1 << 40,), b"b"),
        lambda _: Runs(__import__("_codecs").encode, "x", "zlib"),
        lambda _: Runs(np.load, "other.npy"),
    ],
)
def test_hostile_pickles_run_nothing(payload, tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "hostile.pkl"
    path.write_bytes(pickle.dumps(payload(mark)))
    with pytest.raises(DataError, match=r"hostile\.pkl.*not a pickle of plain arrays"):
        load_pickle(path)
    assert not mark.exists()


@pytest.mark.parametrize("content", [PAGE, b"", pickle.dumps(np.arange(100))[:-20]])
def test_what_is_no_pickle_is_described(content, tmp_path):
    path = tmp_path / "x.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError, match="HTML page" if content is PAGE else "not a pickle"):
        load_pickle(path)


@pytest.mark.parametrize("protocol", range(6))
def test_plain_arrays_survive_every_protocol(protocol, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (4, 2, 2, 3), dtype=np.uint8)
    path = tmp_path / "x.pkl"
    path.write_bytes(
        pickle.dumps({"image_data": images, "class_dict": {"n01": [0, 1], "n02": [np.int64(2), 3]}}, protocol)
    )
    content = load_pickle(path)
    np.testing.assert_array_equal(content["image_data"], images)
    assert content["class_dict"] == {"n01": [0, 1], "n02": [2, 3]}


def test_pickles_of_python_2_are_read(tmp_path):
    # What Python 2 wrote for {"image_data": np.array([1, 2, 255], np.uint8)}: bytes are stored as its 8-bit str.
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR(K\x01K\x03\x85"
        b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        b"U\x03\x01\x02\xfftb"
    )
    path = tmp_path / "old.pkl"
    path.write_bytes(b"\x80\x02}U\nimage_data" + array + b"s.")
    np.testing.assert_array_equal(load_pickle(path)["image_data"], np.array([1, 2, 255], np.uint8))
