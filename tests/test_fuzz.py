"""Any study and any damaged file gives a result or one clear error, never another exception.

`FUZZ_EXAMPLES=10000` tries so many of each; `make test` tries a few, always the same.
"""

import copy
import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.results.files import ResultError
from bench.results.run_folder import read_run
from bench.statistics.claims import FILE, load_claims
from bench.study.study import Study, load_study
from bench.study.text import read_yaml
from tasks.preparation.archives import DataError, load_pickle, open_tar, read_zip
from tasks.preparation.decode import decode_ink, decode_shown
from tasks.preparation.folder_sources import read_arrays
from tasks.preparation.lists import read_table
from tests.damage import read_damaged, some
from tests.synthetic import run_folder, small_study

STUDY = {
    "study": "fuzz", "title": "Any", "seed": 0, "seeds": [0, 1],
    "datasets": {"glyphs": {"ways": [5], "shots": [1], "split": None}, "sinusoid": {"shots": [5]}},
    "algorithms": ["protonet", "maml", "finetune"],
    "variants": {"wide": {"algorithm": "maml", "params": {"hidden": 8}, "title": "Wide"}},
    "train": {"steps": 4, "minutes": None, "validate_every": 2, "validation_episodes": 8, "threads": 1, "device": "cpu"},
    "overrides": {"protonet glyphs": {"hidden": 8, "learning_rate": 0.1, "train_way": 5, "train_labels": "shuffled"}},
    "test": {"episodes": 8, "query": 5, "modes": ["inductive"]},
    "shifts": {"episodes": 4, "scopes": ["task"], "severities": {"shear": [1]}, "strengths": {"scale": [0.5]}},
    "experiments": {"episodes": 4, "ways": [2], "shots": [5], "other_data": ["omniglot"], "memorisation": True},
}  # fmt: skip
words = st.sampled_from(
    ["glyphs", "omniglot", "lake", "folder:/", "folder:~x", "torchmeta:cifar_fs", "maml", "x.py", "tests", "1e-3", "5way", "a" * 300, "../..", "$(x)"]
)  # fmt: skip
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 1, 10**9, 10**30, 2**63])
    | st.floats()
    | st.text(max_size=20)
    | words
    | st.dates()
    | st.binary(max_size=4)
)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(leaves, inner, max_size=3), max_leaves=8
)  # fmt: skip


def places(value: object, at: tuple = ()) -> list[tuple]:
    """Every place in a study where a value stands."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [at, *(place for key, item in inner for place in places(item, (*at, key)))]


def replaced(at: tuple, value: object, as_key: bool) -> object:
    """The study with another value, or another key, at a place."""
    study = copy.deepcopy(STUDY)
    if not at:
        return value
    parent = study
    for key in at[:-1]:
        parent = parent[key]
    if as_key and isinstance(parent, dict) and not isinstance(value, list | dict):
        parent[value] = parent.pop(at[-1])
    else:
        parent[at[-1]] = value
    return study


@pytest.fixture(scope="module", autouse=True)
def empty_roots(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        for root in ("DATA_ROOT", "RESULTS_ROOT"):
            patch.setenv(root, str(tmp_path_factory.mktemp(root)))
        yield


@some
@given(at=st.sampled_from(places(STUDY)), value=values, as_key=st.booleans())
def test_any_value_or_key_anywhere_in_a_study(at, value, as_key):
    try:
        study = Study(replaced(at, value, as_key), "fuzz.yaml")
    except ValueError as error:
        text = str(error)
        assert text.startswith("fuzz.yaml") and len(text.splitlines()) <= 12 and len(text) < 5000, text
        return
    for run in study.runs()[:20]:
        study.training_job(run), study.testing_job(run)
    assert yaml.safe_load(yaml.safe_dump(study.config)) == json.loads(json.dumps(study.config))


def _png() -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.arange(28 * 28, dtype=np.uint8).reshape(28, 28)).save(out, "PNG")
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("train/a/1.png", _png())
        file.writestr("list.csv", "filename,label\n1.png,a\n")
    return out.getvalue()


def _npz() -> bytes:
    out = io.BytesIO()
    np.savez(out, x=np.zeros((4, 8, 8), np.uint8), y=np.array(["a", "a", "b", "b"]))
    return out.getvalue()


CACHE = {"image_data": np.zeros((4, 8, 8, 3), np.uint8), "class_dict": {"a": [0, 1], "b": [2, 3]}}


SOURCES = {
    "pickle": (pickle.dumps(CACHE, 2), load_pickle),
    "zip": (_zip(), lambda path: list(read_zip(path))),
    "tar": (_zip(), open_tar),
    "npz": (_npz(), read_arrays),
    "csv": (b'filename,label,split\n1.png,"a",train\n2.png,b,test\n', lambda path: read_table(path.read_bytes(), str(path))),
    "PNG": (_png(), lambda path: (decode_shown(path.read_bytes(), str(path)), decode_ink(path.read_bytes(), str(path)))),
}  # fmt: skip


@pytest.mark.parametrize("kind", SOURCES)
def test_a_damaged_source_file(kind, tmp_path):
    content, read = SOURCES[kind]
    file = tmp_path / f"source.{kind.casefold()}"

    read_damaged(file, content, lambda: read(file), DataError)


TEXTS = {
    "study": (lambda: yaml.safe_dump(STUDY).encode(), load_study, ValueError),
    "any yaml": (lambda: b"a: &x [1, {b: *x, ? c : 2001-01-01}, !!set {a}, 0x1F, 1:20, .inf]\n", read_yaml, ValueError),
    "claims": (FILE.read_bytes, load_claims, ValueError),
}  # fmt: skip


@pytest.mark.parametrize("kind", TEXTS)
def test_a_damaged_file_of_yaml(kind, tmp_path):
    make, read, expected = TEXTS[kind]
    content, file = make(), tmp_path / "file.yaml"

    read_damaged(file, content, lambda: read(file), expected)


@pytest.mark.parametrize("name", ["run.json", "test.json"])
def test_a_damaged_record_of_a_run(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    folder = run_folder(small_study(tmp_path))
    file = folder / name

    def read():
        found = read_run(folder)
        assert found.status and (found.reason is None or isinstance(found.reason, str))

    read_damaged(file, file.read_bytes(), read, ResultError)
