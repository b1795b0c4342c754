"""The notebook of docs/: its cells run, offline, and what they showed is kept in it."""

import re
import socket
import sys

import nbformat
import pytest

from tests.notebook import execute
from tests.workspace import ROOT

(FILE,) = ROOT.glob("docs/*.ipynb")
KEPT = nbformat.read(FILE, as_version=4)
BUDGETS = {
    r"steps: \d+": "steps: 4",
    r"validate_every: \d+": "validate_every: 4",
    r"episodes: \d+": "episodes: 8",
    r"hidden: \d+": "hidden: 8",
}


def shown(notebook) -> list[list[str]]:
    """What the cells of a notebook show at their end, without the numbers; what they printed meanwhile is left out."""
    results = [
        [output.data["text/plain"] for output in cell.outputs if output.output_type == "execute_result"]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    return [[re.sub(r"[-\d. ]+", " ", text) for text in texts] for texts in results]


def test_it_is_a_notebook_with_its_outputs_and_without_anybodys_paths():
    nbformat.validate(KEPT)
    code = [cell for cell in KEPT.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)
    assert not re.search(r"/(home|root|tmp|work|Users|mnt)/", FILE.read_text(encoding="utf-8"))


def test_its_cells_run_offline_and_show_what_is_kept(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("DATA_ROOT", str(ROOT / "data"))
    monkeypatch.delenv("RESULTS_ROOT", raising=False)
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("the notebook uses the network"))
    notebook = nbformat.from_dict(KEPT)
    for cell in notebook.cells:
        if cell.source.startswith('Path("my/first.yaml")'):
            for old, new in BUDGETS.items():
                cell.source, changed = re.subn(old, new, cell.source)
                assert changed
    kept = shown(KEPT)
    assert sum(map(len, kept)) >= 3
    assert shown(execute(notebook)) == kept
    assert (tmp_path / "results" / "first" / "tables" / "cells.csv").exists()
