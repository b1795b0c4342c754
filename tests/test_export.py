"""`bench export`: every number of a study in one table, equal to what the run folders hold."""

import re

import numpy as np
import pandas as pd
import pytest

from bench.paths import ROOT
from bench.results.condition import CONDITION_COLUMNS
from bench.results.run_folder import read_run
from bench.statistics.export import COLUMNS, export
from bench.study.study import load_study
from tests import planted
from tests.planted import RUN, bench, folder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    home = tmp_path_factory.mktemp("export")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DATA_ROOT", str(home / "data"))
        patch.setenv("RESULTS_ROOT", str(home / "results"))
        study = planted.write_study(
            home,
            algorithms=["protonet", "pixel_nn", "matching"],
            shifts={"episodes": 4, "severities": {"shear": [1, 3]}},
        )
        assert bench("export", study) == 2, "nothing has been trained"
        for name in ("protonet", "pixel_nn"):
            assert bench("train", study, RUN.format(name)) == bench("test", study, RUN.format(name)) == 0
        assert bench("export", study) == 0
        first = (home / "results" / "tiny" / "measured.parquet").read_bytes()
        assert bench("export", study, "--out", home / "again.parquet") == 0
        export(load_study(study), home / "summed_up.parquet", summed_up=True)
    assert first == (home / "again.parquet").read_bytes()
    return home, pd.read_parquet(home / "again.parquet")


def test_columns_are_those_that_the_page_explains(exported):
    _, frame = exported
    assert list(frame) == list(COLUMNS)
    page = (ROOT / "docs" / "results.md").read_text()
    explained = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", page, re.M)
    assert [name for cell in explained for name in re.findall(r"\w+", cell)] == list(COLUMNS)
    assert set(frame["level"]) == {"episode", "validation", "run"}


def test_every_episode_of_every_metric_is_there(exported):
    home, frame = exported
    for name in ("protonet", "pixel_nn"):
        episodes = read_run(folder(home, name)).episodes()
        rows = frame[(frame["algorithm"] == name) & (frame["level"] == "episode")]
        for metric in ("accuracy", "nll", "brier"):
            keys = ["strength" if column == "value" else column for column in [*CONDITION_COLUMNS, "episode"]]
            found = rows[rows["metric"] == metric].set_index(keys)["value"]
            expected = episodes.rename(columns={"value": "strength"}).set_index(keys)[metric]
            assert len(found) == len(expected)
            np.testing.assert_allclose(found.loc[list(expected.index)], expected, rtol=1e-6)
        assert "mse" not in set(rows["metric"]), "a metric of the other kind of task has no rows"
    assert set(frame["algorithm"]) == {"protonet", "pixel_nn"}, "a run that is missing has no rows"


def test_summed_up_has_calibration_where_the_page_has_it(exported):
    home, frame = exported
    lower = frame["severity"].between(0, 3, inclusive="neither")
    calibration = frame["metric"].isin(["nll", "brier", "confidence", "ece"])
    assert (lower & calibration).any() and (lower & ~calibration).any()
    expected = frame[~(lower & calibration)].sort_values(list(COLUMNS)).reset_index(drop=True)
    found = pd.read_parquet(home / "summed_up.parquet").sort_values(list(COLUMNS)).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, check_categorical=False)


def test_the_committed_table_has_the_numbers_behind_the_committed_page():
    folder = ROOT / "reports" / "reference" / "omniglot_cpu"
    level = ("level", "==", "episode")
    frame = pd.read_parquet(folder / "tidy.parquet", filters=[("metric", "in", ["accuracy", "brier"]), level])
    place = ["way", "shot", "mode", "scope"]
    keys = [*place, "title"]
    last = frame.groupby([*keys, "shift", "seed"], observed=True)["episode"].max().reset_index()
    trained = {
        key: set(zip(rows["title"], rows["seed"], strict=True))
        for key, rows in last.groupby([*place, "shift"], observed=True)
    }
    every = {key[:4]: set() for key in trained}
    for key, seeds in trained.items():
        every[key[:4]] |= seeds if key[3] != "clean" else set()
    # A mean is over the shifts that all seeds of all learners were tested under, and the episodes that its seeds have.
    of_all = pd.DataFrame(
        [key for key, seeds in trained.items() if seeds == (every[key[:4]] or seeds)],
        columns=[*place, "shift"],
    )
    fewest = last.merge(of_all).groupby(keys, observed=True)["episode"].min().rename("fewest").reset_index()
    brier = frame[frame["metric"].eq("brier")].merge(of_all).merge(fewest)
    brier = brier[brier["episode"].le(brier["fewest"])]
    means = brier.groupby([*keys, "shift"], observed=True)["value"].mean()
    means = means.groupby(keys, observed=True).mean().reset_index()
    means["Setting"] = [
        f"Omniglot {way}-way {shot}-shot" for way, shot in zip(means["way"], means["shot"], strict=True)
    ]
    means = means.set_index(["scope", "Setting", "title", "mode"])["value"]
    printed = pd.read_csv(folder / "tables" / "calibration.csv").set_index(["Setting", "Algorithm", "Mode"])
    for scope, heading in (("clean", "In distribution"), ("task", "Hardest shifts, whole task shifted")):
        column = printed[f"{heading}: Brier score"].dropna()
        ours = means.loc[scope].rename_axis(column.index.names)
        assert len(column) > 20
        np.testing.assert_allclose(ours.loc[column.index], column, atol=0.0006)


def test_curves_and_costs_are_there(exported):
    home, frame = exported
    ours = frame[frame["algorithm"] == "protonet"]
    curve = ours[(ours["level"] == "validation") & (ours["metric"] == "val_score")]
    history = read_run(folder(home)).history()
    assert curve["step"].tolist() == history["step"].tolist()
    np.testing.assert_allclose(curve["value"], history["val_score"])
    costs = ours[ours["level"] == "run"].set_index("metric")["value"]
    record = read_run(folder(home)).run
    assert costs["parameters"] == record["training"]["parameters"] and costs["adapt_ms_per_task"] > 0
    assert ours.loc[ours["level"] == "run", ["episode", "step", "shift"]].isna().all(axis=None)
