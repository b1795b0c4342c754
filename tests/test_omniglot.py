"""The real Omniglot, with what is published about it."""

import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial import cKDTree

import algos
from bench.__main__ import main as bench
from bench.protocol.evaluate import evaluate_images
from bench.protocol.experiments.lake_runs import lake_episodes
from bench.protocol.sources import open_source
from bench.study.sizes import KNOWN
from tasks import lake_runs
from tasks.dataset import load
from tasks.images import shrink_ink, unpack_ink
from tasks.preparation import download, omniglot
from tasks.preparation.download import SourceFile

MIRROR = Path(os.environ.get("DATA_MIRROR", "../shared/data"))
OMNIGLOT_DIGEST = "b2b99e1c5ad108b238ae9446f5dc3171dd081d52f2c98d2d638c60c6e585fd22"


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
    turned = {split: tuple(4 * size for size in parts) for split, parts in sizes.items()}
    assert KNOWN["omniglot"] == (
        "vinyals",
        turned,
        20,
    )  # what a study is checked by before anything is prepared
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
