"""miniImageNet: its four forms, what spoils them, and the real files."""

import csv
import itertools
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tasks.preparation import miniimagenet
from tasks.preparation.archives import DataError
from tasks.preparation.card import Built
from tasks.preparation.decode import decode_photo
from tasks.preparation.miniimagenet_forms import Spec, find_form
from tests.server import Server
from tests.small_miniimagenet import FORMS, SMALL, jpeg, photos, write, write_zips

MIRROR = Path(os.environ.get("DATA_MIRROR", "../shared/data"))


@pytest.fixture
def mini(tmp_path, monkeypatch):
    """Build the small miniImageNet; its source files lie in `mini.folder`."""
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("DATA_MIRROR", str(tmp_path / "mirror"))

    def build() -> Built:
        return miniimagenet.build(tmp_path, SMALL)

    build.folder = tmp_path / "mirror/miniimagenet"
    return build


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_miniimagenet_gives_the_same_set(form, mini):
    FORMS[form](mini.folder)
    built = mini()
    size = 20 if form == "tar" else 8
    expected = [[decode_photo(data, "", 8) for data in photos(size)[name].values()] for name in SMALL.names]
    np.testing.assert_array_equal(built.images, expected)
    assert built.meta["class_names"] == ["n01", "n02", "n03", "n04"]
    assert built.meta["splits"]["ravi"] == {"train": [0, 3], "val": [2], "test": [1]}
    train = built.images[[0, 3]].astype(float) / 255
    np.testing.assert_allclose(built.meta["mean"], train.mean((0, 1, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(built.meta["std"], train.std((0, 1, 2, 3)), atol=1e-6)


def test_miniimagenet_from_a_mirror_on_the_web(mini, monkeypatch):
    write_zips(mini.folder)
    server = Server()
    for path in mini.folder.rglob("*.*"):
        server.put(f"/{path.relative_to(mini.folder.parent)}", (200, path.read_bytes()))
    monkeypatch.setenv("DATA_MIRROR", server.url)
    built = mini()
    server.close()
    assert built.images.shape == (4, 3, 8, 8, 3)
    assert (Path(os.environ["DATA_ROOT"]) / "downloads/miniimagenet/train/n04.zip").exists()
    monkeypatch.delenv("DATA_MIRROR")
    np.testing.assert_array_equal(mini().images, built.images)  # from the download cache


def spoil(folder: Path, what: str) -> None:
    if what == "a photo is missing":
        (folder / "images/n0200000003.jpg").unlink()
    elif what == "a photo is damaged":
        write(folder / "images/n0200000003.jpg", jpeg(0, 8)[:200])
    elif what == "a csv lacks a row":
        path = folder / "val.csv"
        path.write_text("\n".join(path.read_text().splitlines()[:-1]))
    elif what == "a csv is a page":
        (folder / "train.csv").write_text("<html></html>")
    elif what == "the tar is cut off":
        path = folder / "ILSVRC2012_img_train.tar"
        path.write_bytes(path.read_bytes()[:40000])
    elif what == "the pickle holds other classes":
        (folder / "mini-imagenet-cache-val.pkl").write_bytes(
            (folder / "mini-imagenet-cache-test.pkl").read_bytes()
        )
    elif what == "the pickle holds other sizes":
        content = {"image_data": np.zeros((3, 9, 9, 3), np.uint8), "class_dict": {"n03": [0, 1, 2]}}
        (folder / "mini-imagenet-cache-val.pkl").write_bytes(pickle.dumps(content))
    elif what == "the pickle points beyond":
        content = {"image_data": np.zeros((2, 8, 8, 3), np.uint8), "class_dict": {"n03": [0, 1, 2]}}
        (folder / "mini-imagenet-cache-val.pkl").write_bytes(pickle.dumps(content))


@pytest.mark.parametrize(
    ("form", "what", "message"),
    [
        ("images", "a photo is missing", r"images: expected the 3 images.*missing: \['n0200000003.jpg'\]"),
        ("images", "a photo is damaged", r"n0200000003.jpg: not a readable image"),
        ("zips", "a csv lacks a row", r"val.csv: expected 1 classes x 3 images.*\{'n03': 2\}"),
        (
            "folders",
            "a csv is a page",
            r"train.csv: it is an HTML page.*not a csv with the columns filename,label",
        ),
        ("tar", "the tar is cut off", r"ILSVRC2012_img_train.tar.*not a complete tar"),
        ("pickles", "the pickle holds other classes", r"cache-val.pkl: expected 1 classes.*'n02': 3"),
        (
            "pickles",
            "the pickle holds other sizes",
            r"cache-val.pkl: expected images.*8x8x3, found uint8 \[3, 9, 9, 3\]",
        ),
        ("pickles", "the pickle points beyond", r"cache-val.pkl: class_dict points beyond the 2 images"),
    ],
)
def test_a_spoilt_miniimagenet_is_named(form, what, message, mini, monkeypatch):
    monkeypatch.setattr(
        "tasks.preparation.miniimagenet_forms.load_sources", lambda: {"miniimagenet": {"files": {}}}
    )  # no URLs
    FORMS[form](mini.folder)
    spoil(mini.folder, what)
    with pytest.raises(DataError, match=message):
        mini()


def test_the_classes_of_miniimagenet():
    spec = Spec()
    assert [len(spec.classes[part]) for part in ("train", "val", "test")] == [64, 16, 20]
    assert len(set(spec.names)) == 100


def test_the_real_miniimagenet_reads(monkeypatch):
    if not (MIRROR / "miniimagenet/train.csv").exists():
        pytest.skip("needs the real miniImageNet: set DATA_MIRROR")
    monkeypatch.setenv("DATA_MIRROR", str(MIRROR))
    form, classes = find_form(Spec())
    assert form == "a folder or zip of JPEG per class"
    with open(MIRROR / "miniimagenet/train.csv", newline="") as file:
        labels = {row["label"] for row in csv.DictReader(file)}
    for name, pixels in itertools.islice(classes, 2):
        assert name in labels
        assert pixels.shape == (600, 84, 84, 3) and pixels.dtype == np.uint8
        assert 40 < pixels.std() < 100 and len({image.tobytes() for image in pixels}) == 600
