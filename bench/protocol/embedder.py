"""Features of test images, each image embedded once."""

from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from algos.base import EmbeddingLearner
from tasks.dataset import ImageSplit

PIXELS_PER_BATCH = {"cpu": 1_000 * 28 * 28, "cuda": 16_000 * 28 * 28}
"""Of images that pass a network at once. Its first maps have 64 numbers a pixel: 2,000 photos took 14 GB."""


def _images_per_batch(split: ImageSplit) -> int:
    return max(1, PIXELS_PER_BATCH[split.images.device.type] // (split.input_shape[1] * split.input_shape[2]))


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
                rows = len(split.images) * split.images.shape[1]
                features = embedded.new_zeros(rows, *embedded.shape[1:])
            features.index_copy_(0, chunk, embedded)
        return features
