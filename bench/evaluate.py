"""Score a learner on frozen episodes, one number per episode and metric."""

import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import EmbeddingLearner, MetaLearner
from bench.results import BINS
from tasks.dataset import ImageSplit
from tasks.episodes import Episodes, FrozenEpisodes
from tasks.functions import FunctionEpisodes

METRICS = ("accuracy", "nll", "brier", "confidence", "ece", "mse", "coverage")
INTERVAL = 1.96
"""Standard deviations to either side of the mean that hold 95 % of a Gaussian."""
PIXELS_PER_BATCH = {"cpu": 1_000 * 28 * 28, "cuda": 16_000 * 28 * 28}
"""Of images that pass a network at once. Its first maps have 64 numbers a pixel: 2,000 photos took 14 GB."""
GRID = 81
"""Points of a drawn curve."""

Scores = dict[str, np.ndarray]
"""float32 `[T]`, one value per episode, by metric; NaN where a metric does not apply.

Of a classifier also `bins` `[T, 3, BINS]`: by bin of confidence, queries, sum of confidences and sum of credits.
"""


def evaluate_images(
    learner: MetaLearner,
    episodes: FrozenEpisodes,
    support_split: ImageSplit,
    query_split: ImageSplit,
    mode: str,
    embed: "Embedder | None" = None,
) -> Scores:
    """Accuracy, nll, Brier score, confidence and share in the calibration error of each episode.

    support_split, query_split: the same images, shifted or not. mode: `inductive` or `transductive`.
    embed: give the same one to several calls for one learner, and they share what they embed.
    """
    with _testing(learner, mode):
        if isinstance(learner, EmbeddingLearner) and mode == "inductive":
            batches = _embedded_batches(
                learner, episodes, support_split, query_split, embed or Embedder(learner)
            )
        else:
            batches = _image_batches(learner, episodes, support_split, query_split)
        scores = _joined(_classification_scores(logits, target) for logits, target in batches)
    return scores | {"ece": calibration_shares(scores["bins"])}


def evaluate_points(learner: MetaLearner, episodes: FunctionEpisodes, device: torch.device) -> Scores:
    """Mean squared error of each regression episode; nll and coverage for learners that predict a distribution."""
    largest = episodes.functions.LARGEST_MSE
    with _testing(learner, "inductive"):
        parts = (episodes.batch(start, start + 500, device) for start in range(0, len(episodes), 500))
        return _joined(_regression_scores(*_points(learner, part), part.query_y, largest) for part in parts)


def _points(learner: MetaLearner, part: Episodes) -> tuple[Tensor, Tensor | None]:
    """Predicted mean and, where the learner has one, variance of each query."""
    phi = learner.adapt_to(part)
    predicted = learner.distribution(phi, part.query_x)
    return predicted if predicted is not None else (learner.predict(phi, part.query_x), None)


def fitted_curve(learner: MetaLearner, episodes: FunctionEpisodes, device: torch.device) -> dict[str, list]:
    """What a learner makes of the first episode, for a drawing: support points, grid, truth, mean and deviation."""
    part = episodes.batch(0, 1, device)
    x = torch.linspace(*episodes.functions.x, GRID)
    with _testing(learner, "inductive"):
        grid = x.view(1, -1, 1).to(device)
        mean, variance = _points(learner, replace(part, query_x=grid))
    deviation = None if variance is None else _listed(variance.expand_as(mean).sqrt())
    support = [_listed(values) for values in (part.support_x, part.support_y)]
    return {
        "support": support,
        "x": _listed(x),
        "truth": _listed(episodes.curve(0, x.numpy())),
        "mean": _listed(mean),
        "deviation": deviation,
    }


def _listed(values: Tensor | np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values.reshape(-1)]


@contextmanager
def _testing(learner: MetaLearner, mode: str) -> Iterator[None]:
    was_training = learner.training
    learner.eval()
    learner.transductive = mode == "transductive"
    with torch.no_grad():
        yield
    learner.train(was_training)


def _joined(batches: Iterable[dict[str, Tensor]]) -> Scores:
    scores = list(batches)
    return {name: torch.cat([score[name] for score in scores]).cpu().numpy() for name in scores[0]}


