"""The supervised pretraining: an ordinary classifier of all meta-training classes.

Baseline keeps its features and discards its classifier; `supervised_cosine` is that of Baseline++.

Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot Classification. ICLR 2019.

Deviations from the paper and its released code:
1. The checkpoint is selected on meta-validation episodes, with the nearest class mean as classifier; the code keeps the
   last epoch.
2. Images are drawn with replacement, not in epochs.
3. Crops are taken from images of the benchmark's size; the code crops the originals. The code's colour jitter also
   shuffles the order of brightness, contrast and saturation.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.base import EmbeddingLearner, HyperParameters, TaskSpec, hyper
from algos.nets.augment import augmented
from algos.nets.backbones import BACKBONES, build_backbone
from algos.nets.layers import Linear
from algos.nets.prototypes import class_means, squared_distances


class Supervised(EmbeddingLearner):
    """`spec.way` is the number of meta-training classes. `adapt` and `predict` serve only to select the checkpoint."""

    title = "Supervised classifier"
    make_head: ClassVar[type] = Linear
    family = "baseline"
    citation = "Chen et al. 2019"
    stated = ("omniglot", "miniimagenet")
    capturable = True
    presets = {
        "omniglot": dict(batch_size=16, steps=25_700, schedule="constant"),  # 5 epochs; more overfits
        "miniimagenet": dict(batch_size=16, steps=960_000, schedule="constant", augment=True),  # 400 epochs
    }

    @dataclass(frozen=True)
    class Params(HyperParameters):
        steps: int = hyper(5_000, "updates")
        batch_size: int = hyper(64, "images per update")
        learning_rate: float = hyper(1e-3, "Adam's rate")
        schedule: str = hyper("cosine", "course of the rate", ("constant", "halve", "cosine"))
        halve_every: int = hyper(2_000, "updates between halvings, for schedule `halve`")
        backbone: str = hyper("conv4", "embedding network", BACKBONES)
        hidden: int = hyper(64, "channels of each block")
        augment: bool = hyper(False, "random crops, colour jitter and mirror images (photos)")

        @property
        def meta_batch(self) -> int:
            """Images per update: what the training loop counts, in place of tasks."""
            return self.batch_size

    def __init__(self, spec: TaskSpec, params: Params):
        super().__init__(spec, params)
        self.encoder = build_backbone(params.backbone, params.hidden, spec)
        self.head = self.make_head(self.encoder.features, spec.way)

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Tensor:
        return class_means(features, support_y, way)

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return -squared_distances(features, phi)

    def meta_update(self, sampler: Any, optimizer: torch.optim.Optimizer) -> Tensor:
        """Take one step on the cross-entropy of a mini-batch of images from all classes."""
        images, labels = sampler.sample_images(self.params.batch_size)
        images = augmented(images) if self.params.augment else images
        features = self._embed_together(images.unsqueeze(0))
        loss = F.cross_entropy(self.head(features)[0], labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return loss.detach()
