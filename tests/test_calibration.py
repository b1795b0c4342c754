"""Calibration: the tables of a study, made from the bins that its tests wrote, and the interval of the error."""

from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from bench.protocol.scores import calibration_shares
from bench.results.bins import BINS
from bench.results.condition import own_condition
from bench.results.run_folder import read_run
from bench.results.setting import Setting
from bench.statistics import calibration, intervals
from bench.statistics.gather import LearnerResults, gather_all
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from tasks.seeds import numpy_generator
from tests.synthetic import make_study

HARDEST = {"smear": 5, "shear": 3}


def drawn(name: str, seeds: int, episodes: int, gap: float, queries: int = 75) -> np.ndarray:
    """Shares [seeds, episodes] of learners that are `gap` less often right than they think, on tasks of varying difficulty."""
    draw = numpy_generator("calibration", name)
    difficulty = draw.normal(0, 0.05, (episodes, 1))
    tables = []
    for _ in range(seeds):
        confidence = draw.uniform(0.4, 0.9, (episodes, queries))
        p = confidence - gap + difficulty + draw.normal(0, 0.01)
        correct = draw.random(p.shape) < p
        index = np.ceil(confidence * BINS).astype(int) - 1
        inside = index[:, None, :, None] == np.arange(BINS)
        measures = np.stack([np.ones_like(confidence), confidence, correct], 1)
        tables.append(calibration_shares((measures[..., None] * inside).sum(2)))
    return np.stack(tables)


