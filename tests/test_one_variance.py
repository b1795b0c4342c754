"""One spread over seeds in every table: where two tables say the same thing, they say it with the same interval."""

import numpy as np
import pandas as pd
import pytest

from bench.results.run_folder import read_run
from bench.results.setting import SETTING_COLUMNS
from bench.statistics.intervals import two_level_interval
from bench.statistics.seed_variance import seed_prior
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study

LEARNERS = ("pixel_nn", "protonet", "maml", "fomaml", "snail", "lstm")
NAMES = ["algorithm", "mode"]
SHIFT, SEVERITY = "smear", 5


@pytest.fixture(scope="module", params=[False, True], ids=["two seeds", "two learners have one seed"])
def made(request, tmp_path_factory):
    """Folder and tables of a study of one shift at one severity, as many episodes shifted as clean."""
    root = tmp_path_factory.mktemp("one_variance")
    fewer = ("protonet", "maml") if request.param else ()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        study = make_study(
            root,
            algorithms=LEARNERS,
            datasets={"glyphs": {"ways": [5], "shots": [1]}},
            shifts={SHIFT: (SEVERITY,)},
            episodes=40,
            shift_episodes=40,
            missing=[f"glyphs/5way_1shot/{name}/seed1" for name in fewer],
        )
        folder = summarize(load_study(study))
    return root, {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}


@pytest.fixture
def tables(made):
    return made[1]


def same(left: pd.DataFrame, right: pd.DataFrame, columns: dict[str, str], on: list[str], least: int) -> None:
    """Both tables have these numbers in common, in at least so many rows. columns: names left and right."""
    keys = [*SETTING_COLUMNS, *on]
    both = left[[*keys, *columns]].merge(right[[*keys, *columns.values()]], on=keys, suffixes=("", "_right"))
    assert len(both) >= least
    for name, other in columns.items():
        other = f"{other}_right" if other in columns else other
        np.testing.assert_allclose(both[name], both[other], atol=2e-6, err_msg=name)


ENDS = {name: name for name in ("mean", "low", "high")}


def test_levels_under_shift_are_the_cells(tables):
    cells = tables["cells"].query("metric == 'accuracy' and paper_mode")
    place = ["scope", "shift", "severity", *NAMES]
    same(tables["severities"].query("severity > 0"), cells, ENDS, place, 12)
    clean = tables["severities"].query("scope == 'clean'").drop(columns=["scope", "shift", "severity"])
    same(clean, cells.query("scope == 'clean'"), ENDS, NAMES, 6)


def test_a_slope_over_one_severity_is_the_change(tables):
    """The change is five slopes of one point per severity, and its interval five of that of the slope."""
    slopes = tables["degradation"].query("shift == @SHIFT")
    slopes = slopes.assign(
        **{f"change{end}": SEVERITY * slopes[f"slope{end}"] for end in ("", "_low", "_high")}
    )
    changes = {name: name for name in ("change", "change_low", "change_high")}
    single = slopes.query("n_algorithms == 1")
    same(single, tables["severities"].query("severity == @SEVERITY"), changes, ["scope", "shift", *NAMES], 12)
    same(slopes, tables["losses"].query("mode == 'reported'"), changes, ["scope", "algorithm"], 12 + 6)


def test_calibration_scores_have_the_spread_of_all_learners(made):
    """Confidence minus accuracy on clean tasks, recomputed from the episodes."""
    root, tables = made
    found = tables["calibration_scores"].query(
        "conditions == 'clean' and metric == 'overconfidence' and paper_mode"
    )
    values = {}
    for row in found.itertuples():
        runs = sorted((root / f"results/synthetic/glyphs/5way_1shot/{row.algorithm}").iterdir())
        frames = [read_run(run).episodes() for run in runs]
        clean = [frame[frame["mode"].eq(row.mode) & frame["scope"].eq("clean")] for frame in frames]
        values[row.algorithm] = np.stack(
            [(frame["confidence"] - frame["accuracy"]).to_numpy(np.float64) for frame in clean]
        )
    prior = seed_prior(list(values.values()))
    assert prior is not None and len(values) == len(LEARNERS)
    for row in found.itertuples():
        expected = two_level_interval(values[row.algorithm], prior=prior)
        np.testing.assert_allclose((row.low, row.high), (expected.low, expected.high), atol=2e-6)


def test_modes_are_the_cells_and_their_difference_that_of_the_remedy(tables):
    modes = tables["modes"]
    for mode in ("inductive", "transductive"):
        cells = tables["cells"].query("scope == 'clean' and metric == 'accuracy' and mode == @mode")
        same(modes, cells, {mode: "mean", f"{mode}_low": "low", f"{mode}_high": "high"}, ["algorithm"], 4)
    statistics = tables["separation"].query("part == 'statistics' and shift == @SHIFT and scope == 'task'")
    gains = {"difference": "clean", "low": "clean_low", "high": "clean_high"}
    same(modes, statistics, gains, ["algorithm"], 4)
