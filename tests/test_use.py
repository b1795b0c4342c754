"""A trained learner on one's own pictures: loaded from its run, on arrays and on files, and by `bench classify`."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image

import algos
from bench import load_learner
from bench.paths import ROOT
from bench.protocol.learner import build_learner
from bench.protocol.sources import open_source
from bench.study.study import load_study
from bench.use.form import Form
from bench.use.learner import TrainedLearner
from tests import planted
from tests.planted import RUN, bench, folder

DRAWINGS = Form((1, 28, 28), (0.0,), (1.0,), drawings=True)
PHOTOS = Form((3, 12, 12), (0.5,) * 3, (0.2,) * 3, drawings=False)
CLASSES, PER_CLASS = ("apple", "pear", "plum"), 4


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A home with trained runs of the planted problem."""
    home = tmp_path_factory.mktemp("use")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_ROOT", str(home / "data"))
        patch.setenv("RESULTS_ROOT", str(home / "results"))
        study = planted.write_study(
            home,
            algorithms=["protonet", "maml", "finetune"],
            overrides={
                "protonet": {"hidden": 8},
                "maml": {"hidden": 8, "meta_batch": 4},
                "supervised": {"hidden": 8},
            },
        )
        assert bench("train", study, "planted/supervised/seed0") == 0
        for name in ("protonet", "maml", "finetune"):
            assert bench("train", study, RUN.format(name)) == 0
    return home


@pytest.fixture
def pictures():
    """Images uint8 `[classes, per_class, 28, 28]` of three planted classes, in the network's form."""
    return planted.pictures()[200 : 200 + len(CLASSES), :PER_CLASS]


@pytest.fixture
def folders(tmp_path, pictures):
    """Support and query folders of PNG files, dark on white as people draw."""
    for name, images in zip(CLASSES, pictures, strict=True):
        (tmp_path / "support" / name).mkdir(parents=True)
        (tmp_path / "query").mkdir(exist_ok=True)
        for i, image in enumerate(images):
            place = tmp_path / ("support" if i < 2 else "query")
            Image.fromarray(image).save(place / name / f"{i}.png" if i < 2 else place / f"{name}{i}.png")
    return tmp_path


