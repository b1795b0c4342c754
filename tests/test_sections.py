"""What the sections of a synthetic study's report say is what its tables say."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from bench.report.page import templates
from bench.report.sections import other_tasks, result, runs
from bench.report.summary import read_summary
from bench.report.svg import SharedParts
from bench.results.run_folder import RunResult
from bench.study.study import load_study
from tests.report_page import ALGORITHMS


@pytest.fixture
def page(example_page) -> Path:
    return example_page


@pytest.fixture
def tables(page) -> Path:
    return page.parents[2] / "results" / "synthetic" / "tables"


@pytest.fixture
def cells(page, monkeypatch) -> pd.DataFrame:
    """The cells of tasks as trained for."""
    monkeypatch.setenv("RESULTS_ROOT", str(page.parents[2] / "results"))
    return read_summary(load_study(page.parents[2] / "config" / "synthetic.yaml")).own


def headline(page: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((page.parent / "tables" / "headline.csv").open()))


def test_the_numbers_are_those_of_the_summary(page, cells):
    row = cells.query("dataset == 'omniglot' and algorithm == 'maml' and shift == 'none'").iloc[0]
    shown = next(r for r in headline(page) if r["Algorithm"] == "MAML" and r["Mode"].startswith(row["mode"]))
    half = (row["high"] - row["low"]) / 2
    label = "Omniglot 5-way 1-shot: Accuracy, %"
    assert (shown[label], shown[f"{label} ±"]) == (f"{100 * row['mean']:.1f}", f"{100 * half:.1f}")
    assert shown["Omniglot 5-way 1-shot: Episode ±"] == f"{100 * row['episode_half_width']:.1f}"
    assert shown["Omniglot 5-way 1-shot: Published"] == "98.7"
    assert shown["Omniglot 5-way 1-shot: Published ±"] == "0.4"
    assert shown["Omniglot 5-way 1-shot: Difference"] == f"{100 * row['mean'] - 98.7:+.1f}"
    assert shown["Omniglot 5-way 1-shot: Trained on"] == "5-way 1-shot"
    assert shown["Omniglot 5-way 1-shot: Budget, %"] == "0.5"


def test_the_caption_of_the_result_names_only_what_is_drawn(monkeypatch, page):
    monkeypatch.setenv("RESULTS_ROOT", str(page.parents[2] / "results"))
    summary = read_summary(load_study(page.parents[2] / "config" / "synthetic.yaml"))
    caption = result.figures(summary)[0].caption
    assert (
        "Filled marks: accuracy or mean squared error on new" in caption
        and "The dotted line is chance" in caption
    )
    assert "Open marks" in caption
    own = summary.own[summary.own["shift"].eq("none")]
    summary = replace(summary, losses=summary.losses.iloc[:0])
    summary.__dict__["own"] = own
    assert "Open marks" not in result.figures(summary)[0].caption


def test_a_test_by_other_code_than_the_training_names_its_commit():
    def result(*commits):
        return RunResult(Path(), *({"provenance": {"git_commit": commit}} for commit in commits))

    assert runs._tested_at([result("a", "a")]) == {}
    assert runs._tested_at([result("a", "b"), result("b", "b")]) == {"tested at commit": "b"}


def test_published_values_stand_only_beside_their_own_mode(page):
    key = "Omniglot 5-way 1-shot: Published"
    by_mode = {r["Mode"]: (r[key], r[f"{key} ±"]) for r in headline(page) if r["Algorithm"] == "MAML"}
    assert by_mode == {"inductive": ("", ""), "transductive, paper": ("98.7", "0.4")}


def test_other_tasks_have_curves_and_a_table_and_leave_the_headline_alone(page):
    rows = list(csv.DictReader((page.parent / "tables" / "other-tasks.csv").open()))
    maml = next(r for r in rows if r["Algorithm"] == "MAML" and r["Setting"] == "Omniglot 5-way 1-shot")
    shown = next(r for r in headline(page) if r["Algorithm"] == "MAML" and r["Mode"].endswith("paper"))
    assert maml["As trained"] == shown["Omniglot 5-way 1-shot: Accuracy, %"]
    prototypes = next(
        r for r in rows if r["Algorithm"].startswith("Proto") and r["Setting"] == "Omniglot 5-way 1-shot"
    )
    columns = ["Within one alphabet", "Training classes", "Training classes, 0 steps"]
    columns.append("Training classes, support labels moved")
    assert all(re.fullmatch(r"\d+\.\d", maml[end]) for column in columns for end in (column, f"{column} ±"))
    assert [prototypes[column] == "" for column in columns] == [False, False, True, False], (
        "no inner loop, no steps"
    )
    text = re.sub(r"\s+", " ", page.read_text())
    assert "Omniglot 5-way 1-shot, against gradient steps at test: MAML" in text
    ways = re.search(r"Omniglot 5-way 1-shot, against classes at test: ([^\"]*)", text)[1]
    assert "Prototypical networks" in ways and "MAML" not in ways


def test_a_caption_keeps_the_braces_of_a_learners_title():
    filled = templates(SharedParts(), {"seeds": "3 seeds"}).globals["filled"]
    assert filled("My {own} {} learner over {seeds}") == "My {own} {} learner over 3 seeds"


@pytest.mark.parametrize(
    ("tasks", "said", "not_said"),
    [
        (["untrained"], "Before meta-training", "alphabet"),
        (["alphabet", "lake"], "people err in 4.5 %", "random features"),
        (["training", "training_permuted"], "knows the labels by heart", "never seen"),
        (["miniimagenet"], "never seen in training", "Lake"),
    ],
)
def test_the_caption_of_other_tasks_is_about_those_of_the_table(cells, tasks, said, not_said):
    kept = cells[cells["test_tasks"].eq("standard")]
    rows = [kept, *(kept.assign(test_tasks=name) for name in tasks)]
    (table,) = other_tasks.tables(SimpleNamespace(cells=pd.concat(rows)))
    assert said in table.caption and not_said not in table.caption


def test_calibration_has_a_table_and_diagrams(page, tables):
    rows = list(csv.DictReader((page.parent / "tables" / "calibration.csv").open()))
    scores = pd.read_csv(tables / "calibration_scores.csv").query(
        "dataset == 'omniglot' and algorithm == 'maml' and metric == 'ece'"
    )
    by_mode = {
        r["Mode"]: r for r in rows if (r["Setting"], r["Algorithm"]) == ("Omniglot 5-way 1-shot", "MAML")
    }
    columns = {
        "clean": "In distribution: Calibration error, %",
        "task": "Hardest shifts, whole task shifted: Calibration error, %",
    }
    for conditions, column in columns.items():
        for row in scores[scores["conditions"].eq(conditions)].itertuples():
            half = (row.high - row.low) / 2
            shown = by_mode[row.mode][column], by_mode[row.mode][f"{column} ±"]
            assert shown == (f"{100 * row.mean:.1f}", f"{100 * half:.1f}")
    error = scores.query("mode == 'transductive' and conditions == 'task'")["mean"].item()
    text = re.sub(r"\s+", " ", page.read_text())
    said = "Omniglot 5-way 1-shot, hardest shifts, whole task shifted, optimization-based: MAML calibration error "
    assert f"{said}{100 * error:.1f}, confidence" in text
    assert not [r for r in rows if r["Setting"].startswith("Sinusoid")]


def test_modes_stand_side_by_side(page, tables):
    rows = list(csv.DictReader((page.parent / "tables" / "modes.csv").open()))
    expected = pd.read_csv(tables / "modes.csv").sort_values("difference", ascending=False)
    glyphs = [r for r in rows if r["Setting"] == "Glyphs 5-way 1-shot"]
    assert [r["Algorithm"] for r in glyphs] == expected.query("dataset == 'glyphs'")["title"].tolist()
    first = expected.query("dataset == 'glyphs'").iloc[0]
    assert glyphs[0]["Difference"] == f"{100 * first['difference']:+.1f}"
    alt = re.search(r"Glyphs 5-way 1-shot, inductive and transductive: ([^\"]*)", page.read_text())[1]
    assert alt.startswith(f"{first['title']} {100 * first['inductive']:.1f} and")
    assert {r["Algorithm"] for r in rows} == {"Prototypical networks", "MAML", "First-order MAML"}


def test_floors_close_the_table(page):
    pixel, chance = headline(page)[-2:]
    assert pixel["Algorithm"] == "Pixel nearest neighbour"
    assert (chance["Algorithm"], chance["Glyphs 5-way 1-shot: Accuracy, %"]) == ("Chance", "20.0")
    assert chance["Sinusoid 5-shot: Mean squared error"] == ""


def test_best_and_indistinguishable_values_are_marked(page, tables, cells):
    comparisons = pd.read_csv(tables / "comparisons.csv").query(
        "dataset == 'glyphs' and shift == 'none' and test_tasks == 'standard' and test_way == 5 and test_shot == 1 "
        "and test_steps == -1"
    )
    best = cells.query("dataset == 'glyphs' and shift == 'none'").sort_values("mean").iloc[-1]
    near = {
        frozenset((r.algorithm_a, r.algorithm_b)) - {best["algorithm"]}
        for r in comparisons.itertuples()
        if best["algorithm"] in (r.algorithm_a, r.algorithm_b) and not r.p_best < 0.05  # NaN: one seed
    }
    head, _, *body = (page.parent / "tables" / "headline.md").read_text().splitlines()
    place = head.split(" | ").index("Glyphs 5-way 1-shot: Accuracy, %")
    column = [line.split(" | ")[place] for line in body]
    assert sum(cell.startswith("**") for cell in column) == 1
    assert sum(cell.startswith("≈") for cell in column) == len(near)
    assert len(near) < len(ALGORITHMS) - 1, "all tie: nothing is tested"


def test_paired_differences_are_those_on_tasks_as_trained_for(page, tables):
    pairs = pd.read_csv(tables / "comparisons.csv").query(
        "dataset == 'glyphs' and shift == 'none' and algorithm_a == 'protonet' and algorithm_b == 'maml'"
    )
    assert pairs["difference"].nunique() > 1, "other tasks were compared, too"
    own = pairs.query(
        "test_tasks == 'standard' and test_way == 5 and test_shot == 1 and test_steps == -1"
    ).iloc[0]
    rows = list(csv.DictReader(open(page.parent / "tables" / "differences-clean-glyphs-5way-1shot.csv")))
    shown = next(row for row in rows if row["Row minus column"] == "Prototypical networks")
    assert shown["MAML"] == f"{100 * own['difference']:+.1f}"


WORDS = (
    *(
        "Algorithm",
        "Backbone",
        "Claim",
        "Family",
        "Mode",
        "Mode of its paper",
        "In the table",
        "Note",
        "Predicted",
        "Reason",
    ),
    *(
        "Remedy",
        "Row minus column",
        "Setting",
        "Shifted",
        "Source",
        "Status",
        "Trained on",
        "Variant",
        "Verdict",
        "n",
    ),
)


def test_every_table_is_read_as_numbers(page):
    """Columns of words are those that the page has no numbers in; what is no number stands in a column of notes."""
    files = sorted((page.parent / "tables").glob("*.csv"))
    assert len(files) > 15
    for file in files:
        table = pd.read_csv(file)
        words = {name.split(": ")[-1] for name in table.select_dtypes("object")}
        assert {name for name in words if not name.endswith(", note")} <= set(WORDS), file.name
        assert len(table.select_dtypes("number").columns) or file.stem in ("missing", "claims-untested")


def test_missing_and_failed_runs_are_listed_with_their_reason(page):
    rows = list(csv.DictReader((page.parent / "tables" / "missing.csv").open()))
    assert {(r["Setting"], r["Algorithm"], r["Seed"], r["Status"]) for r in rows} == {
        ("Glyphs 5-way 1-shot", "LSTM learner", "1", "diverged"),
        ("Glyphs 5-way 1-shot", "First-order MAML", "0", "untested"),
        ("Omniglot 5-way 1-shot", "LSTM learner", "0", "missing"),
        ("Omniglot 5-way 1-shot", "LSTM learner", "1", "missing"),
    }
    assert "the loss was not finite at step 600" in {r["Reason"] for r in rows}
    partial = next(r for r in headline(page) if r["Algorithm"] == "LSTM learner")
    assert partial["Glyphs 5-way 1-shot: Accuracy, %, note"] == "†"
    assert partial["Omniglot 5-way 1-shot: Accuracy, %, note"] == "missing"
