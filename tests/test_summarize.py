"""The tables of a study, on synthetic run folders in the real formats."""

import os

import numpy as np
import pandas as pd
import pytest

from bench import __main__
from bench.protocol.outdated import Outdated
from bench.results import reference_store
from bench.results.condition import SHARED_COLUMNS, own_condition
from bench.results.files import ResultError
from bench.results.frames import write_episodes
from bench.results.run_folder import read_run
from bench.results.schema import EPISODE_COLUMNS, HISTORY_COLUMNS
from bench.results.setting import Setting
from bench.statistics import intervals
from bench.statistics.cells import CELL_COLUMNS, seed_means
from bench.statistics.gather import gather
from bench.statistics.multiplicity import holm
from bench.statistics.pairs import COMPARISON_COLUMNS
from bench.statistics.rank_table import RANK_COLUMNS
from bench.statistics.run_tables import RUN_COLUMNS
from bench.statistics.seed_variance import seed_prior
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from bench.verbs.status import states
from tests.synthetic import edit_json, make_study, run_folder, small_study

TABLES = (
    *(
        "cells.csv",
        "comparisons.csv",
        "degradation.csv",
        "severities.csv",
        "losses.csv",
        "separation.csv",
        "ranks.csv",
        "runs.csv",
        "modes.csv",
    ),
    *("calibration.csv", "calibration_scores.csv", "history.parquet"),
)
DIVERGED, MISSING, UNTESTED = (
    "glyphs/5way_1shot/maml/seed1",
    "glyphs/5way_5shot/lstm/seed1",
    "glyphs/5way_5shot/fomaml/seed0",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study with one diverged, one missing and one untested run: (root, study file, tables)."""
    root = tmp_path_factory.mktemp("study")
    path = make_study(
        root, diverged=[DIVERGED], missing=[MISSING], untested=[UNTESTED], shifts={"smear": (1, 5)}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        folder = summarize(load_study(path))
        tables = {name: pd.read_csv(folder / name) for name in TABLES if name.endswith("csv")}
        yield root, path, folder, tables


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    return small_study(tmp_path)


def test_tables_have_the_agreed_columns(made):
    _, _, folder, tables = made
    assert list(tables["cells.csv"]) == CELL_COLUMNS
    assert list(tables["comparisons.csv"]) == COMPARISON_COLUMNS
    assert list(tables["ranks.csv"]) == RANK_COLUMNS
    assert list(tables["runs.csv"]) == RUN_COLUMNS
    history = pd.read_parquet(folder / "history.parquet")
    assert list(history) == ["dataset", "way", "shot", "algorithm", "seed", *HISTORY_COLUMNS]
    assert len(history) == 12 * (
        20 - 4 - 1
    )  # twelve validations of 20 runs but 4 of pixel_nn and the missing one


def test_every_run_is_a_row(made):
    runs = made[3]["runs.csv"]
    assert len(runs) == 2 * 5 * 2
    by_name = runs.set_index(
        runs.apply(lambda r: f"{r.dataset}/{r.way}way_{r.shot}shot/{r.algorithm}/seed{r.seed}", axis=1)
    )
    assert by_name.loc[DIVERGED, "status"] == "diverged" and "not finite" in by_name.loc[DIVERGED, "reason"]
    assert by_name.loc[MISSING, "status"] == "missing" and np.isnan(by_name.loc[MISSING, "steps"])
    assert by_name.loc[UNTESTED, "status"] == "untested" and by_name.loc[UNTESTED, "steps"] == 600
    assert runs["status"].value_counts().to_dict() == {
        "ok": 13,
        "untrained": 4,
        "diverged": 1,
        "missing": 1,
        "untested": 1,
    }


def test_cells_count_the_seeds_that_are_there_and_their_numbers_are_right(made):
    root, _, _, tables = made
    cells = tables["cells.csv"]
    clean = cells[(cells["shift"] == "none") & (cells["shot"] == 1)].set_index(["algorithm", "mode"])
    assert clean.loc[("maml", "transductive"), "n_seeds"] == 1
    assert clean.loc[("protonet", "inductive"), "n_seeds"] == 2
    assert bool(clean.loc[("maml", "transductive"), "paper_mode"])
    assert not bool(clean.loc[("protonet", "transductive"), "paper_mode"])
    assert ("lstm", "transductive") not in clean.index
    row = clean.loc[("protonet", "inductive")]
    frames = [
        read_run(root / f"results/synthetic/glyphs/5way_1shot/protonet/seed{s}").episodes() for s in (0, 1)
    ]
    values = [f.query("shift == 'none' and mode == 'inductive'")["accuracy"].to_numpy() for f in frames]
    assert row["mean"] == pytest.approx(np.mean(values), abs=1e-6)
    half_widths = [1.96 * v.astype(float).std(ddof=1) / np.sqrt(200) for v in values]
    assert row["episode_half_width"] == pytest.approx(np.mean(half_widths), abs=1e-6)
    assert (row["n_episodes"], row["chance"], row["metric"]) == (200, 0.2, "accuracy")
    assert ((cells["low"] >= 0) & (cells["low"] <= cells["mean"]) & (cells["mean"] <= cells["high"])).all()
    assert (cells["high"] <= 1).all()


def test_cells_and_pairs_share_what_is_known_of_seeds(made):
    """All five learners tell how trainings differ: the interval of a cell, too, is that of the moderated variance."""
    root, _, _, tables = made
    tested = {"maml": (0,), **{name: (0, 1) for name in ("pixel_nn", "protonet", "fomaml", "lstm")}}
    folder, values = root / "results/synthetic/glyphs/5way_1shot", {}
    for name, seeds in tested.items():
        found = gather(name, [read_run(folder / name / f"seed{seed}") for seed in seeds]).reported()
        values[name] = found[own_condition(Setting("glyphs", 5, 1), "inductive").any_mode()]
    prior = seed_prior(list(values.values()))
    cells, pairs = tables["cells.csv"], tables["comparisons.csv"]
    clean = cells[cells["shift"].eq("none") & cells["shot"].eq(1) & cells["paper_mode"]].set_index(
        "algorithm"
    )
    for name in ("protonet", "maml"):
        interval = intervals.two_level_interval(values[name], prior=prior)
        assert interval.levels == "seeds and episodes"
        low, high = np.clip([interval.low, interval.high], 0, 1)
        assert tuple(clean.loc[name, ["low", "high"]]) == pytest.approx((low, high), abs=1e-5)
    pair = pairs[pairs["shift"].eq("none") & pairs["shot"].eq(1)].set_index(["algorithm_a", "algorithm_b"])
    interval = intervals.paired(values["protonet"], values["maml"], prior=prior)
    found = pair.loc[("protonet", "maml"), ["low", "high"]]
    assert tuple(found) == pytest.approx((interval.low, interval.high), abs=1e-5)


def test_cells_hold_the_mean_of_each_seed(made):
    cells = made[3]["cells.csv"]
    seeds = seed_means(cells)
    assert len(seeds) == cells["n_seeds"].sum()
    np.testing.assert_allclose(seeds.groupby(level=0)["seed_mean"].mean(), cells["mean"], rtol=1e-4)
    one = seed_means(cells[cells["n_seeds"].eq(1)].assign(seed_means=lambda frame: frame["mean"]))
    np.testing.assert_allclose(one["seed_mean"], one["mean"])


def test_comparisons_pair_every_two_algorithms_in_paper_mode(made):
    cells, comparisons = made[3]["cells.csv"], made[3]["comparisons.csv"]
    keys = ["dataset", "way", "shot", *SHARED_COLUMNS]
    families = comparisons.groupby(keys)
    assert (families.size() == 10).all()
    assert set(comparisons["shift"]) == {"none", "smear", "all"}
    for _, family in families:
        np.testing.assert_allclose(family["p_holm"], holm(family["p"]), rtol=1e-4)
    clean = comparisons[(comparisons["shift"] == "none") & (comparisons["shot"] == 1)]
    pair = clean[(clean["algorithm_a"] == "pixel_nn") & (clean["algorithm_b"] == "protonet")].iloc[0]
    means = cells[(cells["shift"] == "none") & (cells["shot"] == 1) & cells["paper_mode"]].set_index(
        "algorithm"
    )
    expected = means.loc["pixel_nn", "mean"] - means.loc["protonet", "mean"]
    assert pair["difference"] == pytest.approx(expected, abs=2e-6)
    assert pair["high"] < 0 and pair["p"] < 0.05
    modes = clean.set_index("algorithm_b")["mode_b"].to_dict()
    assert modes["maml"] == "transductive" and modes["protonet"] == "inductive"
    shifted = comparisons[(comparisons["shift"] == "smear") & (comparisons["scope"] == "task")]
    average = comparisons[(comparisons["shift"] == "all") & (comparisons["scope"] == "task")]
    index = ["shot", "algorithm_a", "algorithm_b"]
    np.testing.assert_allclose(
        average.set_index(index)["difference"].sort_index(),
        shifted.groupby(index)["difference"].mean(),
        atol=2e-6,
    )


def test_tables_are_the_same_bytes_every_time(made):
    root, path, folder, _ = made
    before = {name: (folder / name).read_bytes() for name in TABLES}
    assert __main__.main(["summarize", str(path)]) == 0
    assert {name: (folder / name).read_bytes() for name in TABLES} == before
    # Beside the tables, their digests; no temporary file is left.
    assert sorted(os.listdir(folder)) == sorted([*TABLES, "summarize.json"])


def test_runs_on_different_episodes_are_not_paired(small, capsys):
    other = run_folder(small, seed=1) / "test.json"
    edit_json(other, lambda record: record["episodes"].update({"5way_1shot": "something else"}))
    assert __main__.main(["summarize", str(small)]) == 2
    message = capsys.readouterr().err
    assert str(other) in message and str(run_folder(small, "pixel_nn") / "test.json") in message
    assert "delete" in message
    assert not (small.parents[1] / "results/synthetic/tables").exists()


def test_runs_on_different_images_are_not_paired(small):
    edit_json(run_folder(small) / "run.json", lambda record: record["data"].update(digest="0" * 64))
    with pytest.raises(ResultError, match="different images"):
        summarize(load_study(small))


def test_of_seeds_with_different_numbers_of_episodes_those_count_that_all_have(small):
    """The episodes are the first of the same list, or their digests would differ."""
    path = run_folder(small, seed=1) / "episodes.parquet"
    frame = read_run(path.parent).episodes()
    write_episodes(path, frame[frame["episode"] < 40])
    cells = pd.read_csv(summarize(load_study(small)) / "cells.csv")
    cell = cells.query("algorithm == 'protonet' and mode == 'inductive' and metric == 'accuracy'").iloc[0]
    first = read_run(run_folder(small)).episodes().query("mode == 'inductive' and episode < 40")
    second = frame.query("mode == 'inductive' and episode < 40")
    assert (cell["n_seeds"], cell["n_episodes"]) == (2, 40)
    assert cell["mean"] == pytest.approx((first["accuracy"].mean() + second["accuracy"].mean()) / 2, abs=1e-5)


def test_nothing_run_yet_gives_tables_without_numbers(small):
    for algorithm in ("pixel_nn", "protonet"):
        for seed in (0, 1):
            for file in run_folder(small, algorithm, seed).iterdir():
                file.unlink()
    folder = summarize(load_study(small))
    assert len(pd.read_csv(folder / "cells.csv")) == 0
    assert pd.read_csv(folder / "runs.csv")["status"].to_list() == ["missing"] * 4


def test_regression_is_ranked_by_error(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path, algorithms=("maml", "lstm"), datasets={"sinusoid": {"ways": [1], "shots": [5]}}
    )
    folder = summarize(load_study(path))
    cells = pd.read_csv(folder / "cells.csv")
    assert set(cells["metric"]) == {"mse"} and cells["chance"].isna().all()
    clean = cells[cells["shift"] == "none"].set_index("algorithm")["mean"]
    best = pd.read_csv(folder / "ranks.csv").query("conditions == 'clean'").iloc[0]
    assert best["algorithm"] == clean.idxmin() and best["average_rank"] == 1


def test_diverged_run_has_an_empty_episode_file(made):
    result = read_run(made[0] / "results/synthetic" / DIVERGED)
    assert result.status == "diverged"
    assert len(result.episodes()) == 0 and list(result.episodes()) == list(EPISODE_COLUMNS)


def test_a_test_by_an_older_version_is_named_and_does_not_cost_the_tables(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Outdated, "why", lambda *_: "")  # synthetic results were made by no code
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    path = make_study(
        tmp_path,
        algorithms=("pixel_nn", "protonet", "lstm"),
        datasets={"glyphs": {"ways": [5], "shots": [1]}},
        shifts={},
        episodes=50,
        diverged=["glyphs/5way_1shot/lstm/seed0"],
    )
    cell = tmp_path / "results" / "synthetic" / "glyphs" / "5way_1shot"
    for old in ("protonet/seed1", "lstm/seed0"):
        (cell / old / "calibration.parquet").unlink()
    assert __main__.main(["summarize", str(path)]) == 0
    message = capsys.readouterr().err
    assert "left out 2 runs" in message and "calibration.parquet" in message and "bench test" in message
    runs = pd.read_csv(tmp_path / "results/synthetic/tables/runs.csv").set_index(["algorithm", "seed"])
    assert runs.loc[("protonet", 1), "status"] == "untested"
    assert "test it again" in runs.loc[("protonet", 1), "reason"]
    assert runs.loc[("lstm", 0), "status"] == "diverged" and "not finite" in runs.loc[("lstm", 0), "reason"]
    cells = pd.read_csv(tmp_path / "results/synthetic/tables/cells.csv")
    assert set(cells.query("algorithm == 'protonet'")["n_seeds"]) == {1}
    assert __main__.main(["reference", "--add", str(cell / "protonet" / "seed1")]) == 2
    assert "left no calibration.parquet: test it again" in capsys.readouterr().err
    assert not reference_store.reference_root().exists()
    notes = {state.run.name: state.note for state in states(load_study(path))}
    assert "calibration.parquet" in notes["glyphs/5way_1shot/protonet/seed1"]
    assert notes["glyphs/5way_1shot/protonet/seed0"] == ""


def test_one_seed_per_learner_leaves_every_comparison_undefined(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    glyphs = {"glyphs": {"ways": [5], "shots": [1]}}
    path = make_study(tmp_path, algorithms=("protonet", "maml", "lstm"), datasets=glyphs, seeds=(0,))
    folder = summarize(load_study(path))
    for name in ("comparisons", "modes"):
        table = pd.read_csv(folder / f"{name}.csv")
        assert len(table) and table["p"].isna().all() and table["p_holm"].isna().all()
        assert table["low"].notna().all() and set(table["n_seeds"]) == {1}
