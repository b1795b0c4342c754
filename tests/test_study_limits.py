"""Limits of a study are checked when it is read: tasks against their data, hyper-parameters, names and any YAML."""

import json

import numpy as np
import pytest
import yaml

import algos
from bench.paths import ROOT
from bench.study.sizes import KNOWN, PARTS, fewer_queries, queries_per_class, sizes_of
from bench.study.study import Study, load_study
from tests import planted
from tests.planted import bench

BASE = {"study": "small", "datasets": {"glyphs": {"ways": [5], "shots": [1]}}, "algorithms": ["protonet"]}


def refused(changes: dict) -> str:
    """The message with which a study is refused."""
    with pytest.raises(ValueError) as error:
        Study(BASE | changes, "my.yaml")
    assert str(error.value).startswith("my.yaml")
    return str(error.value)


def glyphs(**entry: object) -> dict:
    return {"datasets": {"glyphs": {"ways": [5], "shots": [1]} | entry}}


TOO_LARGE = {
    "shots and train_query": (
        glyphs(shots=[16]),
        "protonet: train_query: 16 training shots + 5 train_query per class are more than the 20 images of the smallest "
        "class of part train of glyphs; lower it",
    ),
    "shots": (glyphs(shots=[20]) | {"algorithms": ["pixel_nn"]}, "datasets.glyphs.shots: 20 shots + 1 query per class"),
    "ways": (glyphs(ways=[263]) | {"algorithms": ["pixel_nn"]}, "datasets.glyphs.ways: 263 classes per task are more than the 262 "
             "classes of part test of glyphs; lower it to 262 or less"),
    "validation": (glyphs(ways=[143]), "143 classes per task are more than the 142 classes of part val of glyphs"),
    "train_way": (
        {"overrides": {"protonet": {"train_way": 776}}},
        "protonet: train_way: 776 classes per task are more than the 775 classes of part train",
    ),
    "other shots": ({"experiments": {"shots": [1, 25]}}, "experiments.shots: 25 shots + 1 query per class are more than the 20"),
    "other ways": ({"experiments": {"ways": [300]}}, "experiments.ways: 300 classes per task are more than the 262"),
    "other data": (
        glyphs(ways=[25]) | {"experiments": {"other_data": ["miniimagenet"]}},
        "datasets.glyphs.ways: 25 classes per task are more than the 20 classes of part test of miniimagenet",
    ),
    "a preset": ({"datasets": {"miniimagenet": {"ways": [20], "shots": [1]}}}, "20 classes per task are more than the 16 classes of part val"),
    "one way": (glyphs(ways=[1]), "datasets.glyphs.ways: a task of classification needs at least 2 classes, not 1"),
    "ways of generated tasks": ({"datasets": {"sinusoid": {"ways": [5], "shots": [5]}}}, "datasets.sinusoid.ways: its tasks are generated"),
    "split": (glyphs(split="lake"), "datasets.glyphs.split: there is no split 'lake'; choose from default"),
    "data set": ({"datasets": {"omniglott": {"ways": [5], "shots": [1]}}}, "datasets.omniglott: unknown data set 'omniglott'"),
    "suggestion": ({"datasets": {"omniglott": {"ways": [5], "shots": [1]}}}, "(did you mean 'omniglot'?)"),
    "path": ({"datasets": {"../../etc": {"ways": [5], "shots": [1]}}}, "unknown data set '../../etc'"),
}  # fmt: skip


@pytest.mark.parametrize("what", TOO_LARGE)
def test_tasks_that_the_data_cannot_pose_are_refused_before_any_work(home, what):
    changes, message = TOO_LARGE[what]
    assert message in refused(changes)


def test_the_largest_tasks_that_fit_are_accepted(home):
    Study(BASE | glyphs(ways=[142], shots=[15]) | {"experiments": {"shots": [19], "ways": [262]}})
    Study(BASE | glyphs(ways=[262], shots=[19]) | {"algorithms": ["pixel_nn"]})


def test_the_sizes_of_prepared_data_count_not_only_those_of_known_names(home, capsys):
    study = planted.write_study(
        home, datasets={"planted": {"ways": [3], "shots": [8]}}, algorithms=["pixel_nn"], overrides={}
    )
    assert bench("status", study) == 2
    assert "8 shots + 1 query per class are more than the 8 images" in capsys.readouterr().err


