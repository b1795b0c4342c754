"""The pages of docs/, tried as a reader would: every block of commands and code, from top to bottom, in a copy of the project.

One study, that of own pictures, runs in Snakemake from start to end. Of the others, Snakemake makes its plan, and their jobs run in this
process: every job that Snakemake starts spends three seconds on imports, and there are sixty.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bench.study.study import load_study
from tests.own_pictures import write_classes
from tests.planted import bench
from tests.workspace import ROOT, Workspace

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PAGES = ("start", "results", "use", "data", "idea", "network", "pretrained", "cluster", "reproduce")
FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")
"""First line of a block that is a file to be saved."""
IN_SNAKEMAKE = ("config/taste.yaml", "my/birds.yaml")
"""Studies that are run in Snakemake: the first has been run before, so that nothing is left to do."""
VERBS = {"train", "test", "pictures", "summarize", "claims", "report"}
PREPARED = ("images.npy", "meta.json", "card.json", "card.md", "sheet.png", "split.csv")
SAME = (*PREPARED, "model.safetensors", "episodes.parquet", "calibration.parquet", "cells.csv")
"""Files of a study that hold no times."""
STUDY = re.compile(r"snakemake --configfile (\S+)\n")
BUDGETS = {
    r"steps: \d+": "steps: 4",
    r"validate_every: \d+": "validate_every: 2",
    r"episodes: \d+": "episodes: 8",
    r"seeds: .*": "seeds: [0]",
    r"shots: \[1, 5\]": "shots: [1]",
}
"""Budgets of a study in a test."""
SHIFTS = "shifts: {episodes: 8, scopes: [task], severities: {shear: [3]}}\n"
"""For a study that says nothing of shifts and would be tested under all."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A copy of the project."""
    return Workspace(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def tasted(workspace) -> Workspace:
    """The copy, after the study `taste` has been run in it."""
    shrink(workspace.folder / "config" / "taste.yaml")
    run_here(workspace, "config/taste.yaml")
    return workspace


def shrink(file: Path) -> None:
    text = file.read_text()
    for old, new in BUDGETS.items():
        text = re.sub(old, new, text)
    if "shifts:" not in text:
        text += SHIFTS
    file.write_text(text)


def run(workspace: Workspace, *command: str) -> str:
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = workspace.environment | {"PATH": path, "PYTHONPATH": str(workspace.folder)}
    done = subprocess.run(command, cwd=workspace.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def run_here(workspace: Workspace, study: str) -> None:
    """Let Snakemake plan a study, then do its jobs in this process, each after those that it depends on."""
    commands = workspace.commands(study)
    assert {verb for verb, *_ in commands} == VERBS
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace.folder)
        patch.syspath_prepend(workspace.folder)
        for variable in ("DATA_ROOT", "RESULTS_ROOT", "REPORTS_ROOT"):
            patch.delenv(variable, raising=False)
        for words in commands:
            assert bench(*words) == 0, words


def follow(workspace: Workspace, page: str) -> str:
    """Do what a page says and return all that it printed. Python blocks between two commands are one script."""
    printed, script = "", ""
    for language, code in BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text()):
        assert language in ("python", "sh", "yaml", "text"), f"{page}: a block of {language} is not tried"
        named = FILE.match(code)
        if named:
            file = workspace.folder / named[1]
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(code)
        elif language == "python":
            script += code
        elif script:
            printed, script = printed + run(workspace, sys.executable, "-c", script), ""
        if language == "sh":
            printed += command(workspace, code)
        for file in workspace.folder.glob("my/*.yaml"):
            shrink(file)
    return printed + (run(workspace, sys.executable, "-c", script) if script else "")


def command(workspace: Workspace, code: str) -> str:
    """Run a block of commands, or the study that it starts."""
    study = STUDY.fullmatch(code)
    if study and study[1] not in IN_SNAKEMAKE:
        run_here(workspace, study[1])
        return ""
    return run(workspace, "bash", "-euc", code)


def learners(workspace: Workspace, study: str) -> set[str]:
    """Learners in the table of a study that has been run to its report."""
    assert (workspace.folder / "reports" / study / "report.html").exists()
    return set(pd.read_csv(workspace.folder / "results" / study / "tables" / "cells.csv")["algorithm"])


def test_start(tasted):
    assert "5 of 5 runs finished" in follow(tasted, "start")


def test_results(tasted):
    printed = follow(tasted, "results")
    assert "numbers of 4 of 4 runs" in printed
    assert re.search(r"protonet +none +0(\.0)? +0\.\d", printed)
    assert len(re.findall(r"shear +3(?:\.0)? +0\.\d", printed)) == 4, printed


def test_use(tasted):
    printed = follow(tasted, "use")
    assert "['alpha', 'beta', 'gamma'] (9, 3)\n(6, 3)\n" in printed
    assert "ProtoNet: 6 pictures, 3 classes; see classified/" in printed
    assert (tasted.folder / "classified" / "sheet.png").exists()


def test_data(workspace, tmp_path, monkeypatch):
    """Thirty classes of mixed files go through Snakemake to a report, and give the same bytes again elsewhere."""
    write_classes(workspace.folder / "my" / "birds")
    printed = follow(workspace, "data")
    assert "30 classes x 6 to 12 images, 28x28x3" in printed and "notes.docx" in printed
    assert learners(workspace, "birds") == {"pixel_nn", "protonet"}
    monkeypatch.chdir(workspace.folder)
    monkeypatch.setenv("DATA_ROOT", str(tmp_path / "data"))
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    assert bench("prepare", "folder:my/birds") == 0
    for one in load_study("my/birds.yaml").runs():
        assert bench("train", "my/birds.yaml", one.name) == bench("test", "my/birds.yaml", one.name) == 0
    assert bench("summarize", "my/birds.yaml") == 0
    again = [file for file in tmp_path.rglob("*.*") if file.name in SAME]
    assert len(again) == 13
    for file in again:
        assert file.read_bytes() == (workspace.folder / file.relative_to(tmp_path)).read_bytes(), file


def test_idea(workspace):
    assert "2 passed" in follow(workspace, "idea")
    assert learners(workspace, "idea") == {"idea", "protonet", "maml", "finetune"}


def test_network(workspace):
    follow(workspace, "network")
    assert learners(workspace, "net") == {"protonet", "metaopt_ridge", "finetune"}


STAND_IN = """
from torch import nn

def create_model(name, pretrained, num_classes, img_size=224):
    assert pretrained and num_classes == 0
    return nn.Sequential(nn.Conv2d(3, 4, 16, 16), nn.AdaptiveAvgPool2d(2), nn.Flatten())
"""


def test_pretrained(workspace):
    """timm is no package of this project and its weights are downloaded: a small network stands in for them."""
    (workspace.folder / "timm.py").write_text(STAND_IN)
    follow(workspace, "pretrained")
    assert learners(workspace, "frozen") == {"pixel_nn", "frozen_mean", "frozen_logistic"}
    assert learners(workspace, "foundation") == {"protonet", "dino", "clip"}


def test_cluster(tasted):
    assert "Nothing to be done" in follow(tasted, "cluster")


def test_reproduce(workspace):
    assert re.search("Hyper-parameters.*train +[1-9]", follow(workspace, "reproduce"), re.S)


def test_every_page_is_tried():
    tried = {"map", "glossary", "extend", "faults", *PAGES}  # those of the first four have tests of their own
    assert {path.stem for path in ROOT.glob("docs/*.md")} == tried
