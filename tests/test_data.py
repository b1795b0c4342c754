"""Preparing: whole or not at all, once for all processes; the data card."""

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from bench.__main__ import main as bench
from tasks.preparation import prepare
from tasks.preparation.archives import DataError
from tasks.preparation.card import Built, duplicates, make_card, to_markdown


def small_set() -> Built:
    images = np.random.default_rng(0).integers(0, 255, (4, 3, 5, 5), dtype=np.uint8)
    images[3, 2] = images[0, 1]  # crosses train and test
    images[1, 0] = images[0, 0]  # within train
    parts = {"train": [0, 1], "val": [2], "test": [3]}
    meta = {
        "imagery": "glyphs",
        "size": 5,
        "channels": 1,
        "class_names": list("abcd"),
        "groups": list("xxyz"),
    }
    meta |= {"splits": {"s": parts}, "default_split": "s", "rotations": 1, "mean": [0.0], "std": [1.0]}
    return Built(images, meta | {"source": "made up", "licence": "none", "citation": "none"})


def test_the_card_audits_duplicates_across_parts():
    built = small_set()
    assert sorted(map(sorted, duplicates(built.images))) == [[(0, 0), (1, 0)], [(0, 1), (3, 2)]]
    built.meta.update(name="small", digest="d")
    card = make_card(built)
    assert card["duplicates"]["groups"] == 2
    crossing = card["duplicates"]["across_parts"]["s"]
    assert crossing == {"pairs": 1, "listed": [{"parts": ["test", "train"], "images": [["a", 1], ["d", 2]]}]}
    assert "| s (default) | train | 2 | 1 |" in to_markdown(card)


def test_thousands_of_empty_images_are_counted_and_a_few_listed():
    """Five million pairs: a list of them would take minutes and gigabytes."""
    meta = small_set().meta | {"name": "empty", "digest": "d"}
    built = Built(np.zeros((4, 1000, 1, 1), np.uint8), meta)
    crossing = make_card(built)["duplicates"]["across_parts"]["s"]
    assert crossing["pairs"] == 5_000_000 and len(crossing["listed"]) == 20
    assert crossing["listed"][0] == {"parts": ["train", "val"], "images": [["a", 0], ["c", 0]]}


def test_prepared_once_read_back_whole(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(prepare, "_build", lambda name, scratch: calls.append(name) or small_set())
    data = prepare.prepare("glyphs", tmp_path)
    again = prepare.prepare("glyphs", tmp_path)
    assert calls == ["glyphs"]
    np.testing.assert_array_equal(data.images, small_set().images)
    assert data.meta["digest"] == again.meta["digest"] and data.meta["name"] == "glyphs"
    names = ["card.json", "card.md", "images.npy", "meta.json", "sheet.png"]
    assert sorted(p.name for p in (tmp_path / "glyphs").iterdir()) == names
    prepare.prepare("glyphs", tmp_path, force=True)
    assert calls == ["glyphs", "glyphs"]


@pytest.mark.parametrize("accident", [DataError("bad source"), KeyboardInterrupt()])
def test_an_interrupted_prepare_leaves_nothing(accident, tmp_path, monkeypatch):
    def fail(_built, folder):
        assert (folder / "images.npy").exists()
        raise accident

    stale = tmp_path / ".glyphs-killed" / "half"
    stale.mkdir(parents=True)
    monkeypatch.setattr(prepare, "_build", lambda name, scratch: small_set())
    monkeypatch.setattr(prepare, "write_card", fail)
    with pytest.raises(type(accident)):
        prepare.prepare("glyphs", tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == [".glyphs.lock"]


def prepare_slowly(root: Path, log: Path) -> None:
    def build(_name, _scratch):
        with open(log, "a") as file:
            file.write("built\n")
        return small_set()

    prepare._build = build
    assert prepare.prepare("glyphs", root).images.shape == (4, 3, 5, 5)


def test_processes_that_prepare_the_same_set_share_the_work(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=prepare_slowly, args=(tmp_path / "p", tmp_path / "log")) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert (tmp_path / "log").read_text() == "built\n"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("omniglott", "known: glyphs, omniglot, miniimagenet, torchmeta:<name>"),
        ("omniglott", "(did you mean 'omniglot'?)"),
        ("/tmp", "; for the pictures there write folder:/tmp"),
        ("sinusoid", "its tasks are generated, so that there is nothing to prepare"),
        ("a" * 5000, "known: glyphs"),
    ],
)
def test_an_unknown_name_is_told_before_any_work(tmp_path, monkeypatch, capsys, name, remedy):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    assert bench(["prepare", "glyphs", name]) == 2
    message = capsys.readouterr().err
    assert name in message and remedy in message
    assert not list(tmp_path.iterdir())
