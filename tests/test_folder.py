"""Your own pictures: folders, lists and arrays give the same data set, with the pixels that a viewer shows."""

import json
import shutil
import zipfile

import numpy as np
import pytest

from tasks.catalogue import folder_name
from tasks.dataset import load
from tasks.preparation import folder
from tasks.preparation.decode import decode_photo
from tasks.preparation.prepare import prepare
from tests.own_pictures import CLASSES, save, values, write_classes, write_list, write_npz
from tests.small_miniimagenet import SMALL, photos, write_folders


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    """The class folders and their prepared form."""
    root = tmp_path_factory.mktemp("birds")
    path = write_classes(root / "my birds")
    return path, prepare(f"folder:{path}", root / "prepared"), root / "prepared"


def test_mixed_files_of_thirty_classes_are_prepared(birds):
    path, data, prepared = birds
    meta = data.meta
    assert meta["name"] == folder_name(f"folder:{path}") and meta["name"].startswith("folder_my_birds_")
    assert data.images.shape == (CLASSES, 12, 28, 28, 3) and meta["channels"] == 3
    assert meta["counts"] == [6 + c % 7 for c in range(CLASSES)]
    assert meta["class_names"] == [f"Vögel {c:02d}" for c in range(CLASSES)]
    parts = meta["splits"]["drawn"]
    assert [len(parts[part]) for part in ("train", "val", "test")] == [19, 5, 6]
    assert sorted(sum(parts.values(), [])) == list(range(CLASSES))
    assert not data.images[0, 6:].any() and data.images[0, :6].any()
    card = json.loads((prepared / meta["name"] / "card.json").read_text())
    assert card["images_per_class"] == "6 to 12" and card["images"] == sum(meta["counts"])
    assert card["duplicates"]["groups"] == 0 and "notes.docx" in " ".join(card["notes"])
    assert (prepared / meta["name"] / "split.csv").read_text().startswith("class,split\nVögel ")


def test_the_same_pictures_give_the_same_bytes(birds, tmp_path):
    path, data, prepared = birds
    again = prepare(f"folder:{path}", tmp_path)
    for name in ("images.npy", "meta.json", "card.json", "card.md", "sheet.png", "split.csv"):
        file = f"{again.meta['name']}/{name}"
        assert (tmp_path / file).read_bytes() == (prepared / file).read_bytes(), name


@pytest.mark.parametrize("form", ["list", "list file", "npz", "zip"])
def test_every_form_gives_the_same_data_set(birds, tmp_path, form):
    path, data, _ = birds
    if form == "npz":
        source = write_npz(data, tmp_path / "birds.npz")
    elif form == "zip":
        source = tmp_path / "birds.zip"
        with zipfile.ZipFile(source, "w") as archive:
            for file in sorted(path.rglob("*.*")):
                archive.write(file, f"birds/{file.relative_to(path)}")
    else:
        source = write_list(path, tmp_path / "list")
        source = source / "labels.csv" if form == "list file" else source
    other = prepare(f"folder:{source}", tmp_path / "prepared")
    for key in ("class_names", "counts", "splits", "digest", "mean", "std"):
        assert other.meta[key] == data.meta[key], key
    assert np.array_equal(other.images, data.images)


def test_a_plain_folder_of_miniimagenet_gives_the_arrays_of_its_own_reader(tmp_path):
    write_folders(tmp_path / "mini")
    built = folder.build(tmp_path / "mini", tmp_path, size=SMALL.size, channels=3)
    own = [[decode_photo(d, "", 8) for _, d in sorted(photos(8)[name].items())] for name in SMALL.names]
    assert np.array_equal(built.images, own) and "counts" not in built.meta
    names = built.meta["class_names"]
    parts = built.meta["splits"]["given"]
    assert {part: [names[c] for c in classes] for part, classes in parts.items()} == SMALL.classes


def test_drawings_in_groups_give_the_arrays_of_omniglots_reader(tmp_path):
    from PIL import Image

    from tasks.images import pack_ink, shrink_ink
    from tasks.preparation.decode import decode_ink

    random, ink = np.random.default_rng(0), []
    for alphabet in range(4):
        for character in range(3):
            drawn = random.random((5, 105, 105)) < 0.1
            ink.append(drawn)
            for i, drawing in enumerate(drawn):
                file = tmp_path / f"own/Alphabet_{alphabet}/character{character:02d}/{i:02d}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(~drawing).save(file)
                assert np.array_equal(decode_ink(file.read_bytes(), ""), drawing)
    built = folder.build(tmp_path / "own", tmp_path)
    assert built.meta["imagery"] == "glyphs" and built.meta["size"] == 28 and built.meta["channels"] == 1
    assert np.array_equal(built.images, shrink_ink(np.stack(ink), 28))
    assert np.array_equal(built.originals, pack_ink(np.stack(ink))) and built.meta["original_size"] == 105
    groups = built.meta["groups"]
    parts = [{groups[c] for c in classes} for classes in built.meta["splits"]["drawn"].values()]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 4  # whole groups


def test_a_written_split_is_read_again_and_survives_a_new_class(birds, tmp_path):
    path, data, prepared = birds
    own = shutil.copytree(path, tmp_path / "own")
    shutil.copy(prepared / data.meta["name"] / "split.csv", own)
    save(own / "Aasgeier" / "0.png", "rgb.png", values(40, 0))
    save(own / "Aasgeier" / "1.png", "rgb.png", values(40, 1))
    meta = folder.build(own, tmp_path).meta
    names = {
        part: [data.meta["class_names"][c] for c in ids] for part, ids in data.meta["splits"]["drawn"].items()
    }
    assert {
        part: [meta["class_names"][c] for c in ids] for part, ids in meta["splits"]["given"].items()
    } == names
    assert any("Aasgeier" in note and "no part" in note for note in meta["notes"])


@pytest.mark.parametrize("form", ["folders", "column", "lists of classes"])
def test_a_split_is_given_by_folders_columns_or_lists(birds, tmp_path, form):
    path, data, _ = birds
    names = data.meta["class_names"]
    parts = {name: ("Training", "valid", "test")[c % 3] for c, name in enumerate(names)}
    if form == "column":
        own = write_list(path, tmp_path / "own", Split=parts, alphabet=dict.fromkeys(names, "x"))
        names = [f"x/{name}" for name in names]
    else:
        own = shutil.copytree(path, tmp_path / "own")
        for name in names:
            if form == "folders":
                shutil.move(own / name, own / parts[name] / name)
            else:
                with open(own / f"{parts[name]}.txt", "a", encoding="utf-8") as file:
                    file.write(f"{name}\n")
    meta = folder.build(own, tmp_path).meta
    assert meta["class_names"] == names and meta["default_split"] == "given"
    assert meta["splits"]["given"] == {
        part: list(range(i, 30, 3)) for i, part in enumerate(("train", "val", "test"))
    }


def test_a_prepared_folder_is_opened_by_its_name(birds):
    path, data, prepared = birds
    assert load(f"folder:{path}", prepared).meta == data.meta
    with pytest.raises(FileNotFoundError, match=r"prepare 'folder:/no where'"):
        load("folder:/no where", prepared)
