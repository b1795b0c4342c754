"""What is wrong with your own pictures is said with file, class and remedy, and nothing half-prepared stays."""

import numpy as np
import pytest

from tasks.preparation.archives import DataError
from tasks.preparation.prepare import prepare
from tests.own_pictures import save, values


def classes(root, names="abcdef", images=3):
    for c, name in enumerate(names):
        for i in range(images):
            save(root / name / f"{i}.png", "rgb.png", values(c, i))


def empty(root):
    (root / "g").mkdir()


def other_format(root):
    (root / "g").mkdir()
    (root / "g" / "1.heic").write_bytes(b"?")


def single(root):
    save(root / "g" / "only.png", "rgb.png", values(9, 9))


def corrupt(root):
    (root / "c" / "1.png").write_bytes((root / "c" / "1.png").read_bytes()[:300])


def no_image(root):
    (root / "c" / "1.png").write_text("<html>")


def dangling(root):
    (root / "c" / "9.png").symlink_to(root / "nowhere.png")


def dangling_list(root):
    (root / "split.csv").symlink_to(root / "nowhere.csv")


def one_name(root):
    classes(root, ["A "])


def two_parts(root):
    classes(root, ["train/x", "test/y", "val/z", "train/y"])
    for name in "abcdef":
        (root / name).rename(root / "train" / name)


def stray(root):
    save(root / "stray.png", "rgb.png", values(9, 9))


def nested(root):
    save(root / "a" / "more" / "1.png", "rgb.png", values(9, 9))


def missing(root):
    (root / "labels.csv").write_text("filename,label\na/0.png,a\na/9.png,a\n")


def two_labels(root):
    (root / "labels.csv").write_text("filename,label\na/0.png,a\na/0.png,b\n")


def ambiguous(root):
    (root / "labels.csv").write_text("filename,label\n0.png,z\n")


def no_such_class(root):
    (root / "split.csv").write_text("class,split\na,train\nq,test\n")


def no_such_part(root):
    (root / "split.csv").write_text("class,split\na,training\nb,holdout\n")


def no_test(root):
    (root / "split.csv").write_text("class,split\na,train\nb,val\n")


FAULTS = {
    empty: r"1 classes hold no picture: .*g \(files: none\); add pictures or remove",
    other_format: r"g \(files: 1.heic\)",
    single: r"one picture.*g \(.*only.png\); add pictures or remove",
    corrupt: r"c/1.png: not a readable image.*: replace it or remove it",
    no_image: r"c/1.png: not a readable image.*: replace it or remove it",
    dangling: r"c/9.png: not a readable image \(No such file or directory\): replace it or remove it",
    dangling_list: r"split.csv: No such file or directory: put it back, make it readable or remove it",
    one_name: r"two classes of one name, 'A ' .* and 'a' .*: rename one",
    two_parts: r"class y is in two parts: .*test/y/0.png in test, .*train/y/0.png in train; .*rename or move",
    stray: r"1 pictures lie in no class folder, e.g. stray.png",
    nested: r"a holds pictures and the folder a/more with pictures",
    missing: r"labels.csv: 1 of 2 files are not in .*: a/9.png; add the files or remove their rows",
    two_labels: r"a/0.png is of two classes, a and b: keep one",
    ambiguous: r"'0.png' can be a/0.png, b/0.png.*give its path",
    no_such_class: r"split: 'q' is no class and no group; classes: a, b",
    no_such_part: r"no part of a split is called 'holdout'; expected train, val or test",
    no_test: r"no classes for test",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_fault_is_named_and_leaves_nothing(tmp_path, fault):
    classes(tmp_path / "own")
    fault(tmp_path / "own")
    with pytest.raises(DataError, match=FAULTS[fault]):
        prepare(f"folder:{tmp_path / 'own'}", tmp_path / "prepared")
    assert all(path.name.endswith(".lock") for path in (tmp_path / "prepared").iterdir())


def test_a_link_that_leads_nowhere_and_is_no_picture_is_left_out(tmp_path):
    classes(tmp_path / "own")
    (tmp_path / "own" / "readme").symlink_to(tmp_path / "nowhere")
    data = prepare(f"folder:{tmp_path / 'own'}", tmp_path / "prepared")
    assert "Not images, left out: readme." in data.meta["notes"]


def test_a_failed_attempt_keeps_what_was_prepared_before(tmp_path):
    classes(tmp_path / "own")
    name = f"folder:{tmp_path / 'own'}"
    before = prepare(name, tmp_path / "prepared").meta
    corrupt(tmp_path / "own")
    with pytest.raises(DataError):
        prepare(name, tmp_path / "prepared", force=True)
    assert prepare(name, tmp_path / "prepared").meta == before


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"a": np.zeros(3)}, r"expected arrays x \(images\) and y"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.zeros(3, int)}, "y is int64 .*expected 4 names"),
        ({"x": np.zeros((4, 8), np.uint8), "y": np.zeros(4, int)}, r"x has shape \[4, 8\]"),
        ({"x": np.full((4, 8, 8), -1.0), "y": np.zeros(4, int)}, "below 0"),
        ({"x": np.zeros((4, 8, 8), np.uint8), "y": np.arange(4)}, "4 classes have one picture"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path, content, said):
    np.savez(tmp_path / "own.npz", **content)
    with pytest.raises(DataError, match=said):
        prepare(f"folder:{tmp_path / 'own.npz'}", tmp_path / "prepared")


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(
        DataError, match="there is no such file or folder; expected a folder of class folders"
    ):
        prepare(f"folder:{tmp_path / 'nowhere'}", tmp_path / "prepared")
    (tmp_path / "own.zip").write_bytes(b"PK\x03\x04 damaged")
    with pytest.raises(DataError, match="own.zip: .*not a complete zip"):
        prepare(f"folder:{tmp_path / 'own.zip'}", tmp_path / "prepared")
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match="none: holds no picture"):
        prepare(f"folder:{tmp_path / 'none'}", tmp_path / "prepared")
