"""Seeds that were tested under other conditions than the others: what is paired is paired within the same seeds."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.results.condition import ALL_SHIFTS, CONDITION_COLUMNS, OWN_STEPS, own_condition
from bench.results.setting import Setting
from bench.statistics.claim_effects import effect
from bench.statistics.contestants import Contestants
from bench.statistics.degradation import degradation_rows
from bench.statistics.gather import gather, with_shared
from bench.statistics.losses import loss_rows
from bench.statistics.modes import mode_rows
from bench.statistics.pairs import comparison_rows
from bench.statistics.priors import setting_priors
from bench.statistics.separation import separation_rows
from bench.statistics.severities import severity_rows

SETTING = Setting("omniglot", 5, 1)
CLEAN = own_condition(SETTING, "transductive")
LOST = {"smear": 0.1, "noise": 0.3}
"""Points lost at severity 5; half of them at severity 1."""
LEVEL = (0.9, 0.7, 0.5)
"""Clean accuracy of each seed: so far apart that a pair of two seeds shows."""


def conditions(seed: int) -> list:
    """The first seed has no noise and no inductive mode, and a lower severity that the others have not."""
    smear = replace(CLEAN, shift="smear", severity=5, value=9.0, scope="task")
    if seed == 0:
        query = replace(smear, scope="query")
        return [CLEAN, smear, query, replace(query, severity=1, value=3.0)]
    own = [
        CLEAN,
        smear,
        replace(smear, scope="query"),
        replace(smear, shift="noise"),
        replace(smear, test_steps=50),
    ]
    return [*own, *(replace(c, mode="inductive") for c in own), replace(CLEAN, test_steps=50)]


def run_of(name: str, seed: int) -> SimpleNamespace:
    draw = np.random.default_rng(1).normal(0, 0.01, 20)  # what makes an episode hard is the same for all
    rows = []
    for c in conditions(seed):
        lost = LOST.get(c.shift, 0.0) * (0.5 if c.severity == 1 else 1.0) + (c.mode == "inductive") * 0.02
        for episode in range(20):
            value = LEVEL[seed] - lost + draw[episode]
            rows.append((*c.key, episode, value))
    frame = pd.DataFrame(rows, columns=[*CONDITION_COLUMNS, "episode", "accuracy"])
    record = {
        "paper_mode": "transductive",
        "title": name,
        "family": "metric-based",
        "task_kind": "classification",
    }
    return SimpleNamespace(run=record, metric="accuracy", episodes=lambda: frame)


@pytest.fixture(scope="module")
def runs():
    return {name: [run_of(name, seed) for seed in range(3)] for name in ("one", "two")}


@pytest.fixture(scope="module")
def learners(runs):
    return with_shared([gather(name, found) for name, found in runs.items()])


def test_a_change_is_within_seeds_and_a_severity_of_few_seeds_is_left_out(learners):
    rows = pd.DataFrame(severity_rows(SETTING, learners)).query("algorithm == 'one' and severity > 0")
    found = rows.set_index(["scope", "shift", "severity"])
    np.testing.assert_allclose(found["change"], [-LOST[shift] for shift in rows["shift"]])
    assert found["n_seeds"].to_dict() == {
        ("task", "smear", 5): 3,
        ("query", "smear", 5): 3,
        ("task", "noise", 5): 2,
    }


def test_means_over_shifts_are_over_those_of_all_seeds(learners):
    losses = pd.DataFrame(loss_rows(SETTING, learners, {})).query("kind == 'learner'")
    reported = losses[losses["mode"].eq("reported")]
    assert reported["n_seeds"].eq(3).all() and len(reported) == 4
    np.testing.assert_allclose(reported["change"], -LOST["smear"])
    area = pd.DataFrame(degradation_rows(SETTING, learners)).query(
        "algorithm == 'one' and shift == @ALL_SHIFTS"
    )
    np.testing.assert_allclose(area["area"], np.mean(LEVEL) - LOST["smear"] / 2, atol=0.01)
    pairs = comparison_rows(SETTING, learners, setting_priors(learners))
    seeds = [row["n_seeds"] for row in pairs if (row["shift"], row["test_steps"]) == (ALL_SHIFTS, OWN_STEPS)]
    assert seeds and set(seeds) == {3}


def test_remedies_and_modes_compare_a_seed_with_itself(learners):
    rows = pd.DataFrame(separation_rows(SETTING, learners))
    assert len(rows) > 0 and not rows[["clean", "shifted"]].isna().any(axis=None)
    statistics = rows[rows["part"].eq("statistics") & rows["algorithm"].eq("one")]
    np.testing.assert_allclose(statistics["clean"], 0.02)
    np.testing.assert_allclose(statistics["mended"], 0, atol=1e-9)
    assert statistics["n_seeds"].eq(2).all()
    support = rows[rows["part"].eq("support") & rows["algorithm"].eq("one")].set_index("shift")
    assert support["n_seeds"].to_dict() == {"smear": 3, ALL_SHIFTS: 3}, (
        "noise has no query scope, and few seeds"
    )
    for row in mode_rows(SETTING, learners, setting_priors(learners)):
        assert row["difference"] == pytest.approx(0.02) and row["n_seeds"] == 2


def test_a_claim_on_steps_compares_a_seed_with_itself(runs):
    claim = {"metric": "accuracy", "mode": "paper", "change": False}
    claim |= {"left": {"algorithms": ["one"], "at": {"test_steps": 50}}, "right": {"algorithms": ["one"]}}
    found = effect(claim, Contestants(SETTING, runs), "paper")
    assert found.interval.mean == pytest.approx(0) and found.seeds == 2
