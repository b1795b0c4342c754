"""miniImageNet in the forms that people have: other packings, names of parts, lists, pickles, and litter."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.preparation import miniimagenet
from tasks.preparation.archives import DataError
from tasks.preparation.decode import decode_photo
from tests.small_miniimagenet import SMALL, jpeg, photos, write, write_lists
from tests.small_miniimagenet import part_of as part_of_class
from tests.source_house import empty_house, pack

EXPECTED = [[decode_photo(data, "", 8) for data in photos(8)[name].values()] for name in SMALL.names]


@pytest.fixture
def house(tmp_path, monkeypatch) -> Path:
    return empty_house(tmp_path, monkeypatch)


# --------------------------------------------------------------------------------------------- layouts of photos


def lay_out(folder: Path, name: str) -> None:
    """Photos as `name` says: a pattern with the part, the class and the file."""
    for label, files in photos(8).items():
        for file, data in files.items():
            write(
                folder / name.format(part=part_of_class(label), label=label, file=file, stem=Path(file).stem),
                data,
            )


LAYOUTS = {
    "class folders at the root": "{label}/{file}",
    "images/<class>": "images/{label}/{file}",
    "all in one folder": "all/{file}",
    "all at the root": "{file}",
    "a folder more": "mini/imagenet/{part}/{label}/{file}",
    "a folder in each class": "{part}/{label}/images/{file}",
    "named folders": "{part}/{label}_some_words/{file}",
    "JPEG": "{part}/{label}/{stem}.JPEG",
    "upper case": "{part}/{label}/{stem}.JPG",
}


@pytest.mark.parametrize("lists", ["", "splits/", None])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_photos_are_found_in_any_layout_with_and_without_lists(layout, lists, house, tmp_path):
    lay_out(house / "miniimagenet", LAYOUTS[layout])
    if lists is not None:
        write_lists(house / "miniimagenet" / lists)
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


@pytest.mark.parametrize(
    "names", [("base", "validation", "novel"), ("training", "valid", "testing"), ("a", "b", "c")]
)
def test_parts_may_have_any_names(names, house, tmp_path):
    folder = house / "miniimagenet"
    write_lists(folder)
    lay_out(folder, "{part}/{label}/{file}")
    for part, name in zip(SMALL.classes, names, strict=True):
        (folder / part).rename(folder / name)
        (folder / f"{part}.csv").rename(folder / f"{name}.csv")
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


@pytest.mark.parametrize("form", ["zip", "", "gz", "bz2", "xz"])
@pytest.mark.parametrize("where", ["miniimagenet/photos", "mini-ImageNet", "miniImagenet-84x84"])
def test_photos_are_found_in_one_archive(form, where, house, tmp_path):
    write_lists(tmp_path / "packed")
    lay_out(tmp_path / "packed", "{part}/{label}/{file}")
    pack(
        tmp_path / "packed",
        house / f"{where}.{'zip' if form == 'zip' else f'tar.{form}'.rstrip('.')}",
        form,
        "top/",
    )
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


def test_an_archive_per_class_anywhere(house, tmp_path):
    for label in SMALL.names:
        lay_out(tmp_path / "packed", "{label}/{file}")
        for other in set(SMALL.names) - {label}:
            shutil.rmtree(tmp_path / "packed" / other)
        (tmp_path / "flat").mkdir(exist_ok=True)
        for photo in (tmp_path / "packed" / label).iterdir():
            photo.rename(tmp_path / "flat" / photo.name.removeprefix(label))
        pack(tmp_path / "flat", house / f"miniimagenet/raw/{label}.tar", "")
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


def test_photos_of_a_whole_imagenet_are_taken_by_rank(house, tmp_path):
    write_lists(house / "miniimagenet")
    for label, files in photos(8).items():
        ranked = {rank: data for rank, data in zip((1, 3, 4), files.values(), strict=True)}
        for rank, number in enumerate((7, 30, 200, 1001, 10000), start=1):
            name = f"miniimagenet/ILSVRC/{label}/{label}_{number}.JPEG"
            write(house / name, ranked.get(rank) or jpeg(1000 + rank, 8))
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


def test_a_linked_folder_and_a_mirror_named_like_the_set(house, tmp_path, monkeypatch):
    write_lists(tmp_path / "disk/Mini-ImageNet")
    lay_out(tmp_path / "disk/photos", "{label}/{file}")
    (tmp_path / "disk/Mini-ImageNet/images").symlink_to(tmp_path / "disk/photos")
    (tmp_path / "disk/Mini-ImageNet/loop").symlink_to(tmp_path / "disk/Mini-ImageNet")
    for mirror in (tmp_path / "disk", tmp_path / "disk/Mini-ImageNet"):
        monkeypatch.setenv("DATA_MIRROR", str(mirror))
        np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


LITTER = [
    ".DS_Store",
    "._n0100000001.jpg",
    "Thumbs.db",
    "desktop.ini",
    "__MACOSX/train/._n0100000001.jpg",
    "__MACOSX/n01/n0100000001.jpg",
    ".ipynb_checkpoints/n0100000001-checkpoint.jpg",
    "@eaDir/n0100000001.jpg",
    "notes.txt",
    "README",
]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("litter", LITTER)
def test_litter_is_passed_over(litter, packed, house, tmp_path):
    folder = tmp_path / "packed" if packed else house / "miniimagenet"
    lay_out(folder, "{part}/{label}/{file}")
    for place in ("", "train/", "train/n01/"):
        write(folder / place / litter, b"litter")
    if packed:
        house.mkdir(parents=True)
        shutil.make_archive(str(house / "miniimagenet"), "zip", folder)
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


def test_where_nothing_fits_the_message_says_what_is_there_and_what_is_wanted(house, tmp_path):
    lay_out(house / "miniimagenet", "images/{label}/{file}")
    write(house / "miniimagenet/mini.rar", b"Rar!")
    shutil.rmtree(house / "miniimagenet/images/n04")
    with pytest.raises(DataError) as error:
        miniimagenet.build(tmp_path, SMALL)
    for words in (
        "train.csv",
        "2 classes x 3 images",
        f"found {house}/miniimagenet: mini.rar, images/ of .jpg (9)",
    ):
        assert words in str(error.value)
    shutil.rmtree(house / "miniimagenet")
    with pytest.raises(DataError, match=f"found: no folder {house}/miniimagenet"):
        miniimagenet.build(tmp_path, SMALL)


# ---------------------------------------------------------------------------------------------- lists and pickles


def test_one_list_for_all_parts(house, tmp_path):
    """One class has more photos than wanted, so the list is needed."""
    rows = [f"{file},{label}" for label, files in photos(8).items() for file in files]
    lay_out(house / "miniimagenet", "all/{file}")
    write(house / "miniimagenet/all/n0100000002.jpg", jpeg(7, 8))
    with pytest.raises(DataError, match="no good copy of miniimagenet/train.csv"):
        miniimagenet.build(tmp_path, SMALL)
    write(house / "miniimagenet/labels.csv", "\n".join(["filename,label", *rows]).encode())
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


def cache(form: str, labels: list[str]) -> dict:
    images = np.concatenate([EXPECTED[SMALL.names.index(label)] for label in labels])
    rows = {label: list(range(3 * i, 3 * i + 3)) for i, label in enumerate(labels)}
    ravi = {"image_data": images, "class_dict": rows}
    return {
        "ravi": ravi,
        "more keys": ravi | {"extra": 1},
        "rows as arrays": ravi | {"class_dict": {label: np.array(r) for label, r in rows.items()}},
        "floats to 255": ravi | {"image_data": images.astype(np.float32)},
        "floats to 1": ravi | {"image_data": images.astype(np.float32) / 255},
        "channels first": ravi | {"image_data": images.transpose(0, 3, 1, 2)},
        "gidaris": {
            "data": images,
            "labels": [i for i in range(len(labels)) for _ in range(3)],
            "catname2label": {label: i for i, label in enumerate(labels)},
        },
        "labels by name": {"data": images, "labels": np.repeat(labels, 3).tolist()},
    }[form]


NAMES = {
    "ravi": "mini-imagenet-cache-{}.pkl",
    "gidaris": "more/miniImageNet_category_split_{}.pickle",
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("val", ["val", "validation"])
@pytest.mark.parametrize(
    "form",
    [
        "ravi",
        "more keys",
        "rows as arrays",
        "floats to 255",
        "floats to 1",
        "channels first",
        "gidaris",
        "labels by name",
    ],
)
def test_pickles_of_other_repositories(form, val, packed, house, tmp_path):
    folder = tmp_path / "packed" if packed else house / "miniimagenet"
    for part, labels in SMALL.classes.items():
        name = NAMES.get(form, NAMES["ravi"]).format({"val": val}.get(part, part))
        write(folder / name, pickle.dumps(cache(form, labels), 2))
    if packed:
        pack(folder, house / "mini-imagenet.tar.gz", "gz")
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)


def test_parts_of_gidaris_that_are_not_ours_are_passed_over(house, tmp_path):
    folder = house / "miniimagenet"
    for part, labels in SMALL.classes.items():
        tail = "train_phase_train" if part == "train" else part
        write(folder / f"category_split_{tail}.pickle", pickle.dumps(cache("gidaris", labels)))
    for part in ("val", "test"):
        other = pickle.dumps(cache("gidaris", SMALL.classes["train"]))
        write(folder / f"category_split_train_phase_{part}.pickle", other)
    np.testing.assert_array_equal(miniimagenet.build(tmp_path, SMALL).images, EXPECTED)
