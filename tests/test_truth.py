"""A result never belongs to other code, settings or data than is shown: what `status` and the readers of files notice."""

import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from bench.protocol.fingerprint import code_files
from bench.protocol.stale import stale_results
from bench.report.summary import read_summary
from bench.results.files import ResultError
from bench.results.run_folder import examined, read_run
from bench.study.study import load_study
from bench.study.text import read_yaml
from bench.verbs import status
from tasks.preparation.archives import DataError
from tasks.preparation.verified import check_prepared
from tests import planted
from tests.planted import RUN, bench, folder
from tests.synthetic import small_study

LEARNER = '''"""Looks at pixels; imports a file beside it and names one of weights."""

from algos.baseline.pixel_nn import PixelNN
from scale_of_mine import SCALE


class Mine(PixelNN):
    title = "Mine"
    files = ("weights.bin",)
    scale = SCALE
'''


@pytest.fixture
def tested(home):
    """A study of an own learner that has been trained and tested; returns the study file."""
    (home / "mine.py").write_text(LEARNER)
    (home / "scale_of_mine.py").write_text("SCALE = 1\n")
    (home / "weights.bin").write_bytes(b"1234")
    study = planted.write_study(home, algorithms=[str(home / "mine.py")])
    for verb in ("train", "test"):
        assert bench(verb, study, RUN.format("mine")) == 0
    return study


def state(study):
    (found,) = status.states(load_study(study))
    return found.status, found.note


def changed(study, **changes):
    study.write_text(yaml.safe_dump(yaml.safe_load(study.read_text()) | changes))
    return state(study)


def test_results_that_are_gone_are_missed_wherever_something_made_of_them_is_left(home):
    study, page = load_study(planted.write_study(home)), home / "report.html"
    assert stale_results(study, [str(page), str(home / "runs.csv")]) == [], "a study that has not begun"
    page.write_text("made of all runs")
    found = stale_results(study, [str(page), str(home / "runs.csv")])
    assert [reason for reason, _ in found] == [f"{run.name}: its results are missing" for run in study.runs()]
    assert found and all(files for _, files in found)


def test_a_result_of_the_study_as_it_is_counts(tested):
    assert state(tested) == ("untrained", "")
    assert changed(tested, title="Another title") == ("untrained", "")


def test_status_asks_for_each_file_of_a_run_once(tested, monkeypatch):
    """A study has ten thousand runs: what is asked twice takes seconds."""
    asked = Counter()

    def counted(name):
        call = getattr(os, name)

        def counting(path, *options, **named):
            asked[name, os.path.basename(path)] += isinstance(path, str) and "/seed0/" in path
            return call(path, *options, **named)

        monkeypatch.setattr(os, name, counting)

    counted("stat"), counted("open")
    assert state(tested) == ("untrained", "")
    once = ("model.safetensors", "history.parquet", "episodes.parquet", "calibration.parquet")
    assert {key for key, times in asked.items() if times} == {
        *(("stat", name) for name in once),
        *(("open", name) for name in ("run.json", "test.json")),
    }
    assert max(asked.values()) == 1


@pytest.mark.parametrize(
    "file, verb", [("mine.py", "training"), ("scale_of_mine.py", "training"), ("weights.bin", "training")]
)
def test_an_edit_of_an_own_file_makes_the_result_outdated(tested, home, file, verb):
    (home / file).write_bytes((home / file).read_bytes() + b"\n")
    found, note = state(tested)
    assert found == "outdated" and f"the code of its {verb} has been edited" in note


def test_a_change_of_the_study_makes_the_result_outdated(tested):
    assert "settings of its test" in changed(tested, test={"episodes": 11, "query": 3})[1]
    assert "settings of its training" in changed(tested, overrides={"mine": {"rule": "mean"}})[1]


