"""The pages of docs/, tried as a reader would: every block of commands and code, from top to bottom, in a copy of the project."""

import os
import re
import subprocess
import sys

import pytest

from tests.workspace import ROOT, Workspace

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)
PAGES = ("results", "use")
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


def follow(workspace: Workspace, page: str) -> str:
    """Do what a page says and return all that it printed. Python blocks without a file continue one another."""
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
        assert language in ("python", "sh", "yaml", "text"), f"{page}: a block of {language} is not tried"
    return printed + (run(workspace, sys.executable, "-c", script) if script else "")


def test_results(workspace):
    printed = follow(workspace, "results")
    assert "numbers of 4 of 4 runs" in printed
    assert re.search(r"protonet +none +0 +0\.\d", printed) and re.search(r"maml +shear +3 +0\.\d", printed)


def test_use(workspace):
    printed = follow(workspace, "use")
    assert "['alpha', 'beta', 'gamma'] (9, 3)\n(6, 3)\n" in printed
    assert "ProtoNet: 6 pictures, 3 classes; see classified/" in printed
    assert (workspace.folder / "classified" / "sheet.png").exists()


def test_every_page_is_tried():
    tried = {"map", "glossary", "extend", *PAGES}
    assert {path.stem for path in ROOT.glob("docs/*.md")} == tried
