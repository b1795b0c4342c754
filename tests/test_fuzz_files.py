"""Any damage to a binary file of results or of prepared data gives a result or one clear error, as in `test_fuzz`."""

import json
import shutil

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from algos.nets.weights import load_weights
from bench.protocol import checkpoint
from bench.protocol.sources import open_source
from bench.results.checkpoint_summary import read_progress
from bench.results.digests import file_digest
from bench.results.files import ResultError
from bench.results.run_folder import RunResult, examined, read_run
from bench.results.schema import MODEL, TEST_FILES, TRAINING_FILES
from bench.results.table_digests import check_digests, record_digests
from bench.use.form import form_of
from bench.use.learner import _built, load_learner
from tasks.preparation.archives import DataError
from tasks.preparation.verified import check_prepared
from tasks.preparation.write import write_prepared
from tests import planted
from tests.damage import damage, mutate, read_damaged, some
from tests.synthetic import edit_json, run_folder, small_study

READERS = {
    "episodes.parquet": RunResult.episodes,
    "calibration.parquet": RunResult.calibration,
    "history.parquet": RunResult.history,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run whose model is that of a small ProtoNet; no digests are recorded."""
    folder = run_folder(small_study(tmp_path_factory.mktemp("made")))
    form = {"shape": [1, 28, 28], "mean": [0.0], "std": [1.0], "imagery": "glyphs"}
    edit_json(folder / "run.json", lambda record: record["data"].update(input=form))
    edit_json(folder / "run.json", lambda record: record.update(hyper_parameters={"hidden": 4}))
    record = read_run(folder).run
    save_file(_built(record, form_of(record), folder).state_dict(), folder / MODEL)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def sign(folder):
    """Record the digests of the files of a run."""
    for record, names in (("run.json", TRAINING_FILES), ("test.json", TEST_FILES)):
        files = {name: file_digest(folder / name) for name in names}
        edit_json(folder / record, lambda content, files=files: content.update(files=files))


@pytest.mark.parametrize("name", READERS)
def test_a_damaged_frame_of_a_run(name, folder):
    result, file = read_run(folder), folder / name

    read_damaged(file, file.read_bytes(), lambda: READERS[name](result), ResultError)


def check(folder):
    damage = examined(folder).damage
    if damage:
        raise ResultError(damage)


@pytest.mark.parametrize("name", [*TRAINING_FILES, *TEST_FILES])
def test_every_change_to_a_file_of_a_run_is_noticed(name, folder):
    sign(folder)
    check(folder)

    read_damaged(
        folder / name, (folder / name).read_bytes(), lambda: check(folder), ResultError, noticed=True
    )


@pytest.mark.parametrize("recorded", [True, False])
def test_a_damaged_model(recorded, folder):
    if recorded:
        sign(folder)
    load_learner(folder)
    file = folder / MODEL

    read_damaged(file, file.read_bytes(), lambda: load_learner(folder), ValueError, noticed=recorded)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
def test_damaged_weights_of_an_own_network(suffix, tmp_path):
    network, file = torch.nn.Linear(3, 2), tmp_path / f"weights.{suffix}"
    torch.nn.init.ones_(network.weight), torch.nn.init.ones_(network.bias)
    (save_file if suffix == "safetensors" else torch.save)(network.state_dict(), file)

    read_damaged(file, file.read_bytes(), lambda: load_weights(network, str(file)), ValueError)


def test_a_damaged_checkpoint_is_that_of_the_training_or_none(tmp_path, capsys):
    history = [{"step": 5, "val_score": 0.5}]
    learner = {"w": torch.arange(20.0)}
    state = {"step": 7, "seconds": 1.5, "history": history, "learner": learner, "fingerprint": "same"}
    checkpoint.save(tmp_path, state)
    file = tmp_path / checkpoint.NAME
    content = file.read_bytes()

    @some
    @given(**damage)
    def attempt(cut, flips):
        file.write_bytes(mutate(content, cut, flips))
        found = checkpoint.load(tmp_path, "same")
        if found is None:
            assert str(file) in capsys.readouterr().out
        else:
            assert torch.equal(found.pop("learner")["w"], learner["w"])
            assert found == {key: value for key, value in state.items() if key != "learner"}

    attempt()


def test_the_summary_of_a_damaged_checkpoint(tmp_path):
    state = {"step": 7, "seconds": 1.5, "history": [{"val_score": 0.5}], "learner": {"w": torch.ones(20)}}
    checkpoint.save(tmp_path, state)
    file = tmp_path / checkpoint.NAME

    def read():
        assert read_progress(file) == (7, [0.5], 1.5)

    read_damaged(file, file.read_bytes(), read, ValueError)


PREPARED = {"images.npy": True, "originals.npy": True, "meta.json": False}
"""Files of a prepared data set, and whether their digests are recorded."""


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("DATA_ROOT", str(tmp_path))
    images = planted.pictures(12, 3)
    originals = np.zeros((12, 3, 10), np.uint8)
    return write_prepared("planted", images, planted.meta(12), originals, root=tmp_path / "prepared")


def use_prepared():
    """Read prepared data as a training and a test do, and all that they name."""
    check_prepared("planted", content=True)
    source = open_source("planted", None, torch.device("cpu"))
    source.spec(2, 1)
    for part in ("train", "val", "test"):
        split = source.part(part)
        assert len(split.class_names) == len(split.groups) == len(split.images)
        split.gather(torch.tensor([0])), split.smallest


@pytest.mark.parametrize("name", PREPARED)
def test_damaged_prepared_data(name, prepared):
    use_prepared()
    file = prepared / name

    read_damaged(file, file.read_bytes(), use_prepared, DataError, noticed=PREPARED[name])


@pytest.mark.parametrize("name", ["images.npy", "originals.npy"])
def test_damaged_arrays_that_were_prepared_without_digests(name, prepared):
    meta, file = prepared / "meta.json", prepared / name
    record = json.loads(meta.read_text())
    del record["files"]
    meta.write_text(json.dumps(record))
    notes = list(prepared.parent.glob(".planted.*"))

    def read():
        for note in notes or prepared.parent.glob(".planted.*"):
            note.unlink(missing_ok=True)
        use_prepared()

    read_damaged(file, file.read_bytes(), read, DataError)


@pytest.fixture
def tables(tmp_path):
    """Tables with digests, and what each file holds."""
    names = {"summarize": ["cells.csv", "runs.csv", "history.parquet"], "claims": ["claims.csv"]}
    for verb, files in names.items():
        for name in files:
            (tmp_path / name).write_bytes(b"dataset,way\nglyphs,5\n")
        record_digests(tmp_path, verb, files)
    return tmp_path, {path.name: path.read_bytes() for path in sorted(tmp_path.iterdir())}


def test_every_change_to_a_table_is_noticed(tables):
    folder, contents = tables
    names = [name for name in contents if not name.endswith(".json")]

    @some
    @given(name=st.sampled_from(sorted(contents)), **damage)
    def attempt(name, cut, flips):
        file, damaged = folder / name, mutate(contents[name], cut, flips)
        file.write_bytes(damaged)
        try:
            check_digests(folder, ("summarize", "claims"), names)
            assert damaged == contents[name] or json.loads(damaged) == json.loads(contents[name])
        except ResultError as error:
            assert str(folder) in str(error)
        finally:
            file.write_bytes(contents[name])

    attempt()


def test_a_table_without_a_digest_is_not_read(tables):
    folder, _ = tables
    with pytest.raises(ResultError, match=r"ranks.csv has no recorded digest: .*run snakemake again"):
        check_digests(folder, ("summarize", "claims"), ["cells.csv", "ranks.csv"])
    (folder / "claims.json").unlink()
    with pytest.raises(ResultError, match=r"claims.json is missing.*cut or edited: run snakemake again"):
        check_digests(folder, ("summarize", "claims"), ["cells.csv"])
