"""Images, digests, cards, preparing, and the two real data sets with what is published about them."""

import csv
import io
import itertools
import json
import multiprocessing
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy.spatial import cKDTree

from bench.__main__ import main as bench
from tasks import download, miniimagenet, omniglot, prepare
from tasks.archives import DataError
from tasks.card import Built, duplicates, make_card, to_markdown
from tasks.dataset import load
from tasks.download import SourceFile
from tasks.images import content_digest, decode_ink, decode_photo, pack_ink, resize, shrink_ink, unpack_ink
from tasks.miniimagenet_forms import Spec, find_form
from tests.server import Server

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


def test_lake_runs_give_the_published_baseline(real, monkeypatch, tmp_path):
    """Modified Hausdorff distance: 38.8 % error (Lake's demo, README of brendenlake/omniglot). Wrong labels give 95 %."""
    runs = omniglot.lake_runs()
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
        omniglot.lake_runs()


# --------------------------------------------------------------------------------------------- miniImageNet

SMALL = Spec({"train": ["n01", "n04"], "val": ["n03"], "test": ["n02"]}, per_class=3, size=8)
RANKS = [1, 3, 4]  # which of the photos of a class the csv lists


def jpeg(seed: int, size: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "jpeg", quality=95)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def photos(size: int) -> dict[str, dict[str, bytes]]:
    """class -> file name as in the csv -> JPEG."""
    return {
        name: {f"{name}{rank:08d}.jpg": jpeg(100 * c + rank, size) for rank in RANKS}
        for c, name in enumerate(SMALL.names)
    }


def part_of(name: str) -> str:
    return next(part for part, names in SMALL.classes.items() if name in names)


def write_lists(folder: Path) -> None:
    for part, names in SMALL.classes.items():
        rows = [f"{file},{name}" for name in names for file in photos(8)[name]]
        write(folder / f"{part}.csv", "\n".join(["filename,label", *rows, ""]).encode())


def write_zips(folder: Path) -> None:
    write_lists(folder)
    for name, files in photos(8).items():
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for file, data in files.items():
                archive.writestr(f"{name}/{file}", data)
        write(folder / part_of(name) / f"{name}.zip", buffer.getvalue())


def write_folders(folder: Path) -> None:
    write_lists(folder)
    for name, files in photos(8).items():
        for file, data in files.items():
            write(folder / part_of(name) / name / file, data)


def write_one_folder(folder: Path) -> None:
    write_lists(folder)
    for file, data in itertools.chain(*(files.items() for files in photos(8).values())):
        write(folder / "images" / file, data)
    write(folder / "images/n99999999.jpg", b"of a class that is not ours")


def write_tar(folder: Path) -> None:
    """Photos of 20x20 pixels, five per class with gaps in their numbers, stored in no order, and a class too many."""
    write_lists(folder)
    numbers = {
        1: 7,
        2: 30,
        3: 200,
        4: 1001,
        5: 10000,
    }  # rank -> number: sorted as text, 10000 would come second
    with tarfile.open(folder / "ILSVRC2012_img_train.tar", "w") as outer:
        for c, name in reversed(list(enumerate([*SMALL.names, "n09"]))):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w") as inner:
                for rank in (5, 1, 4, 2, 3):
                    add(inner, f"{name}_{numbers[rank]}.JPEG", jpeg(100 * c + rank, 20))
            add(outer, f"{name}.tar", buffer.getvalue())


def add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))


def write_pickles(folder: Path, protocol: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part, names in SMALL.classes.items():
        rows = {name: list(range(3 * i, 3 * i + 3)) for i, name in enumerate(names)}
        pixels = [decode_photo(data, "", 8) for name in names for data in photos(8)[name].values()]
        content = {"image_data": np.stack(pixels), "class_dict": rows}
        (folder / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickle.dumps(content, protocol))


FORMS = {
    "zips": write_zips,
    "folders": write_folders,
    "images": write_one_folder,
    "tar": write_tar,
    "pickles": write_pickles,
}


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
        "tasks.miniimagenet_forms.load_sources", lambda: {"miniimagenet": {"files": {}}}
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
