"""Small copies of known data sets in the forms in which people have them, read as `folder:<path>`."""

import io
import os
import pickle
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tasks.images import pack_ink, shrink_ink
from tasks.preparation import folder
from tasks.preparation.archives import DataError
from tasks.preparation.decode import decode_ink, decode_photo
from tasks.preparation.omniglot import stack_classes
from tasks.preparation.torchmeta_adapter import open_part

MIRROR = Path(os.environ.get("DATA_MIRROR", "../shared/data"))
SIZES = {"train": 5, "val": 2, "test": 3}
PER_CLASS, SIDE = 4, 32
pixels = np.random.default_rng(0).integers(0, 255, (10, PER_CLASS, SIDE, SIDE, 3), dtype=np.uint8)
PARTS = {"train": range(0, 5), "val": range(5, 7), "test": range(7, 10)}


def png(image: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(image).save(out, "PNG")
    return out.getvalue()


def stacked(part: str) -> np.ndarray:
    return pixels[list(PARTS[part])].reshape(-1, SIDE, SIDE, 3)


def labels(part: str, start: int) -> list[int]:
    return [start + c for c in range(len(PARTS[part])) for _ in range(PER_CLASS)]


def cifar_fs_pickles(root: Path) -> None:
    for part in PARTS:
        content = {"data": stacked(part), "labels": labels(part, PARTS[part][0])}
        (root / f"CIFAR_FS_{part}.pickle").write_bytes(pickle.dumps(content, 2))


def fc100_pickles(root: Path) -> None:
    """Every part counts its classes from 0."""
    for part in PARTS:
        content = {"data": stacked(part).transpose(0, 3, 1, 2).copy(), "labels": labels(part, 0)}
        (root / f"FC100_{part}.pickle").write_bytes(pickle.dumps(content, 2))


def tiered_pickles(root: Path) -> None:
    for part in PARTS:
        coded = [np.frombuffer(png(image), np.uint8)[:, None] for image in stacked(part)]
        names = {
            "label_specific": np.array(labels(part, 0)),
            "label_specific_str": [f"n{c:02d}" for c in PARTS[part]],
        }
        (root / f"{part}_images_png.pkl").write_bytes(pickle.dumps(coded, 2))
        (root / f"{part}_labels.pkl").write_bytes(pickle.dumps(names, 2))


def tiered_npz(root: Path) -> None:
    for part in PARTS:
        np.savez(root / f"{part}_images.npz", images=stacked(part))
        (root / f"{part}_labels.pkl").write_bytes(pickle.dumps({"labels": labels(part, PARTS[part][0])}, 2))


def mini_pickles(root: Path) -> None:
    for part in PARTS:
        rows = {
            f"n{c:02d}": list(range(PER_CLASS * i, PER_CLASS * (i + 1))) for i, c in enumerate(PARTS[part])
        }
        content = {"image_data": stacked(part), "class_dict": rows}
        (root / f"mini-imagenet-cache-{part}.pkl").write_bytes(pickle.dumps(content, 2))


def files(root: Path, pattern: str) -> None:
    for part, classes in PARTS.items():
        for c in classes:
            for i in range(PER_CLASS):
                path = root / pattern.format(part=part, c=c, i=i)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(png(pixels[c, i]))


def cifar_fs_folder(root: Path) -> None:
    """Class folders in data/, parts in splits/bertinetto/."""
    files(root, "data/class{c}/{i}.png")
    for part, classes in PARTS.items():
        path = root / "splits" / "bertinetto" / f"{part}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"class{c}\n" for c in classes))


def tiered_folder(root: Path) -> None:
    files(root, "{part}/n{c:02d}/n{c:02d}_{i}.png")


GIVEN = [
    cifar_fs_pickles,
    fc100_pickles,
    tiered_pickles,
    tiered_npz,
    mini_pickles,
    cifar_fs_folder,
    tiered_folder,
]


@pytest.mark.parametrize("write", GIVEN, ids=lambda write: write.__name__)
def test_a_known_data_set_is_read_with_its_parts(tmp_path, write):
    write(tmp_path)
    built = folder.build(tmp_path, tmp_path.parent)
    parts = built.meta["splits"]["given"]
    assert {part: len(classes) for part, classes in parts.items()} == SIZES
    for part, classes in parts.items():
        mine = {images.tobytes() for images in built.images[classes]}
        assert mine == {pixels[c].tobytes() for c in PARTS[part]}, part


def test_cub_as_it_is_unpacked(tmp_path):
    """The lists of CUB are of images by number; its classes are folders, and no parts are given."""
    files(tmp_path, "images/{c:03d}.Bird/{i}.png")
    for name in ("images.txt", "train_test_split.txt", "image_class_labels.txt", "classes.txt"):
        (tmp_path / name).write_text("1 1\n2 0\n")
    built = folder.build(tmp_path, tmp_path.parent)
    assert len(built.meta["class_names"]) == 10 and "drawn" in built.meta["splits"]
    assert built.meta["class_names"][0].endswith("000.Bird")


def test_pickles_that_are_something_else_are_named(tmp_path):
    for part in PARTS:
        (tmp_path / f"{part}.pkl").write_bytes(pickle.dumps({"nothing": [1]}, 2))
    with pytest.raises(DataError, match=r"train.pkl: 0 sets of images and 0 of labels; expected per part"):
        folder.build(tmp_path, tmp_path.parent)
    cifar_fs_pickles(tmp_path)
    (tmp_path / "train.pkl").unlink(), (tmp_path / "val.pkl").unlink(), (tmp_path / "test.pkl").unlink()
    content = {"data": stacked("val"), "labels": [1, 2]}
    (tmp_path / "CIFAR_FS_val.pickle").write_bytes(pickle.dumps(content, 2))
    with pytest.raises(DataError, match=r"CIFAR_FS_val.pickle: 8 images and 2 labels"):
        folder.build(tmp_path, tmp_path.parent)


def test_torchmeta_offline_says_which_file_to_put_where(tmp_path):
    def cifar_fs(*_, **__):
        raise OSError("no network")

    with pytest.raises(DataError) as error:
        open_part(partial(cifar_fs, shots=1, ways=2), tmp_path, "train")
    assert f"put cifar100/cifar-100-python.tar.gz below {tmp_path}" in str(error.value)
    assert "`folder:<path>`" in str(error.value)


def some_files(archive: Path, root: Path, wanted) -> dict[str, bytes]:
    """Unpack the wanted files of a zip of the mirror below root; returns their content by name."""
    if not archive.exists():
        pytest.skip("needs the real Omniglot and miniImageNet: set DATA_MIRROR")
    with zipfile.ZipFile(archive) as file:
        found = {name: file.read(name) for name in file.namelist() if wanted(name)}
    for name, data in found.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return found


def test_real_drawings_of_omniglot_in_plain_folders(tmp_path):
    """Four characters of each of four alphabets. The whole of Omniglot was compared by hand once: equal, digests too."""
    alphabets = ("Greek", "Hebrew", "Korean", "Latin")

    def wanted(name):
        _, *folders = name.split("/")
        return name.endswith(".png") and folders[0] in alphabets and folders[1] <= "character04"

    files = some_files(MIRROR / "omniglot" / "images_background.zip", tmp_path, wanted)
    ink, names = stack_classes({name: decode_ink(data, name) for name, data in files.items()})
    built = folder.build(tmp_path / "images_background", tmp_path)
    assert len(names) == 16 and built.meta["class_names"] == names
    assert built.meta["groups"] == [name.split("/")[0] for name in names]
    assert (built.meta["imagery"], built.meta["mean"], built.meta["std"]) == ("glyphs", [0.0], [1.0])
    assert np.array_equal(built.images, shrink_ink(ink, 28)) and np.array_equal(
        built.originals, pack_ink(ink)
    )


def test_real_photos_of_miniimagenet_in_plain_folders(tmp_path):
    """Ten photos of each of five classes. The whole of miniImageNet was compared by hand once: equal, digests too."""
    photos = {}
    for part, classes in {"train": 3, "val": 1, "test": 1}.items():
        archives = sorted((MIRROR / "miniimagenet" / part).glob("*.zip"))[:classes]
        for archive in archives or [MIRROR / "miniimagenet" / "none"]:
            root = tmp_path / "mini" / part / archive.stem
            ten = some_files(archive, root, lambda name: name.endswith(("01.jpg", "02.jpg")))
            photos[archive.stem] = [decode_photo(data, name, 84) for name, data in sorted(ten.items())]
    built = folder.build(tmp_path / "mini", tmp_path)
    assert built.meta["class_names"] == sorted(photos) and built.meta["size"] == 84
    assert [len(built.meta["splits"]["given"][part]) for part in ("train", "val", "test")] == [3, 1, 1]
    for name, images, count in zip(sorted(photos), built.images, built.counts, strict=True):
        assert count > 2 and np.array_equal(images[:count], photos[name]), name
