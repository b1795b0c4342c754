"""Calibration: the bins that a test writes, the error made from them and its interval, the tables, and both modes."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import calibration_curve

from bench import __main__
from bench.protocol.scores import _classification_scores, calibration_shares
from bench.results import reference_store
from bench.results.condition import MODES, own_condition
from bench.results.files import ResultError
from bench.results.run_folder import read_run, write_calibration
from bench.results.schema import BINS
from bench.results.setting import Setting
from bench.statistics import calibration, intervals
from bench.statistics.gather import LearnerResults
from bench.statistics.modes import MODE_COLUMNS
from bench.statistics.multiplicity import holm
from bench.statistics.summarize import summarize
from bench.study.study import load_study
from bench.verbs.status import states
from tasks.seeds import numpy_generator
from tests.synthetic import make_study

HARDEST = {"smear": 5, "shear": 3}


def binned(logits: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    return _classification_scores(logits, target)["bins"].numpy()


def plain_error(confidence: np.ndarray, correct: np.ndarray) -> float:
    """Guo et al. 2017, equations 2 to 5, one bin after the other."""
    error = 0.0
    for b in range(BINS):
        inside = (confidence > b / BINS) & (confidence <= (b + 1) / BINS)
        if inside.any():
            gap = abs(correct[inside].mean() - confidence[inside].mean())
            error += inside.sum() / len(confidence) * gap
    return error


def test_bins_and_error_are_those_of_scikit_learn_and_of_a_plain_loop():
    generator = torch.Generator().manual_seed(1)
    logits = 2 * torch.randn(40, 75, 5, generator=generator)
    target = torch.randint(5, (40, 75), generator=generator)
    bins = binned(logits, target)
    confidence = logits.softmax(-1).amax(-1).double().numpy().ravel()
    correct = logits.argmax(-1).eq(target).double().numpy().ravel()
    accuracies, confidences = calibration_curve(correct, confidence, n_bins=BINS)
    n, sums, credits = bins.sum(0, dtype=np.float64)
    used = n > 0
    assert n.sum() == 40 * 75 and 5 < used.sum() < BINS, (
        "no answer is less sure than a fifth: some bins stay empty"
    )
    np.testing.assert_allclose(sums[used] / n[used], confidences, atol=1e-6)
    np.testing.assert_allclose(credits[used] / n[used], accuracies, atol=1e-6)
    assert calibration_shares(bins).mean() == pytest.approx(plain_error(confidence, correct), abs=1e-6)


@pytest.mark.parametrize("way", [2, 3, 5, 15, 20])
def test_a_collapsed_network_is_in_one_valid_bin_and_well_calibrated(way, tmp_path):
    bins = binned(torch.zeros(3, 40, way), torch.arange(120).view(3, 40) % way)
    n, confidence, correct = bins.sum(0)
    (b,) = np.flatnonzero(n)
    assert n[b] == 120 and b / BINS - 1e-6 <= 1 / way <= (b + 1) / BINS + 1e-6
    assert abs(calibration_shares(bins)).max() < 1e-6, "ties share the credit"
    write_calibration(tmp_path / "calibration.parquet", rows_of(bins))


def test_certainty_is_in_the_last_bin(tmp_path):
    logits = torch.zeros(1, 4, 3)
    logits[:, :, 0] = 200.0
    bins = binned(logits, torch.tensor([[0, 0, 0, 1]]))
    assert bins[0, :, -1].tolist() == [4, 4, 3]
    assert calibration_shares(bins).item() == pytest.approx(0.25)
    write_calibration(tmp_path / "calibration.parquet", rows_of(bins))


def test_an_episode_that_errs_on_the_other_side_takes_from_the_error():
    bins = np.zeros((3, 3, BINS), np.float32)
    bins[:, :, 10] = [
        [10, 7, 4],
        [10, 7, 4],
        [10, 7, 10],
    ]  # confidence 0.7; right 4, 4 and 10 times out of ten
    np.testing.assert_allclose(calibration_shares(bins), [0.3, 0.3, -0.3], atol=1e-6)
    # together 18 of 30 where 21 were expected


def rows_of(bins: np.ndarray) -> pd.DataFrame:
    condition = own_condition(Setting("glyphs", 5, 1), "inductive").row
    n, confidence, correct = bins.sum(0, dtype=np.float64)
    sums = {"bin": np.arange(BINS), "n": n, "confidence": confidence, "correct": correct}
    return pd.DataFrame({**condition, **sums})


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


# --- the file ------------------------------------------------------------------------------------------------------


def some_bins() -> pd.DataFrame:
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(4, 30, 5, generator=generator)
    return rows_of(binned(logits, torch.randint(5, (4, 30), generator=generator)))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.iloc[1:], "the bins 0 to 14, each once"),
        (lambda f: f.assign(bin=0), "the bins 0 to 14, each once"),
        (lambda f: f.assign(correct=f["n"] + 1), "sums cannot be, such as"),
        (lambda f: f.assign(confidence=f["confidence"][::-1].to_numpy()), "sums cannot be, such as"),
        (lambda f: f.assign(confidence=np.nan), "sums cannot be, such as"),
        (lambda f: f.assign(mode="both"), "mode = 'both' is not one of"),
        (lambda f: f.drop(columns="n"), "missing columns .'n'"),
    ],
)
def test_bad_bins_are_refused_and_leave_the_old_file(tmp_path, change, words):
    path = write_calibration(tmp_path / "calibration.parquet", some_bins())
    before = path.read_bytes()
    with pytest.raises(ResultError, match=words) as error:
        write_calibration(path, change(some_bins()))
    assert str(path) in str(error.value)
    assert path.read_bytes() == before


def test_the_file_does_not_depend_on_the_order_of_rows_and_a_regression_has_none(tmp_path):
    frame = pd.concat([some_bins(), some_bins().assign(mode="transductive")])
    one = write_calibration(tmp_path / "a.parquet", frame)
    other = write_calibration(tmp_path / "b.parquet", frame.sample(frac=1, random_state=1))
    assert one.read_bytes() == other.read_bytes()
    with pytest.raises(ResultError, match="a regression has no confidence"):
        write_calibration(one, frame, "regression")
    assert len(pd.read_parquet(write_calibration(one, frame.iloc[:0], "regression"))) == 0


# --- the tables ----------------------------------------------------------------------------------------------------


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


# --- runs that an older version tested -----------------------------------------------------------------------------


def test_a_test_by_an_older_version_is_named_and_does_not_cost_the_tables(tmp_path, monkeypatch, capsys):
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
    assert len(reference_store.load_reference()) == 0
    notes = {state.run.name: state.note for state in states(load_study(path))}
    assert "calibration.parquet" in notes["glyphs/5way_1shot/protonet/seed1"]
    assert notes["glyphs/5way_1shot/protonet/seed0"] == ""
