"""`bench new my/idea.py`: the three files work as they are, and nothing is overwritten."""

import os
import subprocess
import sys

import algos
from bench.paths import ROOT
from bench.study.study import load_study
from tests.planted import bench


def test_the_files_are_a_learner_that_passes_its_test(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert bench("new", "my/idea.py") == 0
    assert "snakemake --configfile my/idea.yaml" in capsys.readouterr().out
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "my/test_idea.py"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout + done.stderr
    card = algos.card("my/idea.py")
    assert card.title == "Idea" and card.params["pull"].default == 0.5


def test_the_study_has_eight_lines_and_is_valid(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bench("new", "my/idea_two.py") == 0
    assert len((tmp_path / "my" / "idea_two.yaml").read_text().splitlines()) == 8
    study = load_study("my/idea_two.yaml")
    assert set(study.settings.algorithms) == {"my/idea_two.py", "protonet", "maml", "finetune"}
    assert {run.name.split("/")[2] for run in study.runs()} == {"idea_two", "protonet", "maml", "finetune"}


def test_its_style_is_that_of_the_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bench("new", "my/idea.py")
    for command in (("check", "--ignore", "I"), ("format", "--check")):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--config", ROOT / "pyproject.toml", "my"],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_wrong_names_and_existing_files_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name, message in {
        "my/Idea.py": "small letters",
        "my/idea": "give a file such as my/idea.py",
        "my/class.py": "small letters",
        "my/protonet.py": "protonet is an algorithm of the benchmark",
    }.items():
        assert bench("new", name) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "my").exists()
    assert bench("new", "my/idea.py") == 0
    before = (tmp_path / "my" / "idea.py").read_text()
    assert bench("new", "my/idea.py") == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "my" / "idea.py").read_text() == before
