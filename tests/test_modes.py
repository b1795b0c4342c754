"""Transductive against inductive, on a synthetic study."""

import numpy as np
import pandas as pd
import pytest

from bench.results.condition import MODES
from bench.results.run_folder import read_run
from bench.statistics import intervals
from bench.statistics.modes import MODE_COLUMNS
from bench.statistics.multiplicity import holm
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tests.synthetic import make_study


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tables of a study and its root."""
    root = tmp_path_factory.mktemp("modes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        path = make_study(
            root,
            algorithms=("pixel_nn", "protonet", "maml", "lstm"),
            datasets={"glyphs": {"ways": [5], "shots": [1]}, "sinusoid": {"shots": [5]}},
            shifts={"smear": (5,)},
            experiments={"shots": [5], "within_alphabet": True},
        )
        folder = summarize(load_study(path))
        yield root, {name: pd.read_csv(folder / f"{name}.csv") for name in ("cells", "modes")}


def own(frame: pd.DataFrame, mode: str) -> pd.DataFrame:
    return frame.query("mode == @mode and test_tasks == 'standard' and test_shot == 1 and test_way == 5")


def test_modes_are_paired_by_seed_and_episode(made):
    root, tables = made
    modes, cells = tables["modes"].set_index("algorithm"), tables["cells"]
    assert list(tables["modes"]) == MODE_COLUMNS
    assert set(modes.index) == {"protonet", "maml"}, "the others were tested in one mode"
    frames = [
        read_run(root / f"results/synthetic/glyphs/5way_1shot/maml/seed{seed}").episodes() for seed in (0, 1)
    ]
    tested = {
        mode: np.stack([own(frame, mode).query("shift == 'none'")["accuracy"] for frame in frames]).astype(
            float
        )
        for mode in MODES
    }
    row, difference = modes.loc["maml"], tested["transductive"] - tested["inductive"]
    interval = intervals.two_level_interval(difference)
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx(
        (difference.mean(), interval.low, interval.high), abs=1e-5
    )
    clean = cells.query(
        "shift == 'none' and test_tasks == 'standard' and test_shot == shot and algorithm == 'maml'"
    )
    for mode, cell in clean.set_index("mode").iterrows():
        if mode in MODES and cell["dataset"] == "glyphs":
            named = tuple(row[[mode, f"{mode}_low", f"{mode}_high"]])
            assert named == pytest.approx((cell["mean"], cell["low"], cell["high"]), abs=1e-5)
    np.testing.assert_allclose(modes["p_holm"], holm(modes["p"]), rtol=1e-4)
    assert row["paper"] == "transductive" and (row["n_seeds"], row["n_episodes"]) == (2, 200)