@pytest.mark.parametrize("name", ["protonet", "maml", "finetune"])
def test_it_predicts_what_the_benchmark_predicts(name, trained, pictures, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(trained / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(trained / "results"))
    study = load_study(trained / "tiny.yaml")
    run = study.run(RUN.format(name))
    model = build_learner(study.training_job(run), open_source("planted", None, torch.device("cpu"))).eval()
    model.load_state_dict(safetensors.torch.load_file(run.folder / "model.safetensors"))
    learner = load_learner(run.folder)
    support, query = pictures[:, :2].reshape(-1, 28, 28), pictures[:, 2:].reshape(-1, 28, 28)
    found = learner.adapt(support, [c for c in CLASSES for _ in range(2)]).predict(query)
    assert learner.classes == list(CLASSES) and found.shape == (6, 3) and found.dtype == np.float32
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    x = torch.from_numpy(support).view(1, 6, 1, 28, 28) / 255
    with model.testing(transductive=False):
        phi = model.adapt(x[:, order], torch.arange(3).repeat_interleave(2)[None, order], 3)
        expected = model.predict(phi, torch.from_numpy(query).view(1, 6, 1, 28, 28) / 255).softmax(-1)[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)
    assert (found.argmax(1) == np.repeat(range(3), 2)).mean() > 0.6


def test_files_and_arrays_of_any_layout_are_the_same_pictures(trained, pictures, folders):
    learner = load_learner(folder(trained))
    labels = [c for c in CLASSES for _ in range(2)]
    files = [folders / "support" / name / f"{i}.png" for name in CLASSES for i in range(2)]
    queries = [str(folders / "query" / f"{name}{i}.png") for name in CLASSES for i in (2, 3)]
    query = pictures[:, 2:].reshape(-1, 28, 28)
    inverted = 255 - query[query.mean((1, 2)) > 127.5]  # files: a drawing is dark on white, or white on dark
    expected = learner.adapt(pictures[:, :2].reshape(-1, 28, 28), labels).predict(query)
    for form in (
        query / 255,
        query[..., None],
        query[:, None],
        torch.from_numpy(query).to(torch.float32) / 255,
    ):
        np.testing.assert_allclose(learner.predict(form), expected, rtol=1e-5, atol=1e-6)
    shown = [image if image.mean() <= 127.5 else 255 - image for image in query]
    assert len(inverted) > 0
    of_files = learner.predict(queries)
    np.testing.assert_allclose(of_files, learner.predict(np.stack(shown)), rtol=1e-5, atol=1e-6)
    learner.adapt(files, np.array(labels))
    assert learner.predict(queries).shape == (6, 3)


def test_pictures_get_the_size_and_channels_of_the_run(tmp_path):
    grey = np.full((20, 30), 51, dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    found = PHOTOS.inputs([tmp_path / "grey.png"])
    assert found.shape == (1, 3, 12, 12)
    torch.testing.assert_close(found, torch.full((1, 3, 12, 12), 0.2))
    colour = np.zeros((2, 24, 24, 3), dtype=np.uint8)
    colour[..., 1] = 255
    torch.testing.assert_close(PHOTOS.inputs(colour)[:, 1], torch.ones(2, 12, 12))
    torch.testing.assert_close(DRAWINGS.inputs(colour), torch.full((2, 1, 28, 28), 150 / 255))


def test_a_drawing_is_ink_on_nothing_however_it_is_saved(tmp_path):
    ink = np.zeros((28, 28), dtype=np.uint8)
    ink[4:9, 4:20] = 255
    Image.fromarray(ink).save(tmp_path / "a.png")
    Image.fromarray(255 - ink).save(tmp_path / "b.png")
    found = DRAWINGS.inputs([tmp_path / "a.png", tmp_path / "b.png"])
    torch.testing.assert_close(found, torch.from_numpy(ink / 255).float().expand(2, 1, 28, 28))


def test_regression_takes_points_and_targets():
    spec = algos.base.TaskSpec("sinusoid", "regression", (1,), 1, 5, parameters=2)
    made = algos.load("maml")(spec, algos.load("maml").resolve("maml", spec, {"hidden": 8}))
    learner = TrainedLearner(made, Form((1,), (0.0,), (1.0,), False), "MAML", "cpu")
    x = np.linspace(-5, 5, 7)[:, None]
    assert learner.adapt(x, np.sin(x)).predict(np.zeros((3, 1))).shape == (3, 1)
    with pytest.raises(ValueError, match=r"shape \[7\]; this learner takes \[n, 1\]"):
        learner.adapt(x[:, 0], np.sin(x))


@pytest.mark.parametrize("name", [n for n in algos.discover() if "classification" in algos.card(n).tasks])
def test_classes_may_have_different_numbers_of_examples(name):
    made = planted.small(algos.load(name))
    learner = TrainedLearner(made, DRAWINGS, name, "cpu")
    images = planted.pictures()[200:203, :3].reshape(-1, 28, 28)
    found = learner.adapt(images[:7], ["a", "a", "a", "b", "b", "b", "c"]).predict(images)
    assert found.shape == (9, 3)
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)


def test_wrong_input_is_named(trained, tmp_path):
    learner = load_learner(folder(trained))
    ones = np.ones((3, 28, 28))
    cases = [
        (lambda: learner.predict(ones), RuntimeError, "call adapt"),
        (lambda: learner.adapt(ones, [0, 1]), ValueError, "3 images and 2 labels"),
        (lambda: learner.adapt(ones, [1, 1, 1]), ValueError, "has 1 class; give images of at least two"),
        (lambda: learner.adapt(ones[0], [0]), ValueError, r"shape \[28, 28\]; expected \[n, H, W\]"),
        (lambda: learner.adapt("a.png", [0]), ValueError, "is one path"),
        (lambda: learner.adapt([ones[0], ones[0, :9]], [0, 1]), ValueError, "several sizes"),
        (
            lambda: learner.adapt([tmp_path / "no.png"], [0]),
            FileNotFoundError,
            "no.png: there is no such picture",
        ),
        (lambda: learner.adapt(-ones, [0, 1, 2]), ValueError, "values below 0"),
        (lambda: load_learner(tmp_path), FileNotFoundError, "holds no trained run"),
    ]
    for call, error, message in cases:
        with pytest.raises(error, match=message):
            call()


def test_weights_of_another_version_are_refused(trained, tmp_path):
    run = shutil.copytree(folder(trained), tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    record["hyper_parameters"]["hidden"] = 9
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(ValueError, match="does not fit the code of protonet: train the run again"):
        load_learner(run)


def test_records_of_earlier_versions_ask_the_prepared_data(trained, tmp_path, monkeypatch):
    run = shutil.copytree(folder(trained), tmp_path / "run")
    record = json.loads((run / "run.json").read_text())
    assert record["data"].pop("input")["shape"] == [1, 28, 28] and record.pop("code") == "protonet"
    (run / "run.json").write_text(json.dumps(record))
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="python -m bench prepare planted"):
        load_learner(run)
    monkeypatch.setenv("DATA_ROOT", str(trained / "data"))
    assert load_learner(run).form == load_learner(folder(trained)).form


def test_classify_writes_probabilities_and_a_sheet(trained, folders, capsys):
    out = folders / "out"
    arguments = ("--support", folders / "support", "--query", folders / "query", "--out", out)
    assert bench("classify", folder(trained), *arguments) == 0
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    assert [row["file"] for row in rows] == sorted(f"{c}{i}.png" for c in CLASSES for i in (2, 3))
    for row in rows:
        p = [float(row[name]) for name in CLASSES]
        assert sum(p) == pytest.approx(1, abs=1e-5) and row["predicted"] == CLASSES[int(np.argmax(p))]
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.size[0] > 1000 and len(sheet.convert("L").getcolors()) > 50
    assert "6 pictures, 3 classes" in capsys.readouterr().out
    (one,) = folders.glob(f"query/{rows[0]['file']}")
    assert bench("classify", folder(trained), *arguments[:2], "--query", one, "--out", out) == 0
    (row,) = csv.DictReader((out / "predictions.csv").open())
    assert (row["file"], row["predicted"]) == (rows[0]["file"], rows[0]["predicted"])
    assert "1 picture, 3 classes" in capsys.readouterr().out


def test_classify_names_what_is_wrong_and_writes_nothing(trained, folders, capsys):
    out = folders / "out"

    def error(support="support", query="query"):
        arguments = ("--support", folders / support, "--query", folders / query, "--out", out)
        assert bench("classify", folder(trained), *arguments) == 2
        return capsys.readouterr().err

    assert "no/such: there is no such folder" in error(support="no/such")
    assert "no/such: there is no such file or folder" in error(query="no/such")
    assert "all its pictures lie in one folder; give a folder per class" in error(support="query")
    (folders / "my notes.txt").write_text("not a picture")
    assert "notes.txt: not a readable image\n" in error(query="my notes.txt")
    (folders / "empty").mkdir()
    assert "empty holds no picture" in error(query="empty")
    (folders / "support" / "kiwi").mkdir()
    assert "classes hold no picture" in error()
    (folders / "support" / "kiwi").rmdir()
    (folders / "query" / "bad.png").write_bytes(b"not a picture")
    assert "bad.png: not a readable image" in error()
    assert not out.exists()


def test_importing_the_package_loads_no_torch():
    code = (
        "import sys, bench; print('torch' in sys.modules); bench.load_learner; print('torch' in sys.modules)"
    )
    assert subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split() == [
        "False",
        "True",
    ]
