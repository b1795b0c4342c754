"""The torchmeta adapter: its Omniglot is ours, colour sets come through, and what is missing is said."""

import importlib
import json
import os
import sys
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tasks.catalogue import TORCHMETA_NAMES
from tasks.images import content_digest, pack_ink, shrink_ink
from tasks.preparation import omniglot, prepare, torchmeta_adapter, torchmeta_compat
from tasks.preparation.archives import DataError

MIRROR = Path(os.environ.get("DATA_MIRROR", "../shared/data"))
EVERY = (
    40  # compare the pixels of every 40th character: torchmeta writes each image to a file of its own first
)


@pytest.fixture(scope="module")
def helpers():
    pytest.importorskip("h5py")
    return torchmeta_compat.import_torchmeta()


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Real Omniglot archives with every 40th character: file name -> facts; and what our own loader reads from them."""
    if not (MIRROR / "omniglot/images_background.zip").exists():
        pytest.skip("needs the real Omniglot: set DATA_MIRROR")
    folder = tmp_path_factory.mktemp("mirror") / "omniglot"
    folder.mkdir()
    files, drawings = {}, {}
    for name in ("images_background.zip", "images_evaluation.zip"):
        with (
            zipfile.ZipFile(MIRROR / "omniglot" / name) as whole,
            zipfile.ZipFile(folder / name, "w") as part,
        ):
            members = [member for member in whole.namelist() if member.endswith(".png")]
            kept = sorted({member.rsplit("/", 1)[0] for member in members})[::EVERY]
            for member in members:
                if member.rsplit("/", 1)[0] in kept:
                    part.writestr(member, whole.read(member))
        facts = {"classes": len(kept), "images": 20 * len(kept)}
        found = omniglot.read_drawings(folder / name, facts)
        files[name] = facts | {"digest": content_digest(found.items()), "urls": []}
        drawings |= found
    return folder.parent, files, drawings


def test_studies_know_the_names_that_torchmeta_has(helpers):
    assert set(TORCHMETA_NAMES) == set(helpers.__all__)


def test_omniglot_through_torchmeta_is_our_omniglot(helpers, archives, tmp_path, monkeypatch):
    mirror, files, drawings = archives
    monkeypatch.setenv("DATA_MIRROR", str(mirror))
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    recipe = torchmeta_adapter.RECIPES["omniglot"]
    torchmeta_adapter.lay_out_omniglot(tmp_path, files)
    maker = partial(helpers.omniglot, shots=1, ways=2)
    datasets = {part: torchmeta_adapter.open_part(maker, tmp_path, part) for part in torchmeta_adapter.PARTS}
    classes = torchmeta_adapter.list_classes(datasets, recipe)

    # the same 1,623 classes, alphabets and split
    names = ["/".join(words) for words in classes.words]
    ours = omniglot.read_split(omniglot.SPLITS / "omniglot_vinyals.json", names)
    assert len(names) == 1623 and {name.split("/")[0] for name in names} == {
        words[0] for words in classes.words
    }
    assert {part: [k for k, p in enumerate(classes.parts) if p == part] for part in ours} == ours

    # the same images, at both sizes
    ink, kept = omniglot.stack_classes(drawings)
    assert set(kept) <= set(names) and len(kept) == sum(facts["classes"] for facts in files.values())
    chosen = [k for k, name in enumerate(names) if name in kept]
    some = torchmeta_adapter.Classes(
        *([column[k] for k in chosen] for column in (classes.words, classes.parts, classes.read))
    )
    images, originals = torchmeta_adapter.read_images(some, 20, recipe, tmp_path)
    for c in range(len(kept)):
        assert sorted(map(bytes, originals[c])) == sorted(map(bytes, pack_ink(ink[c])))
        assert sorted(map(np.ndarray.tobytes, images[c])) == sorted(
            map(np.ndarray.tobytes, shrink_ink(ink[c], 28))
        )


def write_cifar(root: Path) -> dict[str, np.ndarray]:
    """What torchmeta leaves on disk after loading CIFAR-100, with four random photos per class. -> class -> photos."""
    h5py = pytest.importorskip("h5py")
    folder = root / "cifar100"
    (folder / "cifar-fs").mkdir(parents=True)
    generator, photos = np.random.default_rng(0), {}
    with h5py.File(folder / "data.hdf5", "w") as file:
        for part in ("train", "val", "test"):
            module = importlib.import_module("torchmeta.datasets.utils")
            labels = module.get_asset("cifar100", "cifar-fs", f"{part}.json", dtype="json")
            (folder / f"cifar-fs/{part}_labels.json").write_text(json.dumps(labels))
            for label in map("/".join, labels):
                photos[label] = generator.integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
                file.create_dataset(label, data=photos[label])
    (folder / "fine_names.json").write_text("{}")
    return photos


def test_a_colour_set_comes_through_whole(helpers, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    photos = write_cifar(tmp_path / "downloads/torchmeta")
    data = prepare.prepare("torchmeta:cifar_fs")
    meta = data.meta
    assert meta["name"] == "torchmeta_cifar_fs" and meta["imagery"] == "photos" and meta["channels"] == 3
    assert {part: len(c) for part, c in meta["splits"]["torchmeta"].items()} == {
        "train": 64,
        "val": 16,
        "test": 20,
    }
    assert meta["class_names"] == sorted(photos) and len(set(meta["groups"])) == 20
    for name, images in zip(meta["class_names"], data.images, strict=True):
        assert sorted(map(np.ndarray.tobytes, images)) == sorted(map(np.ndarray.tobytes, photos[name]))
    train = data.images[meta["splits"]["torchmeta"]["train"]] / 255
    np.testing.assert_allclose(meta["mean"], train.mean((0, 1, 2, 3)), atol=1e-6)
    assert data.split("val").input_shape == (3, 32, 32)


def test_the_order_of_images_does_not_depend_on_how_they_are_stored(helpers, tmp_path):
    recipe, makers = torchmeta_adapter.RECIPES["cifar_fs"], partial(helpers.cifar_fs, shots=1, ways=2)
    built = []
    for k, root in enumerate((tmp_path / "a", tmp_path / "b")):
        write_cifar(root)
        if k:
            with importlib.import_module("h5py").File(root / "cifar100/data.hdf5", "r+") as file:
                file["fish/shark"][...] = file["fish/shark"][()][::-1]
        built.append(torchmeta_adapter.convert(makers, recipe, root, root))
    np.testing.assert_array_equal(built[0].images, built[1].images)


def test_an_unknown_set_lists_torchmetas(helpers, tmp_path):
    with pytest.raises(DataError, match="no data set 'cifar'; it has .*cifar_fs"):
        torchmeta_adapter.build("cifar", tmp_path)


def test_a_set_that_cannot_be_loaded_says_where_to_put_its_files(tmp_path):
    def maker(_root, **_):
        raise ConnectionError("no route")

    with pytest.raises(DataError, match=f"train part .ConnectionError: no route.*below {tmp_path}"):
        torchmeta_adapter.convert(maker, torchmeta_adapter.Recipe(), tmp_path, tmp_path)


@pytest.mark.parametrize("missing", ["torchmeta", "torchvision", "h5py"])
def test_a_missing_package_names_the_remedy(missing, tmp_path, monkeypatch):
    for module in list(sys.modules):
        if module.split(".")[0] in ("torchmeta", missing):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(DataError, match=rf"{missing}.*pip install --no-deps -r requirements-nodeps.txt"):
        torchmeta_adapter.build("omniglot", tmp_path)


def test_tasks_of_torchmeta_load_in_batches(helpers, tmp_path):
    """The third patch: torch refuses torchmeta's subsets without it."""
    from torch.utils.data import DataLoader

    write_cifar(tmp_path)
    task = helpers.cifar_fs(str(tmp_path), shots=1, ways=5, test_shots=2, meta_split="test")[(0, 1, 2, 3, 4)]
    images, labels = next(iter(DataLoader(task["test"], batch_size=10)))
    assert images.shape == (10, 3, 32, 32) and sorted(labels.tolist()) == sorted(2 * [0, 1, 2, 3, 4])