def test_the_interval_of_a_known_error_covers_it():
    repeats = [drawn(f"known{i}", seeds=3, episodes=60, gap=0.1) for i in range(300)]
    interval = intervals.two_level_interval(np.stack(repeats))
    covered = np.mean((interval.low <= 0.1) & (0.1 <= interval.high))
    assert 0.91 <= covered <= 0.99
    assert interval.mean.mean() == pytest.approx(0.1, abs=0.005)
    half = (interval.high - interval.low).mean() / 2
    assert half < 0.04, "an interval that is always wide covers, too"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The tables of a study with one diverged run, its root and its study."""
    root = tmp_path_factory.mktemp("calibration")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTS_ROOT", str(root / "results"))
        path = make_study(
            root,
            algorithms=("pixel_nn", "protonet", "maml", "lstm"),
            datasets={"glyphs": {"ways": [5], "shots": [1]}, "sinusoid": {"shots": [5]}},
            shifts={"smear": (1, 5), "shear": (1, 3)},
            diverged=["glyphs/5way_1shot/lstm/seed1"],
            experiments={"shots": [5], "within_alphabet": True},
        )
        folder = summarize(load_study(path))
        names = ("cells", "modes", "calibration", "calibration_scores")
        yield root, {name: pd.read_csv(folder / f"{name}.csv") for name in names}


def bins_of(root, algorithm: str, seed: int) -> pd.DataFrame:
    folder = root / f"results/synthetic/glyphs/5way_1shot/{algorithm}/seed{seed}"
    return read_run(folder).calibration()


def own(frame: pd.DataFrame, mode: str) -> pd.DataFrame:
    return frame.query("mode == @mode and test_tasks == 'standard' and test_shot == 1 and test_way == 5")


def error_of(bins: pd.DataFrame) -> float:
    return (bins["confidence"] - bins["correct"]).abs().sum() / bins["n"].sum()


def at_highest_severity(frame: pd.DataFrame, scope: str) -> list[pd.DataFrame]:
    frame = frame[frame["scope"].eq(scope)]
    return [frame[frame["shift"].eq(shift) & frame["severity"].eq(top)] for shift, top in HARDEST.items()]


def test_only_tasks_as_trained_count_and_of_shifts_the_highest_severity():
    setting = Setting("glyphs", 5, 1)
    clean = own_condition(setting, "inductive")
    other = partial(replace, clean)
    hardest = [other(shift="shear", severity=4, scope="task"), other(shift="blur", severity=1, scope="task")]
    rest = [
        other(shift="shear", severity=2, scope="task"),
        other(shift="scale", severity=0, value=9.0, scope="task"),
    ]
    rest += [other(test_shot=5), other(test_way=20), other(test_steps=10), other(test_tasks="alphabet")]
    results = LearnerResults("maml", {}, "accuracy", dict.fromkeys([*rest, *hardest, clean]))
    found = calibration.condition_groups(setting, results)
    assert found == {("inductive", "clean"): [clean], ("inductive", "task"): hardest}


def test_errors_are_those_of_the_bins_seed_by_seed(made):
    root, tables = made
    scores = tables["calibration_scores"]
    assert list(scores) == calibration.SCORE_COLUMNS and set(scores["dataset"]) == {"glyphs"}
    scores = scores.set_index(["algorithm", "mode", "conditions", "metric"])
    assert not scores.index.has_duplicates
    for mode in ("inductive", "transductive"):
        files = [own(bins_of(root, "maml", seed), mode) for seed in (0, 1)]
        clean = np.mean([error_of(bins.query("shift == 'none'")) for bins in files])
        row = scores.loc[("maml", mode, "clean", "ece")]
        assert row["mean"] == pytest.approx(clean, abs=2e-6) and row["low"] <= clean <= row["high"]
        assert (row["n_seeds"], row["n_episodes"], row["n_conditions"]) == (2, 200, 1)
        for scope in ("task", "query"):
            hard = [error_of(bins) for file in files for bins in at_highest_severity(file, scope)]
            row = scores.loc[("maml", mode, scope, "ece")]
            assert row["mean"] == pytest.approx(np.mean(hard), abs=2e-6) and row["n_conditions"] == 2
    assert scores.loc[("lstm", "inductive", "clean", "ece"), "n_seeds"] == 1


def test_the_other_scores_have_the_intervals_of_their_episodes(made):
    root, tables = made
    scores = tables["calibration_scores"].query("algorithm == 'protonet' and mode == 'inductive'")
    scores = scores.query("conditions == 'clean'").set_index("metric")
    frames = [
        read_run(root / f"results/synthetic/glyphs/5way_1shot/protonet/seed{seed}").episodes()
        for seed in (0, 1)
    ]
    clean = [own(frame, "inductive").query("shift == 'none'").astype({"accuracy": float}) for frame in frames]
    values = {
        metric: np.stack([frame[metric] for frame in clean]).astype(float) for metric in ("nll", "brier")
    }
    values["overconfidence"] = np.stack([frame["confidence"] - frame["accuracy"] for frame in clean])
    for metric, table in values.items():
        interval = intervals.two_level_interval(table)
        expected = (interval.mean, interval.low, interval.high)
        assert tuple(scores.loc[metric, ["mean", "low", "high"]]) == pytest.approx(
            expected, rel=1e-4, abs=1e-6
        )


def test_a_seed_of_an_older_record_leaves_the_scores_of_the_others(made):
    root, _ = made
    older, newer = (
        read_run(root / f"results/synthetic/glyphs/5way_1shot/maml/seed{seed}") for seed in (0, 1)
    )
    episodes = older.episodes()
    episodes[[name for name in calibration.MEASURED if name != "accuracy"]] = np.nan
    older = SimpleNamespace(run=older.run, metric="accuracy", episodes=lambda: episodes)
    setting = Setting("glyphs", 5, 1)
    mixed, alone = (
        pd.DataFrame(calibration.score_rows(setting, [gather_all("maml", runs, list(calibration.MEASURED))]))
        for runs in ([older, newer], [newer])
    )
    assert len(mixed) > 0 and mixed["n_seeds"].eq(1).all()
    pd.testing.assert_frame_equal(mixed, alone)


def test_bins_pool_seeds_and_shifts_and_leave_empty_ones_out(made):
    root, tables = made
    table = tables["calibration"]
    assert list(table) == calibration.BIN_COLUMNS and table["n"].gt(0).all()
    inside = (table["confidence"] >= table["from"] - 1e-5) & (table["confidence"] <= table["to"] + 1e-5)
    assert inside.all() and table["accuracy"].between(0, 1).all()
    files = [own(bins_of(root, "protonet", seed), "inductive") for seed in (0, 1)]
    pooled = pd.concat([bins for file in files for bins in at_highest_severity(file, "query")])
    pooled = pooled.groupby("bin")[["n", "confidence", "correct"]].sum().query("n > 0")
    rows = table.query("algorithm == 'protonet' and mode == 'inductive' and conditions == 'query'").set_index(
        "bin"
    )
    assert rows["n"].to_dict() == pooled["n"].to_dict() and rows["n"].sum() == 2 * 2 * 100 * 75
    np.testing.assert_allclose(rows["accuracy"], pooled["correct"] / pooled["n"], atol=1e-5)
    np.testing.assert_allclose(rows["confidence"], pooled["confidence"] / pooled["n"], atol=1e-5)
