"""Learners that fail: not a number, an exit, an exception. And what a test says about its queries and its progress."""

import json
import re
import sys

import pytest

from bench.__main__ import main
from bench.paths import ROOT
from bench.protocol import progress
from bench.results.condition import Condition
from bench.results.run_folder import read_run
from tests import planted
from tests.planted import RUN, bench, folder

OWN = """
import os, sys
from algos.metric.protonet import ProtoNet


class Mine(ProtoNet):
    calls = 0

    def score(self, phi, features):
        scores = super().score(phi, features)
        Mine.calls += 1
        {fault}
        return scores
"""
FAULTS = {
    "validation": "return scores * float('nan') if not self.training else scores",
    "sys.exit": "sys.exit(0)",
    "os._exit": "os._exit(0)",
    "KeyError": "{}['nothing']",
}


def own_study(home, fault: str, **changes):
    (home / "mine.py").write_text(OWN.replace("{fault}", fault))
    return planted.write_study(
        home, algorithms=[str(home / "mine.py")], overrides={"mine": {"hidden": 4}}, **changes
    )


def test_predictions_that_are_no_numbers_in_validation_make_a_diverged_run(home, capsys):
    study = own_study(home, FAULTS["validation"])
    assert bench("train", study, RUN.format("mine")) == 0
    run = read_run(folder(home, "mine"))
    assert run.status == "diverged" and run.reason == "the train score became nan before step 10"
    assert run.run["training"]["best_step"] is None and len(run.history()) == 0
    assert "diverged, the train score became nan" in capsys.readouterr().err
    assert bench("test", study, RUN.format("mine")) == 0
    assert read_run(folder(home, "mine")).status == "diverged"


def test_predictions_that_are_no_numbers_in_a_test_make_a_diverged_run(home, capsys, monkeypatch):
    fault = "scores = scores + float(os.environ.get('SCORE', 0))"
    study = own_study(home, fault, shifts={"episodes": 4, "scopes": ["task"], "severities": {"shear": [1]}})
    assert bench("train", study, RUN.format("mine")) == 0
    monkeypatch.setenv("SCORE", "nan")
    assert bench("test", study, RUN.format("mine")) == 0
    run = read_run(folder(home, "mine"))
    assert run.status == "diverged" and not run.scored and len(run.episodes()) == 0
    assert run.reason.startswith("accuracy became nan in episode ") and "3-way 2-shot" in run.reason
    assert "diverged, accuracy became nan" in capsys.readouterr().err
    assert bench("status", study) == 0 and "diverged" in capsys.readouterr().out


@pytest.mark.parametrize("fault", ["sys.exit", "os._exit"])
def test_a_learner_that_ends_the_program_is_a_failed_run(home, capsys, fault):
    study = own_study(home, FAULTS[fault])
    assert bench("train", study, RUN.format("mine")) != 0
    error = capsys.readouterr().err
    assert "mine.py, line 12: the code ended the program (exit 0) before the work was done" in error
    assert read_run(folder(home, "mine")).status == "missing"


def test_a_fault_in_code_is_one_line_and_its_traceback_is_in_a_log(home, capsys, monkeypatch):
    study = own_study(home, FAULTS["KeyError"])
    monkeypatch.chdir(home)
    assert bench("train", study, RUN.format("mine")) == 1
    error = capsys.readouterr().err
    assert (
        "Traceback" not in error and "error: KeyError: 'nothing' (" in error and "mine.py, line 12)" in error
    )
    (log,) = (home / "logs" / "faults").glob("train-*.log")
    assert f"the traceback is in logs/faults/{log.name}" in error
    assert "Traceback" in log.read_text() and "mine.py" in log.read_text()


def test_a_traceback_is_shown_where_no_log_can_be_written(home, capsys, monkeypatch):
    study = own_study(home, FAULTS["KeyError"])
    monkeypatch.chdir(home)
    (home / "logs").write_text("in the way")
    assert bench("train", study, RUN.format("mine")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_the_help_of_a_verb_still_ends_the_program(capsys):
    with pytest.raises(SystemExit) as end:
        main(["train", "--help"])
    assert end.value.code == 0


def test_a_test_says_and_records_how_many_queries_it_has(home, capsys):
    study = planted.write_study(
        home, algorithms=["pixel_nn"], overrides={}, test={"episodes": 10, "query": 400}, experiments={"episodes": 4, "shots": [5]}
    )  # fmt: skip
    name = RUN.format("pixel_nn")
    assert bench("train", study, name) == 0 and bench("test", study, name) == 0
    record = json.loads((folder(home, "pixel_nn") / "test.json").read_text())
    assert record["queries"] == {"3way_2shot": 6, "3way_5shot": 3} and record["diverged"] is None
    said = capsys.readouterr().err
    assert "seed0: fewer than the 400 queries per class of `test.query`" in said
    assert "6 in 3way_2shot, 3 in 3way_5shot" in said
    assert "conditions tested" in said


def test_the_lines_of_a_test(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False)
    monkeypatch.setattr(progress, "EVERY", -1.0)
    lines = progress.TestProgress("run")
    lines.show(Condition(5, 1, shift="shear", severity=3, scope="query"))
    lines.show(Condition(5, 1, shift="shear", value=0.25, scope="task", test_tasks="lake"))
    lines.end(2, None)
    assert capsys.readouterr().err.splitlines() == [
        "run: test begins",
        "run: 1 conditions tested, the last 5-way 1-shot, inductive, shear 3 of the query, 0 s",
        "run: 2 conditions tested, the last 5-way 1-shot, inductive, shear 0.25 of the task, tasks: lake, 0 s",
        "run: 2 conditions tested, 0 s",
    ]


def test_every_row_of_the_table_of_faults_is_tried_by_a_test():
    page = (ROOT / "docs" / "faults.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| ") and not row.startswith("| fault ")]
    named = [re.search(r"`(tests/\w+\.py)::(test_\w+)` \|$", row) for row in rows]
    assert len(rows) > 20 and all(named), [row for row, found in zip(rows, named, strict=True) if not found]
    for found in named:
        assert f"def {found[2]}(" in (ROOT / found[1]).read_text(), found[0]
