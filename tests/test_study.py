"""The typed study: its keys, their JSON schema, and what an error says."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from bench.study import experiments, gpu
from bench.study.schema import SCHEMA, json_schema, validated
from bench.study.study import Study, load_study

ROOT = Path(__file__).parents[1]
STUDIES = [path for path in sorted(ROOT.glob("config/*.yaml")) if "study" in yaml.safe_load(path.read_text())]
SMALL = {"study": "small", "datasets": {"glyphs": {"ways": [5], "shots": [1]}}, "algorithms": ["protonet"]}


def test_the_committed_schema_is_that_of_the_model():
    assert SCHEMA.read_text() == json_schema(), "run `python -m bench schema`"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_an_editor_finds_the_schema_of_a_study_and_it_holds(path):
    first = path.read_text().splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    assert (path.parent / first.split("=")[1]).resolve() == SCHEMA
    jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text())).validate(yaml.safe_load(path.read_text()))


def test_every_key_of_a_study_is_described():
    schema = json.loads(json_schema())
    parts = [schema, *schema["$defs"].values()]
    for part in parts:
        assert part["description"] and part["additionalProperties"] is False
        for key, entry in part["properties"].items():
            assert entry.get("description") or "$ref" in entry, f"{part['title']}: {key}"


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_study_with_its_defaults_written_is_the_same_study(path, tmp_path):
    study = load_study(path)
    written = tmp_path / "study.yaml"
    written.write_text(yaml.safe_dump(study.config, sort_keys=False))
    again = load_study(written)
    assert again.settings == study.settings
    for run in (study.runs()[0], *study.pretrainings()):
        assert again.training_job(run) == study.training_job(run)
        assert again.testing_job(run).as_dict() == study.testing_job(run).as_dict()


def test_defaults_are_typed_and_integers_stay_integers():
    study = Study(SMALL | {"train": {"minutes": 30}, "shifts": {"strengths": {"shear": [1, 0.5]}}})
    assert study.settings.train.validate_every == 500 and study.settings.experiments.shots == ()
    assert study.title == "small"
    assert repr(study.settings.train.minutes) == "30"
    assert repr(study.settings.shifts.strengths["shear"]) == "(1, 0.5)"
    with pytest.raises(ValueError, match="frozen"):
        study.settings.seed = 3


def test_a_job_holds_plain_values():
    study = Study(SMALL | {"train": {"steps": 7}, "overrides": {"protonet glyphs": {"hidden": 8}}})
    run = study.runs()[0]
    job = study.training_job(run)
    assert job.overrides == {"steps": 7, "hidden": 8}
    assert job.as_dict() == dataclasses.asdict(job)
    plain = study.testing_job(run).as_dict()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["modes"] == ["inductive", "transductive"] and plain["experiments"]["episodes"] == 300


WRONG = {
    "unknown key": ({"train": {"stepz": 3}}, "train: 'stepz' was unexpected (did you mean 'steps'?); known keys: device, "),
    "top level": ({"titel": 1}, "(top level): 'titel' was unexpected (did you mean 'title'?); known keys: algorithms, "),
    "in a data set": ({"datasets": {"glyphs": {"shot": [1]}}}, "datasets.glyphs: 'shots' is a required key"),
    "a text": ({"seed": "one"}, "seed: must be an integer, not 'one'"),
    "a switch": ({"seed": True}, "seed: must be an integer, not True"),
    "no list": ({"algorithms": "maml"}, "algorithms: must be a list, not 'maml'"),
    "empty": ({"seeds": []}, "seeds: needs at least 1 entry, not []"),
    "repeated": ({"seeds": [0, 1, 0]}, "seeds: 0 occurs twice"),
    "too small": ({"test": {"episodes": 1}}, "test.episodes: must be at least 2, not 1"),
    "limit": ({"train": {"minutes": 0}}, "train.minutes: must be more than 0, not 0"),
    "choice": ({"train": {"device": "tpu"}}, "train.device: must be 'auto', 'cpu' or 'cuda', not 'tpu'"),
    "item": ({"test": {"modes": ["both"]}}, "test.modes[0]: must be 'inductive' or 'transductive', not 'both'"),
    "severity": ({"shifts": {"severities": {"shear": [6]}}}, "shifts.severities.shear[0]: must be at most 5, not 6"),
    "experiment": ({"experiments": {"ways": [1]}}, "experiments.ways[0]: must be at least 2, not 1"),
    "name": ({"study": "My study"}, "study: must match ^[a-z0-9][a-z0-9_]*$, not 'My study'"),
    "variant": ({"variants": {"Wide": {}}}, "variants.Wide: must match ^[a-z][a-z0-9_]*$, not 'Wide'"),
    "mapping": ({"overrides": {"maml": 3}}, "overrides.maml: must be a mapping of keys to values, not 3"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_an_error_names_key_value_and_what_is_allowed(what):
    changes, message = WRONG[what]
    with pytest.raises(ValueError) as error:
        validated(SMALL | changes, "my.yaml")
    assert str(error.value).startswith("my.yaml is not a valid study:\n")
    assert f"  {message}" in str(error.value)


def test_an_empty_file_is_an_error_and_every_wrong_key_is_named(tmp_path):
    file = tmp_path / "empty.yaml"
    file.write_text("")
    with pytest.raises(
        ValueError, match=r"empty.yaml is not a valid study:\n  \(top level\): must be a mapping"
    ):
        load_study(file)
    with pytest.raises(ValueError) as error:
        validated(SMALL | {"seeds": [], "seed": "x", "sheds": 1}, "my.yaml")
    assert len(str(error.value).splitlines()) == 4


class Driver:
    """Stands for the library of a GPU driver."""

    def __init__(self, count: int, error: int = 0):
        self.count, self.error = count, error

    def cuInit(self, flags):
        return self.error

    def cuDeviceGetCount(self, pointer):
        pointer._obj.value = self.count
        return 0


@pytest.mark.parametrize(
    "driver, build, expected",
    [
        (Driver(2), "2.13.0", 2),
        (Driver(2), "2.13.0+cpu", 0),
        (Driver(0), "2.13.0", 0),
        (Driver(2, error=100), "2.13.0", 0),
        (None, "2.13.0", 0),
    ],
)
def test_gpus_are_counted_without_torch(monkeypatch, driver, build, expected):
    def load(name):
        if driver is None:
            raise OSError(name)
        return driver

    monkeypatch.setattr(gpu.ctypes, "CDLL", load)
    monkeypatch.setattr(gpu, "version", lambda package: build)
    assert gpu.gpus() == expected


VERBS_WITHOUT_TORCH = (
    *(["status", "config/quick.yaml"], ["list"], ["list", "maml"], ["list", "supervised"], ["schema", "--print"]),
    *([verb, "--help"] for verb in ("list", "prepare", "schema", "status")),
)  # fmt: skip


@pytest.mark.parametrize("arguments", VERBS_WITHOUT_TORCH, ids=" ".join)
def test_verbs_that_train_nothing_import_no_torch(arguments):
    code = f"""if True:
        import sys
        from bench.__main__ import main
        try:
            main({arguments!r})
        finally:
            found = {{"torch", "kornia", "scipy.stats", "sklearn"}} & set(sys.modules)
            print("imported:", sorted(found))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_what_experiments_declare_is_read_without_running_them(tmp_path):
    file = tmp_path / "mirrored.py"
    file.write_text(
        "import torch\nSETTING = {'type': 'boolean', 'default': False}\nTITLES = {'mirror': 'Mirrored'}\n"
    )
    assert experiments._declared_in(file) == ({"type": "boolean", "default": False}, {"mirror": "Mirrored"})
    file.write_text("TITLES = {}\n")
    with pytest.raises(ValueError, match="mirrored.py declares no SETTING"):
        experiments._declared_in(file)
    file.write_text("SETTING = dict(type=str(1))\n")
    with pytest.raises(ValueError, match="mirrored.py: SETTING must be a literal"):
        experiments._declared_in(file)


def test_every_experiment_is_a_key_of_a_study_and_its_default_switches_it_off():
    settings = Study(SMALL).settings.experiments
    assert set(experiments.declared()) == set(type(settings).model_fields) - {"episodes"}
    assert not any(getattr(settings, key) for key in experiments.declared())
