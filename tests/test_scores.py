"""Bins of confidence and the calibration error of predictions."""

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve

from bench.protocol.scores import _classification_scores, calibration_shares
from bench.results.bins import BINS
from bench.results.condition import own_condition
from bench.results.frames import write_calibration
from bench.results.setting import Setting
from tests.synthetic_episodes import bin_rows

CONDITION = own_condition(Setting("glyphs", 5, 1), "inductive")


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
    write_calibration(tmp_path / "calibration.parquet", bin_rows(CONDITION, bins))


def test_certainty_is_in_the_last_bin(tmp_path):
    logits = torch.zeros(1, 4, 3)
    logits[:, :, 0] = 200.0
    bins = binned(logits, torch.tensor([[0, 0, 0, 1]]))
    assert bins[0, :, -1].tolist() == [4, 4, 3]
    assert calibration_shares(bins).item() == pytest.approx(0.25)
    write_calibration(tmp_path / "calibration.parquet", bin_rows(CONDITION, bins))


def test_an_episode_that_errs_on_the_other_side_takes_from_the_error():
    bins = np.zeros((3, 3, BINS), np.float32)
    bins[:, :, 10] = [
        [10, 7, 4],
        [10, 7, 4],
        [10, 7, 10],
    ]  # confidence 0.7; right 4, 4 and 10 times out of ten
    np.testing.assert_allclose(calibration_shares(bins), [0.3, 0.3, -0.3], atol=1e-6)
    # together 18 of 30 where 21 were expected
