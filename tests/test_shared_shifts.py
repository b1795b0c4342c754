"""A mean over shifts is over the same shifts for all learners, also where one of them lacks a shift that others have."""

import pandas as pd
import pytest

from bench.report.summary import hardest
from bench.results.condition import ALL_SHIFTS
from bench.results.frames import write_episodes
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study

LEARNERS = ("protonet", "maml", "lstm")


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of a study of two shifts, of which MAML was tested under smear only: its results are older, say."""
    root = tmp_path_factory.mktemp("shared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        study = make_study(
            root,
            algorithms=LEARNERS,
            datasets={"glyphs": {"ways": [5], "shots": [1]}},
            shifts={"smear": (3, 5), "shear": (3, 5)},
            episodes=30,
            shift_episodes=20,
        )
        for path in root.glob("results/synthetic/*/*/maml/seed*/episodes.parquet"):
            frame = pd.read_parquet(path)
            write_episodes(path, frame[frame["shift"] != "shear"], "classification")
        folder = summarize(load_study(study))
    return {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}


def by_learner(rows: pd.DataFrame, column: str) -> pd.Series:
    found = rows.set_index("algorithm")[column]
    assert set(LEARNERS) <= set(found.index)
    return found[list(LEARNERS)]


def test_learners_keep_all_that_they_were_tested_under(tables):
    shifts = tables["cells"].groupby("algorithm")["shift"].agg(set)
    assert shifts["protonet"] == {"none", "smear", "shear"} and shifts["maml"] == {"none", "smear"}


def test_losses_are_means_over_the_shared_shift(tables):
    losses = tables["losses"].query("scope == 'task' and mode == 'reported' and kind == 'learner'")
    smeared = tables["severities"].query("scope == 'task' and shift == 'smear' and severity == 5")
    for column in ("mean", "change"):
        pd.testing.assert_series_equal(by_learner(losses, column), by_learner(smeared, column), atol=1e-5)


def test_the_area_over_all_shifts_is_that_under_the_shared_one(tables):
    rows = tables["degradation"].query("scope == 'task'")
    over_all, smear = (by_learner(rows[rows["shift"] == name], "area") for name in (ALL_SHIFTS, "smear"))
    pd.testing.assert_series_equal(over_all, smear, atol=1e-5)


def test_pairs_are_compared_over_the_shared_shift(tables):
    pairs = tables["comparisons"].query(
        "scope == 'task' and algorithm_a == 'protonet' and algorithm_b == 'maml'"
    )
    differences = pairs.set_index("shift").groupby("shift")["difference"].mean()
    assert differences[ALL_SHIFTS] == pytest.approx(differences["smear"], abs=1e-5)


def test_the_headline_figure_and_calibration_count_the_shared_shift(tables):
    cells = tables["cells"].query("metric == 'accuracy' and paper_mode")
    smeared = cells.query("scope == 'task' and shift == 'smear' and severity == 5")
    found = hardest(cells, "task")
    assert found["protonet"] == pytest.approx(by_learner(smeared, "mean")["protonet"])
    groups = tables["calibration_scores"].query("conditions == 'task'")
    assert set(LEARNERS) <= set(groups["algorithm"]) and set(groups["n_conditions"]) == {1}
