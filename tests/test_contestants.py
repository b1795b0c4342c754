"""The modes in which a claim is judged."""

import numpy as np
import pytest

from bench.results.condition import Condition
from bench.results.setting import Setting
from bench.statistics.contestants import Contestants, Missing
from bench.statistics.gather import LearnerResults

SHIFT = {"shift": "smear", "severity": 3, "scope": "task"}
AT = {"shift": ["smear"], "severity": 3, "scope": "task"}


def learner(name: str, paper: str, shifted: tuple[str, ...]) -> LearnerResults:
    """Clean in both modes, shifted in some; the values tell the mode."""
    values = {Condition(5, 1, mode): np.full((2, 4), 0.9) for mode in ("inductive", "transductive")}
    worth = {"inductive": 0.5, "transductive": 0.7}
    values |= {Condition(5, 1, mode, **SHIFT): np.full((2, 4), worth[mode]) for mode in shifted}
    return LearnerResults(name, {"paper_mode": paper}, "accuracy", values)


def contestants(*learners: LearnerResults) -> Contestants:
    read = {(one.algorithm, "accuracy"): one for one in learners}
    return Contestants(Setting("glyphs", 5, 1), {one.algorithm: [] for one in learners}, read)


def test_shifts_that_only_the_papers_mode_has_are_not_compared_across_modes():
    them = contestants(
        learner("maml", "transductive", ("transductive",)), learner("snail", "inductive", ("inductive",))
    )
    with pytest.raises(Missing, match="^shifts were tested in the paper's mode only"):
        them.modes(["maml", "snail"], "accuracy", AT)
    assert them.modes(["maml", "snail"], "accuracy", {}) == ["inductive", "transductive"]


def test_each_common_mode_is_judged_with_its_own_values():
    both = ("inductive", "transductive")
    them = contestants(learner("maml", "transductive", both), learner("snail", "inductive", ("inductive",)))
    assert them.modes(["maml", "snail"], "accuracy", AT) == ["inductive"]
    assert them.table("maml", "accuracy", AT, "inductive").mean() == pytest.approx(0.5)
    assert them.table("maml", "accuracy", AT, "paper").mean() == pytest.approx(0.7)
    with pytest.raises(Missing, match="snail was not tested under"):
        them.table("snail", "accuracy", AT, "transductive")
