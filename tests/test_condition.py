"""Conditions and settings: an object and a row of a frame give the same answer to the same question."""

from dataclasses import replace

import pandas as pd
import pytest

from bench.results import condition as questions
from bench.results.condition import CONDITION_COLUMNS, Condition, own_condition, reported_mode
from bench.results.setting import Setting, at, settings

SETTING = Setting("glyphs", 5, 1)
CLEAN = own_condition(SETTING, "inductive")
CONDITIONS = (
    CLEAN,
    own_condition(SETTING, "transductive"),
    replace(CLEAN, shift="shear", severity=3, value=0.3, scope="task"),
    replace(CLEAN, shift="shear", severity=0, value=0.3927, scope="query"),
    replace(CLEAN, shift="shear", severity=3, scope="task", test_way=20),
    replace(CLEAN, test_shot=5),
    replace(CLEAN, test_steps=0),
    replace(CLEAN, test_tasks="alphabet"),
)


def frame() -> pd.DataFrame:
    rows = [SETTING._asdict() | {"algorithm": "maml"} | condition.row for condition in CONDITIONS]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("question", ["clean", "graded", "exact"])
def test_questions_of_conditions_and_of_frames_agree(question):
    answers = [getattr(condition, question) for condition in CONDITIONS]
    assert getattr(questions, question)(frame()).to_list() == answers
    assert 0 < sum(answers) < len(answers)


def test_as_trained_means_own_way_and_shot_standard_tasks_and_own_steps():
    answers = [condition.as_trained(SETTING) for condition in CONDITIONS]
    assert answers == [True] * 4 + [False] * 4
    assert questions.as_trained(frame()).to_list() == answers


def test_a_condition_survives_its_key_its_row_and_a_frame():
    for condition in CONDITIONS:
        assert Condition.from_key(condition.key) == condition
        assert list(condition.row) == CONDITION_COLUMNS
    assert questions.conditions(frame()) == list(CONDITIONS)
    assert len(questions.rows_under(frame(), CONDITIONS[2])) == 1
    mean = CONDITIONS[2].mean_over_shifts()
    assert mean.averaged and not mean.graded and not mean.exact and mean.scope == "task"


@pytest.mark.parametrize(
    ("paper", "tested", "expected"),
    [
        ("transductive", {"inductive", "transductive"}, "transductive"),
        ("transductive", {"inductive"}, "inductive"),
        ("inductive", {"transductive"}, "transductive"),
    ],
)
def test_the_reported_mode_is_the_papers_or_else_the_tested_one(paper, tested, expected):
    assert reported_mode(paper, tested) == expected
    rows = pd.DataFrame({"mode": sorted(tested)}).assign(**SETTING._asdict(), algorithm="maml")
    rows["paper_mode"] = rows["mode"].eq(paper)
    assert rows.loc[questions.reported(rows), "mode"].to_list() == [expected]


def test_no_tested_mode_is_an_error():
    with pytest.raises(ValueError, match="allowed are"):
        reported_mode("inductive", [])


def test_settings_are_listed_and_selected():
    rows = pd.concat([frame(), frame().assign(dataset="sinusoid", way=1)])
    assert settings(rows) == [SETTING, Setting("sinusoid", 1, 1)]
    assert len(at(rows, SETTING)) == len(CONDITIONS)
    assert (SETTING.slug, SETTING.label) == ("glyphs-5way-1shot", "Glyphs 5-way 1-shot")
    assert Setting("sinusoid", 1, 10).label == "Sinusoid 10-shot"