def test_known_sizes_are_those_of_the_splits_and_of_the_prepared_data():
    for name, (default, splits, images) in KNOWN.items():
        for split, parts in splits.items():
            if name == "omniglot":
                listed = json.loads((ROOT / "data" / "splits" / f"omniglot_{split}.json").read_text())
                assert set(listed) == set(PARTS)
            size = sizes_of(name, split)
            assert tuple(size.classes.values()) == parts and set(size.images.values()) == {images}
            assert default in splits


def test_fewer_queries_are_counted_and_said(home):
    study = Study(BASE | {"test": {"query": 400}, "experiments": {"shots": [5]}})
    used = queries_per_class(study.runs()[0], study.testing_job(study.runs()[0]))
    assert used == {"5way_1shot": 19, "5way_5shot": 15}
    assert fewer_queries(used, 15) == ""
    assert "19 in 5way_1shot, 15 in 5way_5shot" in fewer_queries(used, 400)


NUMBERS = {
    "hidden: 0": "hidden of protonet must be more than 0, not 0",
    "steps: -3": "steps of protonet must be more than 0, not -3",
    "meta_batch: 0": "meta_batch of protonet must be more than 0, not 0",
    "learning_rate: -1": "learning_rate of protonet must be more than 0, not -1",
    "learning_rate: .nan": "learning_rate of protonet must be a finite number, not nan",
    "learning_rate: .inf": "learning_rate of protonet must be a finite number, not inf",
    "clip_norm: -0.1": "clip_norm of protonet must be at least 0, not -0.1",
    "steps: 4.0": "steps of protonet must be an integer, not 4.0; write 4",
    "hidden: true": "hidden of protonet must be an integer, not True",
    "learning_rate: 1e-3": "must be a number, not '1e-3', which YAML takes for a text; write 1.0e-3",
    "learning_rate: 1e5": "write 1.0e+5",
    "learning_rate: 2.5E3": "write 2.5e+3",
    'steps: "4"': "must be an integer, not '4', which YAML takes for a text; write 4",
    "hidden: 1000000000000": "hidden of protonet must be at most 1000000000",
    "hiden: 3": "protonet has no hyper-parameter 'hiden'; it has",
    "hidenn: 3": "(did you mean 'hidden'?)",
}


@pytest.mark.parametrize("written", NUMBERS)
def test_hyper_parameters_have_types_and_ranges(home, written):
    assert NUMBERS[written] in refused({"overrides": yaml.safe_load(f"protonet: {{{written}}}")})


def test_a_limit_of_its_own_is_declared_where_the_hyper_parameter_is(home):
    with pytest.raises(ValueError, match="first_order_share of mamlpp must be at most 1, not 1.5"):
        algos.card("mamlpp").check("mamlpp", {"first_order_share": 1.5})
    algos.card("mamlpp").check("mamlpp", {"first_order_share": 0, "test_steps": 0})
    algos.card("maml").check("maml", {"bias_transform": 0})


@pytest.mark.parametrize("name", [*algos.discover(), *algos.pretrainings()])
def test_presets_and_defaults_are_within_their_limits(name):
    card = algos.pretraining_card(name) if name in algos.pretrainings() else algos.card(name)
    card.check(name, {key: param.default for key, param in card.params.items()})
    for task, values in card.presets.items():
        card.check(f"preset {task} of {name}", values)


def test_numbers_of_the_study_itself(home):
    assert "train.minutes: must be a finite number, not nan" in refused({"train": {"minutes": float("nan")}})
    assert "seeds[0]: must be at most 4294967295" in refused({"seeds": [10**30]})
    assert "seeds[0]: must be an integer, not nan" in refused({"seeds": [float("nan")]})
    assert "seeds: needs" not in refused({"seeds": [float("nan")]})
    assert (
        "train.minutes: must be a number, not '1e-3', which YAML takes for a text; write 1.0e-3"
        in refused({"train": {"minutes": "1e-3"}})
    )


