"""Predictions of a batch of tasks -> one value per episode and metric."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.results.bins import BINS
from bench.results.episode_interval import NORMAL_95

Scores = dict[str, np.ndarray]
"""float32 `[T]`, one value per episode, by metric; metrics that do not apply are left out.

Classifiers also have `bins` `[T, 3, BINS]`: number of queries, sum of confidences and sum of credits by bin of confidence.
"""


def _classification_scores(logits: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Logits `[B, Q, way]`, labels `[B, Q]` -> a value `[B]` per metric.

    Ties share the credit: a collapsed network that gives every class one score gets chance, not the first class's share.
    """
    best = logits == logits.amax(-1, keepdim=True)
    credit = best.gather(-1, target.unsqueeze(-1)).squeeze(-1) / best.sum(-1)
    log_p = F.log_softmax(logits, dim=-1)
    p = log_p.exp()
    own = log_p.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    brier = (p - F.one_hot(target, logits.shape[-1])).square().sum(-1)
    confidence = p.amax(-1)
    return {
        "accuracy": credit.mean(-1),
        "nll": -own.mean(-1),
        "brier": brier.mean(-1),
        "confidence": confidence.mean(-1),
        "bins": _binned(confidence, credit),
    }


def _binned(confidence: Tensor, credit: Tensor) -> Tensor:
    """Confidence and credit `[B, Q]` -> number of queries, sums of confidences and of credits by bin: `[B, 3, BINS]`.

    Bins are equally wide and include their upper edge (Guo et al. 2017, On calibration of modern neural networks).
    """
    edges = torch.linspace(0, 1, BINS + 1, device=confidence.device)[1:-1]  # so rounding above 1 stays inside
    index = torch.bucketize(confidence, edges).unsqueeze(-1)
    inside = index == torch.arange(BINS, device=index.device)
    measures = torch.stack([torch.ones_like(credit), confidence, credit], 1)
    return (measures.unsqueeze(-1) * inside.unsqueeze(1)).sum(2)


def calibration_shares(bins: np.ndarray) -> np.ndarray:
    """Share of each episode in the calibration error of all: `bins` `[T, 3, BINS]` -> `[T]`; their mean is the error.

    ECE = sum over bins of |confidences - credits| / queries. All episodes together decide the sign of a bin; an episode
    that errs the other way reduces the error. The error is thus a mean, and has the interval of a mean.
    """
    count, confidence, credit = np.moveaxis(bins.astype(np.float64), 1, 0)
    gap = confidence - credit
    return (gap @ np.sign(gap.sum(0)) / count.sum(1)).astype(np.float32)


def _regression_scores(
    mean: Tensor, variance: Tensor | None, target: Tensor, largest: float
) -> dict[str, Tensor]:
    """Predictions and targets `[B, Q, d]` -> mse `[B]`; for Gaussians also nll and the share of targets in the interval.

    largest: upper limit of an episode's error. Gradient descent at a fixed rate diverges on about one task in a
    thousand, and such a task alone would decide the mean.
    """
    error = (mean - target).square()
    mse = error.mean((1, 2)).nan_to_num(largest).clamp_max(largest)
    scores = {"mse": mse}
    if variance is not None:
        nll = (torch.log(2 * math.pi * variance) + error / variance).sum(-1) / 2
        inside = error <= NORMAL_95**2 * variance
        scores |= {"nll": nll.mean(1), "coverage": inside.to(error.dtype).mean((1, 2))}
    return scores
