"""Score a learner on frozen episodes, one number per episode and metric."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from algos.base import EmbeddingLearner, MetaLearner
from bench.protocol.embedder import Embedder, _images_per_batch
from bench.protocol.scores import Scores, _classification_scores, calibration_shares
from tasks.dataset import ImageSplit
from tasks.episodes import FrozenEpisodes


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
    with learner.testing(transductive=mode == "transductive"):
        if isinstance(learner, EmbeddingLearner) and mode == "inductive":
            embed = embed or Embedder(learner)
            batches = _embedded_batches(learner, episodes, support_split, query_split, embed)
        else:
            batches = _image_batches(learner, episodes, support_split, query_split)
        scores = joined(_classification_scores(logits, target) for logits, target in batches)
    return scores | {"ece": calibration_shares(scores["bins"])}


def joined(batches: Iterable[dict[str, Tensor]]) -> Scores:
    """Return the scores of all batches, one after the other, as arrays."""
    scores = list(batches)
    return {name: torch.cat([score[name] for score in scores]).cpu().numpy() for name in scores[0]}


def _slices(episodes: FrozenEpisodes, images: int) -> Iterator[slice]:
    """Batches of about so many images."""
    step = max(1, images // (episodes.support.shape[1] + episodes.query.shape[1]))
    return (slice(start, start + step) for start in range(0, len(episodes), step))


def _image_batches(
    learner: MetaLearner, episodes: FrozenEpisodes, support_split: ImageSplit, query_split: ImageSplit
) -> Iterator[tuple[Tensor, Tensor]]:
    device = support_split.images.device
    for part in _slices(episodes, _images_per_batch(support_split)):
        support, support_y, query, query_y = episodes.tensors(part, device)
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
        support, support_y, query, query_y = episodes.tensors(part, device)
        phi = learner.fit(support_features[support], support_y, episodes.way)
        yield learner.score(phi, query_features[query]), query_y