PLAIN = "study: s\ndatasets: {glyphs: {ways: [5], shots: [1]}}\nalgorithms: [protonet]\n"
FILES = {
    "nested": (b"a: " + b"[" * 20_000 + b"]" * 20_000, "its lists and mappings are nested too deeply"),
    "recursive": (PLAIN + "overrides: &a {protonet: *a}\n", "overrides.protonet.protonet...: more than 20 levels"),
    "recursive list": (PLAIN + "seeds: &a [*a]\n", "more than 20 levels of lists and mappings"),
    "bomb": (
        PLAIN + "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
            f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
        ),
        "more than 100000 values",
    ),
    "latin-1": (PLAIN.encode() + "title: 'Vögel'".encode("latin-1"), "is no UTF-8 text (byte 0xf6 in line 4): save it as UTF-8"),
    "utf-16": (PLAIN.encode("utf-16"), "is no UTF-8 text (byte 0xff in line 1)"),
    "integer key": (PLAIN + "overrides: {5: {hidden: 3}}\n", "overrides[5]: must be a text"),
    "integer key at the top": (PLAIN + "1: 3\n", "[1]: must be a text"),
    "half a pair": (PLAIN + 'title: "\\ud800"\n', r"title: the text holds the character '\ud800'"),
    "control character": (PLAIN + 'title: "a\\eb"\n', r"title: the text holds the character '\x1b'"),
    "date": (PLAIN + "title: 2001-01-01\n", "title: date is no type of a study"),
    "no date": (PLAIN + "title: 2001-13-45\n", "is not valid YAML: month must be in 1..12"),
    "set": (PLAIN + "seeds: !!set {1, 2}\n", "seeds: set is no type of a study"),
    "base 8": (PLAIN + "seeds: [1, 0100]\n", "line 4, column 12: YAML takes 0100 for 64; write the number in tens"),
    "base 60": (PLAIN + "seed: 1:30\n", "line 4, column 7: YAML takes 1:30 for 90"),
    "fraction of base 60": (PLAIN + "seed: 1:30.5\n", "YAML takes 1:30.5 for 90.5"),
    "5,000 digits": (PLAIN + "seed: " + "9" * 5000, "is not valid YAML: Exceeds the limit"),
    "long name": (PLAIN.replace("study: s", "study: " + "a" * 300), "study: must have at most 100 letters"),
    "long data set": (PLAIN.replace("glyphs", "torchmeta:" + "a" * 300), "the name has 310 letters; at most 200"),
    "torchmeta's": (PLAIN.replace("glyphs", "torchmeta:cifarfs"), "has no data set 'cifarfs' (did you mean 'cifar_fs'?); it has"),
    "long algorithm": (PLAIN.replace("protonet", "a" * 5000 + ".py"), "File name too long"),
    "newline in a name": ('study: "ok\\n"\n' + PLAIN.split("\n", 1)[1], r"study: must match ^[a-z0-9][a-z0-9_]*$, not 'ok\n'"),
    "list": ("[1, 2]", "(top level): must be a mapping"),
    "no end": (PLAIN + "a: [1\n", "is not valid YAML: line 5, column 1: expected ',' or ']'"),
    "tag": (PLAIN + "seeds: !!python/object:os.system []\n", "is not valid YAML: line 4, column 8: could not determine"),
}  # fmt: skip


@pytest.mark.parametrize("what", FILES)
def test_any_file_gives_one_clear_message(tmp_path, capsys, what):
    content, message = FILES[what]
    file = tmp_path / "my.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert bench("status", file) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith(f"error: {file}") and "Traceback" not in error and len(error) < 1000


def test_a_byte_order_mark_and_a_folded_title_are_no_faults(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + (PLAIN + "title: >\n  A long\n  title\n").encode())
    assert load_study(file).title == "A long title"


def test_a_mistyped_run_or_override_is_suggested(home):
    study = Study(BASE)
    with pytest.raises(ValueError, match=r"did you mean 'glyphs/5way_1shot/protonet/seed0'\?"):
        study.run("glyphs/5way_1shot/protonets/seed0")
    assert "(did you mean 'protonet'?)" in refused({"overrides": {"protonets": {"hidden": 3}}})


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_sizes_are_those_of_the_prepared_arrays(version, tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    folder = tmp_path / "prepared" / "torchmeta_tiny"
    folder.mkdir(parents=True)
    splits = {"default": {"train": [0, 1, 2], "val": [3], "test": [4, 5]}}
    meta = {"default_split": "default", "splits": splits, "rotations": 4}
    (folder / "meta.json").write_text(json.dumps(meta))
    assert sizes_of("torchmeta:tiny", None) is None  # the arrays are missing
    with (folder / "images.npy").open("wb") as file:
        np.lib.format.write_array(file, np.zeros((6, 7, 1, 4, 4), np.uint8), version)
    classes, images = {"train": 12, "val": 4, "test": 8}, {"train": 7, "val": 7, "test": 7}
    assert sizes_of("torchmeta:tiny", None) == (classes, images, {})
    (folder / "images.npy").write_bytes(b"no array")
    assert sizes_of("torchmeta:tiny", None) is None
