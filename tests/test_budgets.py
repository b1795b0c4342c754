"""Learners below their paper, trained in several lengths: which are shown, what is said, and that it is what the kept runs say."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bench.report import budgets as module
from bench.report.budgets import budget_table, budgets, near, reason
from bench.results.reference_list import FILE, listed_studies
from bench.results.reference_store import kept_folder
from bench.results.run_folder import RunResult, read_run
from tests.reference_runs import ROOT

SHARED = {
    "dataset": "omniglot", "way": 5, "shot": 1, "mode": "inductive", "stands": True, "backbone": "conv4", "hidden": 64,
    "published": 0.99, "budget_share": 0.1, "seeds": 1,
}  # fmt: skip


def training(algorithm: str, study: str, tasks: int, mean: float, **other) -> dict:
    row = {"algorithm": algorithm, "title": algorithm.title(), "study": study, "tasks": tasks}
    return SHARED | row | {"mean": mean, "low": mean - 0.005, "high": mean + 0.005} | other


@pytest.fixture
def found(monkeypatch) -> pd.DataFrame:
    rows = [
        training("short", "long", 4_000, 0.95),
        training("short", "quarter", 1_000, 0.90),
        training("flat", "long", 4_000, 0.95),
        training("flat", "quarter", 1_000, 0.945),
        training("near", "long", 4_000, 0.98),
        training("near", "quarter", 1_000, 0.90),
        training("once", "long", 4_000, 0.90),
        training("other network", "long", 4_000, 0.90),
        training("other network", "quarter", 1_000, 0.80, hidden=32),
        training("other mode", "long", 4_000, 0.90),
        training("other mode", "quarter", 1_000, 0.80, stands=False),
    ]
    monkeypatch.setattr(module, "every_study", lambda _: pd.DataFrame(rows))
    return budgets([])


def test_only_learners_below_their_paper_that_were_trained_in_several_lengths(found):
    assert list(zip(found["algorithm"], found["study"], strict=True)) == [
        ("flat", "quarter"),
        ("flat", "long"),
        ("short", "quarter"),
        ("short", "long"),
    ]


def test_the_budget_is_the_reason_where_the_error_fell_by_more_than_the_intervals(found):
    said = {name: reason(part) for name, part in found.groupby("algorithm")}
    assert said["short"] == "budget: 4 times the training divided the error by 2"
    assert said["flat"].startswith("open: 4 times the training changed the error by no more")


def test_the_reason_stands_beside_the_longest_training(found):
    rows = budget_table(found).rows
    assert [bool(row.cells[-1].text) for row in rows] == [False, True, False, True]
    assert [cell.text for cell in rows[-1].cells][3:8] == ["4,000", "10 %", "5.0 ± 0.5", "1.0", "1"]


def test_values_near_the_published_ones_are_counted():
    rows = [
        (0.985, 0.99, "accuracy"),
        (0.97, 0.99, "accuracy"),
        (0.5, 0.4, "accuracy"),
        (0.9, None, "accuracy"),
        (0.3, 0.35, "mse"),
    ]
    said = near(pd.DataFrame(rows, columns=["mean", "published", "metric"]))
    assert said == "2 of 3 accuracies with a published value lie at most 1.5 points below it."


def test_the_committed_table_is_what_the_kept_runs_say(monkeypatch):
    """Training tasks and errors, recomputed from records and episodes."""
    monkeypatch.chdir(ROOT)
    text = Path("results/reference/README.md").read_text(encoding="utf-8")
    table = text.split("is it the budget?\n\n", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table]
    assert len(shown) >= 4
    studies = {study.name: study for study in listed_studies(Path(FILE))}
    for title, _, mode, tasks, _, error, *_, study, said in shown:
        runs = [run for run in studies[study].runs() if studies[study].cards[run.algorithm].title == title]
        results = [read_run(kept_folder(run)) for run in runs if (kept_folder(run) / "run.json").exists()]
        seen = [result.run["training"]["tasks"] for result in results]
        assert f"{sum(seen) / len(seen):,.0f}" == tasks, title
        missed = 100 * (1 - pd.Series([clean_accuracy(result, mode) for result in results]).mean())
        assert abs(missed - float(re.match(r"[\d.]+", error)[0])) <= 0.0501, (title, study)
        assert not said or said.startswith(("budget: ", "open: "))


def clean_accuracy(result: RunResult, mode: str) -> float:
    """Mean accuracy on the tasks that the run was trained for, as they are."""
    frame = result.episodes()
    own = (
        frame["test_tasks"].eq("standard")
        & frame["test_way"].eq(5)
        & frame["test_shot"].eq(1)
        & frame["test_steps"].eq(-1)
    )
    return frame[own & frame["shift"].eq("none") & frame["mode"].eq(mode)]["accuracy"].mean()


def test_every_kept_run_has_the_files_of_its_record():
    """One whose weights were deleted by hand counts as damaged: its learner loses a seed, and a row says nothing of it."""
    records = sorted((ROOT / "results" / "reference").glob("*/*/*/*/seed*/run.json"))
    assert len(records) > 100
    for record in records:
        read_run(record.parent).check()
