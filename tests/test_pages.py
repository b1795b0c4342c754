"""The pages of docs/, tried as a reader would: every block of commands and code, from top to bottom, in a copy of the project."""

import os
import re
import subprocess
import sys

import pandas as pd
import pytest

from tests.workspace import ROOT, Workspace

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PAGES = ("start", "results", "use", "idea", "network", "pretrained", "cluster", "reproduce")
FILE = re.compile(r"# (\S+\.(?:py|yaml))\n")
"""First line of a block that is a file to be saved."""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """A copy of the project in which the study `taste` has been run, with the commands of this Python first."""
    workspace = Workspace(tmp_path_factory.mktemp("pages"))
    workspace.snakemake("--configfile", "config/taste.yaml")
    return workspace


def run(workspace: Workspace, *command: str) -> str:
    path = f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"
    environment = workspace.environment | {"PATH": path, "PYTHONPATH": str(workspace.folder)}
    done = subprocess.run(command, cwd=workspace.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
    return done.stdout


def follow(workspace: Workspace, page: str, **smaller: str) -> str:
    """Do what a page says and return all that it printed. Python blocks between two commands are one script.

    smaller: texts to replace in the studies under my/, after each command: the budgets of a test.
    """
    printed, script = "", ""
    for language, code in BLOCK.findall((ROOT / "docs" / f"{page}.md").read_text()):
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
            printed += run(workspace, "bash", "-euc", code)
            for file in workspace.folder.glob("my/*.yaml"):
                for old, new in smaller.items():
                    file.write_text(file.read_text().replace(old, new))
        assert language in ("python", "sh", "yaml", "text"), f"{page}: a block of {language} is not tried"
    return printed + (run(workspace, sys.executable, "-c", script) if script else "")


def test_results(workspace):
    printed = follow(workspace, "results")
    assert "numbers of 4 of 4 runs" in printed
    assert re.search(r"protonet +none +0(\.0)? +0\.\d", printed)
    assert len(re.findall(r"shear +3(?:\.0)? +0\.\d", printed)) == 4, printed


def test_use(workspace):
    printed = follow(workspace, "use")
    assert "['alpha', 'beta', 'gamma'] (9, 3)\n(6, 3)\n" in printed
    assert "ProtoNet: 6 pictures, 3 classes; see classified/" in printed
    assert (workspace.folder / "classified" / "sheet.png").exists()


def learners(workspace: Workspace, study: str) -> set[str]:
    """Learners in the table of a study that has been run to its report."""
    assert (workspace.folder / "reports" / study / "report.html").exists()
    return set(pd.read_csv(workspace.folder / "results" / study / "tables" / "cells.csv")["algorithm"])


def test_start(workspace):
    assert "5 of 5 runs finished" in follow(workspace, "start")


def test_idea(workspace):
    printed = follow(
        workspace, "idea", **{"steps: 100": "steps: 4", "validate_every: 50": "validate_every: 4"}
    )
    assert "2 passed" in printed
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


def test_cluster(workspace):
    assert "Nothing to be done" in follow(workspace, "cluster")


def test_reproduce(workspace):
    assert re.search("Hyper-parameters.*train +[1-9]", follow(workspace, "reproduce"), re.S)


def test_every_page_is_tried():
    tried = {"map", "glossary", "extend", "faults", *PAGES}  # those of the first four have tests of their own
    assert {path.stem for path in ROOT.glob("docs/*.md")} == tried
