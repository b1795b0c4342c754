"""Result files of a run: what is refused, and that a refused file leaves the old one."""

import numpy as np
import pandas as pd
import pytest
import torch

from bench.protocol.scores import _classification_scores
from bench.results.condition import own_condition
from bench.results.files import ResultError, atomic_write
from bench.results.frames import write_calibration, write_episodes, write_history
from bench.results.run_folder import read_run
from bench.results.setting import Setting
from tests.synthetic import edit_json, run_folder, small_study
from tests.synthetic_episodes import bin_rows


@pytest.fixture
def small(tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS_ROOT", str(tmp_path / "results"))
    return small_study(tmp_path)


def frame_of(small):
    return read_run(run_folder(small)).episodes()


def test_episode_file_does_not_depend_on_the_order_of_rows(small, tmp_path):
    frame = frame_of(small)
    write_episodes(tmp_path / "a.parquet", frame)
    write_episodes(tmp_path / "b.parquet", frame.sample(frac=1, random_state=1))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "a.parquet"), frame)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.assign(accuracy=f["accuracy"] * 100), r"accuracy = .* outside \[0, 1\]"),
        (lambda f: f.assign(nll=np.nan), "nll = nan .* diverged"),
        (lambda f: f.drop(columns="brier"), "missing columns .'brier'"),
        (lambda f: f.assign(colour=1), "unknown columns .'colour'"),
        (lambda f: f.assign(mode="both"), "mode = 'both' is not one of"),
        (lambda f: pd.concat([f, f.head(1)]), "twice"),
        (lambda f: f.assign(severity="strong"), "wrong type"),
    ],
)
def test_bad_episode_frames_are_refused_and_leave_the_old_file(small, change, words):
    path = run_folder(small) / "episodes.parquet"
    before = path.read_bytes()
    with pytest.raises(ResultError, match=words) as error:
        write_episodes(path, change(frame_of(small)))
    assert str(path) in str(error.value)
    assert path.read_bytes() == before
    assert not list(path.parent.glob(".*.part"))


def test_a_failing_writer_leaves_nothing_behind(tmp_path):
    def write(part):
        part.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        atomic_write(tmp_path / "file", write)
    assert list(tmp_path.iterdir()) == []


def test_damaged_files_are_named(small):
    folder = run_folder(small)
    parquet = folder / "episodes.parquet"
    parquet.write_bytes(parquet.read_bytes()[:500])
    with pytest.raises(ResultError, match="episodes.parquet: not readable"):
        read_run(folder).episodes()
    edit_json(folder / "run.json", lambda record: record["training"].update(steps=-1))
    with pytest.raises(ResultError, match=r"run.json: training.steps: -1 is less than"):
        read_run(folder)
    (folder / "run.json").write_text("{")
    with pytest.raises(ResultError, match="not valid JSON"):
        read_run(folder)


def test_history_steps_must_increase(small):
    path = run_folder(small) / "history.parquet"
    with pytest.raises(ResultError, match="must increase"):
        write_history(path, read_run(path.parent).history()[::-1])


# --- bins of confidence ---


def some_bins() -> pd.DataFrame:
    generator = torch.Generator().manual_seed(2)
    logits = 2 * torch.randn(4, 30, 5, generator=generator)
    target = torch.randint(5, (4, 30), generator=generator)
    bins = _classification_scores(logits, target)["bins"].numpy()
    return bin_rows(own_condition(Setting("glyphs", 5, 1), "inductive"), bins)


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


def test_files_in_order_are_not_sorted_again(small, monkeypatch):
    """Sorting takes longer than reading, and a study has ten thousand runs."""
    monkeypatch.setattr(pd.DataFrame, "sort_values", None)
    result = read_run(run_folder(small))
    assert len(result.episodes()) and len(result.calibration())
    with pytest.raises(TypeError):
        write_episodes(small.with_name("episodes.parquet"), result.episodes()[::-1])
