"""Images, digests, cards, preparing, and the real Omniglot with what is published about it."""

import io
import itertools
import json
import multiprocessing
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.spatial import cKDTree

import algos
from bench.__main__ import main as bench
from bench.protocol.evaluate import evaluate_images
from bench.protocol.experiments import lake_episodes
from bench.protocol.sources import open_source
from tasks import lake_runs
from tasks.dataset import load
from tasks.images import content_digest, pack_ink, resize, shrink_ink, unpack_ink
from tasks.preparation import download, omniglot, prepare
from tasks.preparation.archives import DataError
from tasks.preparation.card import Built, duplicates, make_card, to_markdown
from tasks.preparation.decode import decode_ink
from tasks.preparation.download import SourceFile

MIRROR = Path(os.environ.get("DATA_MIRROR", "../shared/data"))
OMNIGLOT_DIGEST = "b2b99e1c5ad108b238ae9446f5dc3171dd081d52f2c98d2d638c60c6e585fd22"


# ---------------------------------------------------------------------------------------------------- images


def test_resize_is_the_exact_area_average():
    images = torch.rand(2, 3, 12, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize(images, 4), F.avg_pool2d(images, (3, 2)))
    odd = torch.rand(5, 1, 105, 105, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    fine = odd.repeat_interleave(4, -1).repeat_interleave(
        4, -2
    )  # 105 * 4 = 28 * 15: every window is whole pixels
    torch.testing.assert_close(resize(odd, 28), F.avg_pool2d(fine, 15))


def test_resize_to_the_same_size_changes_no_bit():
    images = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert torch.equal(resize(images, 28), images)


def test_one_bit_drawings_are_averaged_not_sampled():
    ink = np.zeros((105, 105), dtype=bool)
    ink[:, 50] = True
    buffer = io.BytesIO()
    Image.fromarray(~ink).save(buffer, "png")
    assert Image.open(io.BytesIO(buffer.getvalue())).mode == "1"
    decoded = decode_ink(buffer.getvalue(), "x.png")
    np.testing.assert_array_equal(decoded, ink)
    small = shrink_ink(decoded, 28)
    assert (
        small.dtype == np.uint8 and small[:, 13].tolist() == [68] * 28
    )  # 255 / 3.75: a quarter of full ink, not 0 or 255
    trap = Image.open(io.BytesIO(buffer.getvalue())).resize((28, 28), Image.Resampling.LANCZOS)
    assert set(np.unique(np.asarray(trap))) <= {False, True}  # why it has to be converted first


def test_packed_ink_comes_back():
    ink = np.random.default_rng(0).random((3, 2, 105, 105)) < 0.1
    packed = pack_ink(ink)
    assert packed.shape == (3, 2, 1379)
    np.testing.assert_array_equal(unpack_ink(packed, 105), ink)


def test_the_digest_sees_names_pixels_shapes_and_order():
    a, b = np.zeros((2, 2), np.uint8), np.ones((2, 2), np.uint8)
    variants = [
        [("a", a), ("b", b)],
        [("b", b), ("a", a)],
        [("a", b), ("b", b)],
        [("a", a), ("c", b)],
        [("a", a.reshape(4)), ("b", b)],
    ]
    digests = [content_digest(items) for items in variants]
    assert len(set(digests)) == len(digests)
    assert content_digest(variants[0]) == digests[0]


# ------------------------------------------------------------------------------------- preparing and the card


def small_set() -> Built:
    images = np.random.default_rng(0).integers(0, 255, (4, 3, 5, 5), dtype=np.uint8)
    images[3, 2] = images[0, 1]  # crosses train and test
    images[1, 0] = images[0, 0]  # within train
    parts = {"train": [0, 1], "val": [2], "test": [3]}
    meta = {"kind": "glyphs", "size": 5, "channels": 1, "class_names": list("abcd"), "groups": list("xxyz")}
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


def test_an_unknown_name_lists_the_known_ones(capsys):
    assert bench(["prepare", "omniglott"]) != 0
    message = capsys.readouterr().err
    assert "'omniglott'" in message and "glyphs, omniglot, miniimagenet, torchmeta:<name>" in message


# ------------------------------------------------------------------------------------------------- Omniglot


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The real Omniglot, prepared from the mirror into a temporary folder."""
    if not (MIRROR / "omniglot/images_background.zip").exists():
        pytest.skip("needs the real Omniglot: set DATA_MIRROR")
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_MIRROR", str(MIRROR))
        patch.setenv("DATA_ROOT", str(root))
        assert bench(["prepare", "omniglot"]) == 0
        yield load("omniglot", root / "prepared")


def test_omniglot_counts_and_content(real):
    assert real.images.shape == (1623, 20, 28, 28) and real.images.dtype == np.uint8
    assert real.originals.shape == (1623, 20, 1379)
    assert len(set(real.meta["groups"])) == 50
    assert real.meta["class_names"] == sorted(real.meta["class_names"])
    assert real.meta["digest"] == OMNIGLOT_DIGEST
    assert real.images[:, :, 0, 0].mean() < 5 and real.images.max() == 255  # ink is 255 on 0
    np.testing.assert_array_equal(
        shrink_ink(unpack_ink(real.originals[7], 105).astype(bool), 28), real.images[7]
    )


def test_omniglot_splits(real):
    sizes = {
        name: [len(parts[p]) for p in ("train", "val", "test")] for name, parts in real.meta["splits"].items()
    }
    assert sizes == {"vinyals": [1028, 172, 423], "lake": [792, 172, 659]}
    for parts in real.meta["splits"].values():
        assert sorted(itertools.chain(*parts.values())) == list(range(1623))
    lake = {
        part: {real.meta["groups"][c] for c in classes}
        for part, classes in real.meta["splits"]["lake"].items()
    }
    assert [len(lake[part]) for part in ("train", "val", "test")] == [25, 5, 20]
    assert sum(map(len, lake.values())) == len(set.union(*lake.values()))  # no alphabet in two parts
    assert len(real.split("test").class_names) == 4 * 423


def test_omniglot_vinyals_split_is_the_published_list(real):
    lists = MIRROR / "omniglot/splits_vinyals"
    if not lists.exists():
        pytest.skip("needs splits_vinyals/*.txt below DATA_MIRROR/omniglot")
    for part, classes in real.meta["splits"]["vinyals"].items():
        published = {line.rsplit("/", 1)[0] for line in (lists / f"{part}.txt").read_text().split()}
        assert {real.meta["class_names"][c] for c in classes} == published


@pytest.mark.parametrize(
    ("way", "shot", "l2", "cosine"), [(5, 1, 43.5, 48.7), (5, 5, 64.1, 73.3), (20, 1, 23.6, 30.1)]
)
def test_omniglot_pixels_are_as_hard_as_reported(real, way, shot, l2, cosine):
    """Raw-pixel nearest neighbour on the Vinyals test characters, against an 8-bit box filter; the trap is 6 points off."""
    images = real.split("test").images.flatten(2).to(torch.float32) / 255
    generator = torch.Generator().manual_seed(0)
    right = torch.zeros(2)
    for _ in range(1000):
        classes = torch.randperm(len(images), generator=generator)[:way]
        chosen = torch.stack([torch.randperm(20, generator=generator)[: shot + 5] for _ in range(way)])
        episode = images[classes.unsqueeze(1), chosen]
        support, query = episode[:, :shot].flatten(0, 1), episode[:, shot:].flatten(0, 1)
        truth = torch.arange(way).repeat_interleave(5)
        nearest = (
            torch.cdist(query, support).argmin(1),
            (F.normalize(query) @ F.normalize(support).T).argmax(1),
        )
        right += torch.stack([(found // shot == truth).float().mean() for found in nearest])
    np.testing.assert_allclose(right / 10, [l2, cosine], atol=2)


def centred_points(ink: np.ndarray) -> np.ndarray:
    points = np.argwhere(ink).astype(float)
    return points - points.mean(axis=0)


def test_lakes_runs_as_episodes(real):
    """Raw pixels: far above chance, far below people (95.5 %)."""
    source = open_source("omniglot", "lake", torch.device("cpu"))
    episodes, split = lake_episodes(source.part("test"))
    assert (len(episodes), episodes.way, episodes.shot) == (20, 20, 1)
    images, runs = split.gather(torch.from_numpy(episodes.query[3])), lake_runs.lake_runs()
    torch.testing.assert_close(images[:, 0], torch.from_numpy(runs.test[3]) / 255)
    pixel_nn = algos.load("pixel_nn")
    learner = pixel_nn(source.spec(20, 1), pixel_nn.Params()).eval()
    scores = evaluate_images(learner, episodes, split, split, "inductive")
    assert 0.15 < scores["accuracy"].mean() < 0.4


def test_lake_runs_give_the_published_baseline(real, monkeypatch, tmp_path):
    """Modified Hausdorff distance: 38.8 % error (Lake's demo, README of brendenlake/omniglot). Wrong labels give 95 %."""
    runs = lake_runs.lake_runs()
    wrong = 0
    for train, test, labels in zip(runs.train_originals, runs.test_originals, runs.labels, strict=True):
        assert sorted(labels) == list(range(20))
        a, b = ([centred_points(ink) for ink in unpack_ink(part, 105)] for part in (train, test))
        tree_a, tree_b = [cKDTree(points) for points in a], [cKDTree(points) for points in b]
        for i, label in enumerate(labels):
            pairs = zip(a, tree_a, strict=True)
            distances = [
                max(tree.query(b[i])[0].mean(), tree_b[i].query(points)[0].mean()) for points, tree in pairs
            ]
            wrong += int(np.argmin(distances)) != label
    assert wrong / 400 == pytest.approx(0.388, abs=0.001)
    np.testing.assert_array_equal(
        shrink_ink(unpack_ink(runs.test_originals, 105).astype(bool), 28), runs.test
    )


def test_without_the_runs_omniglot_lacks_only_them(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    monkeypatch.delenv("DATA_MIRROR", raising=False)
    facts = download.load_sources()["omniglot"]["files"]["all_runs.zip"] | {"urls": []}
    assert omniglot._build_runs(facts) == {}
    assert "without Lake's one-shot runs" in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(FileNotFoundError, match="put all_runs.zip at .*downloads/omniglot/all_runs.zip"):
        lake_runs.lake_runs()


def test_sources_name_every_file_and_its_content():
    sources = download.load_sources()
    for name, facts in sources["omniglot"]["files"].items():
        assert len(facts["digest"]) == 64 and all(
            url.startswith("https://") and url.endswith(name) for url in facts["urls"]
        )
    assert SourceFile("omniglot", "x").cached.parts[-3:] == ("downloads", "omniglot", "x")
    assert json.loads(omniglot.SPLITS.joinpath("omniglot_lake.json").read_text()).keys() == {
        "train",
        "val",
        "test",
    }
