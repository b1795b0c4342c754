"""Omniglot in the forms that people have: unpacked, packed again, other folders and suffixes, litter."""

import io
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.images import content_digest
from tasks.preparation import omniglot
from tasks.preparation.archives import DataError
from tasks.preparation.decode import decode_ink
from tests.small_miniimagenet import write
from tests.source_house import empty_house, offline, pack

ALPHABETS = {"background": ["Greek", "Latin"], "evaluation": ["Tengwar"]}


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    return empty_house(tmp_path, monkeypatch)


def drawing(seed: int, form: str = "png") -> bytes:
    ink, buffer = np.random.default_rng(seed).random((105, 105)) < 0.1, io.BytesIO()
    Image.fromarray(~ink).save(buffer, form)
    return buffer.getvalue()


def draw_omniglot(folder: Path, name: str, form: str = "png") -> None:
    """Three alphabets of two characters, 20 drawers each; `name` has the set, and ends in alphabet/character/file."""
    seeds = itertools.count()
    for part, alphabets in ALPHABETS.items():
        for alphabet, character, drawer in itertools.product(alphabets, (1, 2), range(1, 21)):
            path = name.format(
                part=part, name=f"{alphabet}/character{character:02d}/{character:04d}_{drawer:02d}"
            )
            write(folder / f"{path}.{form}", drawing(next(seeds), form))


@pytest.fixture
def small_omniglot(house, tmp_path, monkeypatch):
    """Build an Omniglot of three alphabets from what lies in the folder of downloads."""
    split = {"train": ["Greek"], "val": ["Latin"], "test": ["Tengwar"]}
    for name in ("lake", "vinyals"):
        write(tmp_path / f"splits/omniglot_{name}.json", json.dumps(split).encode())
    monkeypatch.setattr(omniglot, "SPLITS", tmp_path / "splits")
    draw_omniglot(tmp_path / "truth", "images_{part}/{name}")
    facts = {}
    for part, alphabets in ALPHABETS.items():
        paths = sorted((tmp_path / f"truth/images_{part}").rglob("*.png"))
        truth = {str(p.relative_to(tmp_path / "truth")): decode_ink(p.read_bytes(), "") for p in paths}
        counts = {
            "classes": 2 * len(alphabets),
            "images": len(paths),
            "digest": content_digest(truth.items()),
        }
        facts[f"images_{part}.zip"] = counts | {"urls": []}
    sources = offline()["omniglot"]["files"] | facts
    monkeypatch.setattr(
        omniglot.download,
        "load_sources",
        lambda: {"omniglot": {"files": sources, "homepage": "", "licence": "", "citation": ""}},
    )
    return lambda: omniglot.build(tmp_path)


@pytest.mark.parametrize("form", ["png", "bmp"])
@pytest.mark.parametrize(
    "layout",
    [
        "omniglot/images_{part}/{name}",
        "omniglot/python/images_{part}/{name}",
        "omniglot-master/python/images_{part}/{name}",
        "omniglot/{part}/{name}",
        "omniglot/data/{name}",
        "omniglot/{name}",
    ],
)
def test_omniglot_is_found_in_any_layout(layout, form, house, tmp_path, small_omniglot):
    draw_omniglot(house, layout, form)
    write(house / "omniglot/.DS_Store", b"litter")
    write(house / "omniglot/small/Greek/character01/0001_01.png", drawing(99))
    built = small_omniglot()
    assert built.images.shape == (6, 20, 28, 28)
    assert built.meta["splits"]["lake"] == {"train": [0, 1], "val": [2, 3], "test": [4, 5]}
    before = built.images
    shutil.rmtree(house)
    for part in ALPHABETS:
        (tmp_path / "truth/again").mkdir()
        (tmp_path / f"truth/images_{part}").rename(tmp_path / f"truth/again/images_{part}")
        pack(tmp_path / "truth/again", house / f"omniglot/images_{part}.zip", "zip")
    np.testing.assert_array_equal(small_omniglot().images, before)


@pytest.mark.parametrize("form", ["zip", "gz"])
@pytest.mark.parametrize("top", ["", "omniglot-py/"])
def test_omniglot_is_found_in_one_archive_with_litter(form, top, house, tmp_path, small_omniglot):
    draw_omniglot(tmp_path / "packed", "images_{part}/{name}")
    write(tmp_path / "packed/__MACOSX/images_background/Greek/character01/._0001_01.png", b"litter")
    pack(tmp_path / "packed", house / f"omniglot.{'zip' if form == 'zip' else 'tgz'}", form, top)
    assert small_omniglot().images.shape == (6, 20, 28, 28)


def test_lakes_runs_are_found_unpacked(house, small_omniglot, monkeypatch):
    monkeypatch.setattr(omniglot, "RUNS", 1)
    draw_omniglot(house, "omniglot/images_{part}/{name}")
    labels = "".join(f"run01/test/item{k:02d}.png run01/training/class{k:02d}.png\n" for k in range(1, 21))
    write(house / "omniglot/one-shot-classification/all_runs/run01/class_labels.txt", labels.encode())
    drawings = {}
    for k in range(1, 21):
        for name in (f"run01/test/item{k:02d}.png", f"run01/training/class{k:02d}.png"):
            write(house / "omniglot/one-shot-classification/all_runs" / name, drawing(k))
            drawings[name] = decode_ink(drawing(k), "")
    facts = omniglot.download.load_sources()["omniglot"]["files"]["all_runs.zip"]
    facts.update(images=40, digest=content_digest(sorted(drawings.items())))
    assert small_omniglot().arrays["lake_runs.npz"]["labels"].tolist() == [list(range(20))]


def test_an_incomplete_omniglot_says_what_is_there(house, small_omniglot):
    draw_omniglot(house, "omniglot/images_{part}/{name}")
    next((house / "omniglot/images_background/Greek/character01").iterdir()).unlink()
    with pytest.raises(DataError, match="images_background: images: expected 80, found 79") as error:
        small_omniglot()
    assert f"found {house}/omniglot: images_background/ of .png (79)" in str(error.value)
    shutil.rmtree(house / "omniglot/images_background/Greek")
    with pytest.raises(
        DataError, match="expected: 80 drawings in folders <alphabet>/<character>/ of 2 alphabets"
    ):
        small_omniglot()
