"""Score a learner on frozen episodes, one number per episode and metric."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import EmbeddingLearner, MetaLearner
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes
from tasks.sinusoid import SinusoidEpisodes

METRICS = ("accuracy", "nll", "brier", "confidence", "mse")
IMAGES_PER_BATCH = 2_000

Scores = dict[str, np.ndarray]
"""float32 `[T]`, one value per episode, by metric; NaN where a metric does not apply."""


def evaluate_images(
    learner: MetaLearner,
    episodes: FrozenEpisodes,
    support_split: ImageSplit,
    query_split: ImageSplit,
    mode: str,
    embed: "Embedder | None" = None,
) -> Scores:
    """Accuracy, nll, Brier score and confidence of each episode.

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
        return _joined(_classification_scores(logits, target) for logits, target in batches)


def evaluate_points(learner: MetaLearner, episodes: SinusoidEpisodes, device: torch.device) -> Scores:
    """Mean squared error of each regression episode."""
    with _testing(learner, "inductive"):
        parts = (episodes.batch(start, start + 500, device) for start in range(0, len(episodes), 500))
        return _joined(
            _regression_scores(
                learner.predict(learner.adapt(part.support_x, part.support_y, part.way), part.query_x),
                part.query_y,
            )
            for part in parts
        )


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
    return {metric: torch.cat([score[metric] for score in scores]).cpu().numpy() for metric in METRICS}


def _slices(episodes: FrozenEpisodes) -> Iterator[slice]:
    step = max(1, IMAGES_PER_BATCH // (episodes.support.shape[1] + episodes.query.shape[1]))
    return (slice(start, start + step) for start in range(0, len(episodes), step))


def _image_batches(
    learner: MetaLearner, episodes: FrozenEpisodes, support_split: ImageSplit, query_split: ImageSplit
) -> Iterator[tuple[Tensor, Tensor]]:
    device = support_split.images.device
    for part in _slices(episodes):
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
    for part in _slices(episodes):
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
        for chunk in ids.split(IMAGES_PER_BATCH):
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
    return {
        "accuracy": credit.mean(-1),
        "nll": -own.mean(-1),
        "brier": brier.mean(-1),
        "confidence": p.amax(-1).mean(-1),
        "mse": torch.full_like(own[:, 0], torch.nan),
    }


def _regression_scores(mean: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Predictions and targets `[B, Q, d]` -> mse `[B]`."""
    mse = (mean - target).square().mean((1, 2))
    return {metric: mse if metric == "mse" else torch.full_like(mse, torch.nan) for metric in METRICS}
