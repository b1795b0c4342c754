"""Out of distribution: exact strengths stay out of every average; degradation is what plain numpy says."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from bench.report.summary import hardest, read_summary
from bench.results.run_folder import read_run
from bench.statistics import intervals
from bench.statistics.claims import judge_study, write_claims
from bench.statistics.degradation import DEGRADATION_COLUMNS
from bench.statistics.seed_variance import seed_prior
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study

ALGORITHMS = ("pixel_nn", "protonet", "matching", "maml", "snail", "metanet")
SETTING = {"omniglot": {"ways": [5], "shots": [1]}}
SEVERITIES = {"smear": (1, 3, 4), "shear": (1, 2), "scale": ()}
EXACT = {"shear": (-0.7854, 0.3927), "scale": (0.3333, 2.0)}
STUDY = {"algorithms": ALGORITHMS, "datasets": SETTING, "shifts": SEVERITIES, "seeds": (0, 1, 2)}
TABLES = ("cells", "comparisons", "degradation", "ranks", "claims")
MODE = {"maml": "transductive"}
SHIFTED = {
    "id": "any-severity",
    "claim": "A.",
    "source": "B",
    "metric": "accuracy",
    "predicts": "greater",
    "margin": 0.0,
    "change": False,
    "mode": "paper",
    "left": {"algorithms": ["maml"], "at": {"shift": ["shear"]}},
    "right": {"algorithms": ["snail"], "at": {"shift": ["shear"]}},
    "figure": "shifts",
}


def tables_of(root, strengths: dict) -> dict[str, pd.DataFrame]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        study = load_study(make_study(root, strengths=strengths, **STUDY))
        folder = summarize(study)
        write_claims(study)
        return {name: pd.read_csv(folder / f"{name}.csv") for name in TABLES} | {
            "summary": read_summary(study),
            "shear": judge_study(study, [SHIFTED]),
        }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("exact")


@pytest.fixture(scope="module")
def exact(root) -> dict[str, pd.DataFrame]:
    return tables_of(root, EXACT)


@pytest.fixture(scope="module")
def graded(tmp_path_factory) -> dict[str, pd.DataFrame]:
    return tables_of(tmp_path_factory.mktemp("graded"), {})


# --- exact strengths ---------------------------------------------------------------------------------------------


def test_exact_strengths_are_cells_and_comparisons_of_their_own(exact):
    rows = exact["cells"].query("severity == 0 and shift != 'none' and algorithm == 'maml' and paper_mode")
    found = {(row.shift, row.value, row.scope) for row in rows.itertuples()}
    assert found == {
        (s, v, scope) for s, values in EXACT.items() for v in values for scope in ("task", "query")
    }
    pairs = exact["comparisons"].query(
        "severity == 0 and shift == 'scale' and value == 2 and scope == 'task'"
    )
    assert len(pairs) == len(ALGORITHMS) * (len(ALGORITHMS) - 1) / 2


@pytest.mark.parametrize("name", [*TABLES, "shear"])
def test_nothing_else_changes_when_exact_strengths_are_added(exact, graded, name):
    """Averages over severities, ranks, verdicts and degradation do not count them."""
    table = exact[name]
    if name in ("cells", "comparisons"):
        table = table[table["shift"].eq("none") | table["severity"].ne(0)].reset_index(drop=True)
    assert len(table)
    pd.testing.assert_frame_equal(table, graded[name])


def test_the_hardest_shifts_are_not_exact_strengths(exact, graded):
    """Scale has exact strengths only, so it has no hardest severity."""
    worst, before = (hardest(tables["summary"].own, "task") for tables in (exact, graded))
    assert len(worst) == len(ALGORITHMS)
    pd.testing.assert_series_equal(worst, before)


# --- degradation -------------------------------------------------------------------------------------------------


@cache
def episodes_of(root, algorithm: str, seed: int) -> pd.DataFrame:
    return read_run(root / f"results/synthetic/omniglot/5way_1shot/{algorithm}/seed{seed}").episodes()


def curve_of(root, algorithm: str, mode: str, shift: str, scope: str) -> np.ndarray:
    """Accuracies [severities, seeds, episodes], the clean task first, straight from the episode files."""
    seeds = []
    for seed in STUDY["seeds"]:
        frame = episodes_of(root, algorithm, seed)
        frame = frame[frame["mode"].eq(mode)]
        clean = frame[frame["shift"].eq("none")]["accuracy"].to_numpy(float)
        part = frame[frame["shift"].eq(shift) & frame["scope"].eq(scope)]
        levels = [part[part["severity"].eq(s)]["accuracy"].to_numpy(float) for s in SEVERITIES[shift]]
        seeds.append([clean[:100], *levels])
    return np.array(seeds).transpose(1, 0, 2)


@cache
def by_hand(root, algorithm: str, scope: str) -> dict[str, np.ndarray]:
    """Area and slope [2, seeds, episodes] by shift, one fit per episode, and their mean."""
    found, mode = {}, MODE.get(algorithm, "inductive")
    for shift in ("smear", "shear"):
        severities, curve = [0, *SEVERITIES[shift]], curve_of(root, algorithm, mode, shift, scope)
        area = np.trapezoid(curve, severities, axis=0) / severities[-1]
        slope = np.polyfit(severities, curve.reshape(len(severities), -1), 1)[0].reshape(area.shape)
        found[shift] = np.stack([area, slope])
    return found | {"all": (found["smear"] + found["shear"]) / 2}


def check(row: pd.Series, root, members: tuple[str, ...], scope: str) -> None:
    """A row is the mean of its members; how trainings differ is told by all learners."""
    every = [by_hand(root, name, scope)[row.name] for name in ALGORITHMS]
    tables = [by_hand(root, name, scope)[row.name] for name in members]
    for i, name in enumerate(("area", "slope")):
        prior = seed_prior([table[i] for table in every])
        interval = intervals.contrast([table[i] for table in tables], [], prior=prior)
        printed = row[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
        assert printed[0] == pytest.approx(np.mean([table[i] for table in tables]), abs=2e-6)
        np.testing.assert_allclose(printed, [interval.mean, interval.low, interval.high], atol=2e-5)
    assert (row["n_seeds"], row["n_episodes"]) == (3, 100)


@pytest.mark.parametrize("algorithm", ["protonet", "maml"])
@pytest.mark.parametrize("scope", ["task", "query"])
def test_degradation_is_the_mean_of_what_each_episode_gives(root, exact, algorithm, scope):
    rows = exact["degradation"].query("algorithm == @algorithm and scope == @scope").set_index("shift")
    assert set(rows.index) == {"smear", "shear", "all"}
    assert set(rows["mode"]) == {MODE.get(algorithm, "inductive")}
    assert rows["highest"].to_dict() == {"smear": 4, "shear": 2, "all": 4}
    for _, row in rows.iterrows():
        check(row, root, (algorithm,), scope)


def test_a_family_is_the_mean_of_its_learners(root, exact):
    table = exact["degradation"]
    assert list(table) == DEGRADATION_COLUMNS
    metric = table.query("algorithm == 'metric-based' and scope == 'task'").set_index("shift")
    for _, row in metric.iterrows():
        check(row, root, ("protonet", "matching"), "task")
    means = table[table["algorithm"].eq(table["family"])].query("scope == 'task' and shift == 'all'")
    assert means.set_index("algorithm")["n_algorithms"].to_dict() == {
        "model-based": 2,
        "optimization-based": 1,
        "metric-based": 2,
    }


def test_learners_of_a_family_may_have_their_own_numbers_of_seeds(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path,
        **STUDY | {"algorithms": ("protonet", "matching"), "shifts": {"smear": (1, 5)}},
        diverged=["omniglot/5way_1shot/matching/seed0"],
    )
    table = pd.read_csv(summarize(load_study(path)) / "degradation.csv").query(
        "scope == 'task' and shift == 'all'"
    )
    assert table.set_index("algorithm")["n_seeds"].to_dict() == {
        "protonet": 3,
        "matching": 2,
        "metric-based": 2,
    }


def test_regression_has_no_degradation(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path, algorithms=("maml",), datasets={"sinusoid": {"shots": [5]}}, shifts={"phase": (1,)}
    )
    assert pd.read_csv(summarize(load_study(path)) / "degradation.csv").empty