def _images_per_batch(split: ImageSplit) -> int:
    return max(1, PIXELS_PER_BATCH[split.images.device.type] // (split.input_shape[1] * split.input_shape[2]))


def _slices(episodes: FrozenEpisodes, images: int) -> Iterator[slice]:
    """Batches of about so many images."""
    step = max(1, images // (episodes.support.shape[1] + episodes.query.shape[1]))
    return (slice(start, start + step) for start in range(0, len(episodes), step))


def _image_batches(
    learner: MetaLearner, episodes: FrozenEpisodes, support_split: ImageSplit, query_split: ImageSplit
) -> Iterator[tuple[Tensor, Tensor]]:
    device = support_split.images.device
    for part in _slices(episodes, _images_per_batch(support_split)):
        support, support_y, query, query_y = _to(device, episodes, part)
        phi = learner.adapt(support_split.gather(support), support_y, episodes.way)
        yield learner.predict(phi, query_split.gather(query)), query_y


def _embedded_batches(
    learner: EmbeddingLearner,
    episodes: FrozenEpisodes,
    support_split: ImageSplit,
    query_split: ImageSplit,
    embed: "Embedder",
) -> Iterator[tuple[Tensor, Tensor]]:
    """Embed each image once, then only look features up: the same answer, an order of magnitude faster."""
    device = support_split.images.device
    support_features = embed(support_split, episodes.support)
    query_features = embed(query_split, episodes.query)
    for part in _slices(episodes, _images_per_batch(support_split)):
        support, support_y, query, query_y = _to(device, episodes, part)
        phi = learner.fit(support_features[support], support_y, episodes.way)
        yield learner.score(phi, query_features[query]), query_y


class Embedder:
    """Features of the images that episodes use, each image embedded once, kept as long as its split is."""

    def __init__(self, learner: EmbeddingLearner):
        self.learner = learner
        self.kept: WeakKeyDictionary[ImageSplit, dict[bytes, Tensor]] = WeakKeyDictionary()

    def __call__(self, split: ImageSplit, flat: np.ndarray) -> Tensor:
        """Features `[classes * per_class, D]` of the images that `flat` names; the other rows stay zero."""
        features = self.kept.setdefault(split, {})
        key = flat.tobytes()
        if key not in features:
            features[key] = self._embed(split, torch.from_numpy(np.unique(flat)).to(split.images.device))
        return features[key]

    def _embed(self, split: ImageSplit, ids: Tensor) -> Tensor:
        features = None
        for chunk in ids.split(_images_per_batch(split)):
            embedded = self.learner.embed(split.gather(chunk).unsqueeze(0))[0]
            if features is None:
                features = embedded.new_zeros(
                    split.images.shape[0] * split.images.shape[1], *embedded.shape[1:]
                )
            features.index_copy_(0, chunk, embedded)
        return features


def _to(device: torch.device, episodes: FrozenEpisodes, part: slice) -> tuple[Tensor, ...]:
    arrays = (episodes.support, episodes.support_y, episodes.query, episodes.query_y)
    return tuple(torch.from_numpy(array[part]).to(device) for array in arrays)


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
        **dict.fromkeys(("mse", "coverage"), torch.full_like(own[:, 0], torch.nan)),
    }


def _binned(confidence: Tensor, credit: Tensor) -> Tensor:
    """Confidence and credit `[B, Q]` -> queries, sum of confidences, sum of credits by bin: `[B, 3, BINS]`.

    Bins are equally wide and hold their upper edge (Guo et al. 2017, On calibration of modern neural networks).
    """
    edges = torch.linspace(0, 1, BINS + 1, device=confidence.device)[1:-1]  # so rounding above 1 stays inside
    index = torch.bucketize(confidence, edges).unsqueeze(-1)
    inside = index == torch.arange(BINS, device=index.device)
    measures = torch.stack([torch.ones_like(credit), confidence, credit], 1)
    return (measures.unsqueeze(-1) * inside.unsqueeze(1)).sum(2)


def calibration_shares(bins: np.ndarray) -> np.ndarray:
    """What each episode adds to the calibration error of all: `bins` `[T, 3, BINS]` -> `[T]`, whose mean is the error.

    ECE = sum over bins of |confidences - credits| / queries. On which side a bin errs is told by all episodes together;
    an episode that errs on the other side takes from the error. So the error is a mean, and has the interval of one.
    """
    count, confidence, credit = np.moveaxis(bins.astype(np.float64), 1, 0)
    gap = confidence - credit
    return (gap @ np.sign(gap.sum(0)) / count.sum(1)).astype(np.float32)


def _regression_scores(
    mean: Tensor, variance: Tensor | None, target: Tensor, largest: float
) -> dict[str, Tensor]:
    """Predictions and targets `[B, Q, d]` -> mse `[B]`; of a Gaussian also nll and the share of targets in its interval.

    largest: what an episode counts at most. Gradient descent of a fixed rate diverges on about one task in a thousand;
    the mean would then say nothing else.
    """
    error = (mean - target).square()
    mse = error.mean((1, 2)).nan_to_num(largest).clamp_max(largest)
    scores = dict.fromkeys(METRICS, torch.full_like(mse, torch.nan)) | {"mse": mse}
    if variance is not None:
        nll = (torch.log(2 * math.pi * variance) + error / variance).sum(-1) / 2
        inside = error <= INTERVAL**2 * variance
        scores |= {"nll": nll.mean(1), "coverage": inside.to(error.dtype).mean((1, 2))}
    return scores