def test_a_summary_by_hand_says_which_results_are_outdated(tested, capsys):
    assert bench("summarize", tested) == 0
    assert "outdated" not in capsys.readouterr().err
    changed(tested, overrides={"mine": {"rule": "mean"}})
    assert bench("summarize", tested) == 0
    said = capsys.readouterr().err
    assert (
        f"1 runs of these tables are outdated; the first is {RUN.format('mine')}: the study's settings"
        in said
    )


@pytest.mark.parametrize("name", ["cells.csv", "claims.csv", "history.parquet", "summarize.json"])
def test_a_damaged_table_is_named_with_the_remedy(tmp_path, monkeypatch, name):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    file = small_study(tmp_path)
    assert bench("summarize", file) == bench("claims", file) == 0
    study = load_study(file)
    read_summary(study)
    path = tmp_path / "results" / study.name / "tables" / name
    content = path.read_bytes()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    for damaged in (b"", content[: len(content) // 2], b"hello\n", flipped):
        path.write_bytes(damaged)
        with pytest.raises(ResultError, match=f"{re.escape(str(path.parent))}.*run snakemake again"):
            read_summary(study)


def test_other_data_make_the_result_outdated(tested, home):
    meta = home / "data" / "prepared" / "planted" / "meta.json"
    digest = planted.meta()["digest"]
    meta.write_text(meta.read_text().replace(digest, "0" * len(digest)))
    found, note = state(tested)
    assert found == "outdated" and "data of planted have changed" in note


@pytest.mark.parametrize("name", ["model.safetensors", "episodes.parquet", "history.parquet"])
def test_a_cut_or_missing_file_is_noticed(tested, home, name):
    path = folder(home, "mine") / name
    path.write_bytes(path.read_bytes()[:-1])
    assert state(tested)[0] == "outdated" and name in state(tested)[1]
    path.unlink()
    found, note = state(tested)
    assert (found, name in note) == (
        ("untested", True) if name.startswith("episodes") else ("outdated", True)
    )


def test_flipped_weights_are_noticed_when_they_are_read(home, capsys):
    study = planted.write_study(home)
    assert bench("train", study, RUN.format("protonet")) == 0
    model = folder(home) / "model.safetensors"
    content = bytearray(model.read_bytes())
    content[-1] ^= 1
    model.write_bytes(content)
    assert bench("test", study, RUN.format("protonet")) == 2
    printed = capsys.readouterr().err
    assert str(model) in printed and "another digest" in printed and "run snakemake again" in printed
    assert state(study)[0] == "untested"
    (found,) = status.states(load_study(study), verify=True)
    assert found.status == "unreadable" and str(model) in found.note


def flip(path):
    state, pixels = path.stat(), np.load(path, mmap_mode="r+")
    pixels.reshape(-1)[:1000] ^= 255
    pixels.flush()
    return state


def test_flipped_pixels_are_noticed_when_they_are_read(home, capsys):
    study = planted.write_study(home, algorithms=["pixel_nn"])
    assert bench("train", study, RUN.format("pixel_nn")) == 0
    images = home / "data" / "prepared" / "planted" / "images.npy"
    flip(images)
    for verb in ("train", "test"):
        assert bench(verb, study, RUN.format("pixel_nn")) == 2
        printed = capsys.readouterr().err
        assert str(images) in printed and "python -m bench prepare planted --force" in printed


def test_data_are_read_once_and_then_known_by_size_and_time_until_asked_for_their_content(home):
    import os

    planted.write_study(home)
    check_prepared("planted")
    images = home / "data" / "prepared" / "planted" / "images.npy"
    before = flip(images)
    os.utime(images, ns=(before.st_atime_ns, before.st_mtime_ns))
    check_prepared("planted")
    with pytest.raises(DataError, match=r"images.npy is not what was prepared"):
        check_prepared("planted", content=True)


def test_a_damaged_file_costs_its_run_and_is_named(tested, home):
    path = folder(home, "mine")
    assert examined(path).status == "untrained"
    for name in (
        "episodes.parquet",
        "calibration.parquet",
        "history.parquet",
        "model.safetensors",
        "test.json",
        "run.json",
    ):
        content = (path / name).read_bytes()
        for damaged in (b"", content[: len(content) // 2], b"\0" * len(content)):
            (path / name).write_bytes(damaged)
            found = examined(path)
            assert found.status == "damaged" and str(path / name) in found.damage, (name, len(damaged))
            assert "again" in found.damage
        (path / name).write_bytes(content)
    assert read_run(path).scored


def test_files_that_own_code_imports_or_names_are_among_the_files_of_its_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "parts"
    package.mkdir()
    for name in ("__init__.py", "net.py", "unused.py", "late.py"):
        (package / name).write_text("")
    for name in ("one.pt", "two.pt", "three.npz", "given.pt", "unnamed.pt"):
        (package / name).write_bytes(b"0")
    own = tmp_path / "own.py"
    own.write_text(
        "import importlib, os\nfrom pathlib import Path\nfrom parts.net import Net\n"
        "HERE = Path(__file__).parent\nA = HERE / 'parts' / 'one.pt'\nB = os.path.join('parts', 'two.pt')\n"
        "late = importlib.import_module('parts.late')\nC = 'parts/three.npz'\n"
    )
    files = code_files("train", str(own), {"weights": "parts/given.pt", "rate": 1.0})
    names = {str(file.relative_to(tmp_path)) for file in files if file.is_relative_to(tmp_path)}
    expected = {"__init__.py", "net.py", "late.py", "one.pt", "two.pt", "three.npz", "given.pt"}
    assert names == {"own.py"} | {f"parts/{name}" for name in expected}


def own_learner(file: Path) -> str:
    """Write a learner that is Prototypical Networks under another class name; return its path."""
    file.parent.mkdir(exist_ok=True)
    file.write_text("from algos.metric.protonet import ProtoNet\n\n\nclass Mine(ProtoNet): ...\n")
    return str(file)


@pytest.mark.parametrize(
    "learners", [["a/same.py", "b/same.py"], ["protonet", "a/protonet.py"], ["a/same.py", "b/Same.py"]]
)
def test_two_learners_of_one_name_are_refused(home, monkeypatch, learners):
    monkeypatch.chdir(home)
    for learner in learners:
        if learner.endswith(".py"):
            own_learner(home / learner)
    study = planted.write_study(home, algorithms=learners, overrides={})
    with pytest.raises(ValueError, match=f"two learners are called .*{learners[0]} and {learners[1]}"):
        load_study(study)


def test_a_learner_whose_name_would_be_a_wildcard_is_refused(home):
    own = own_learner(home / "net{width}.py")
    with pytest.raises(ValueError, match="net{width}.py: the name of a learner has no braces"):
        load_study(planted.write_study(home, algorithms=[own], overrides={}))


def test_learners_of_one_title_are_told_apart_by_their_names(home):
    """A copy of a file, or a subclass, often keeps the title: rows of the report would look alike, and be taken together."""
    learners = ["protonet", own_learner(home / "mine.py"), own_learner(home / "other.py")]
    study = load_study(planted.write_study(home, algorithms=learners, overrides={}))
    assert [study.title_of(name) for name in learners] == ["ProtoNet", "ProtoNet (mine)", "ProtoNet (other)"]


def test_a_merged_key_may_be_overridden_and_a_repeated_one_may_not(tmp_path):
    file = tmp_path / "some.yaml"
    file.write_text("base: &base {a: 1, b: 2}\nown: {<<: *base, b: 3}\n")
    assert read_yaml(file)["own"] == {"a": 1, "b": 3}
    file.write_text("claims:\n  - id: x\n    margin: 1\n    'id': y\n")
    with pytest.raises(ValueError, match="some.yaml .*'id' occurs twice, in lines 2 and 4"):
        read_yaml(file)
