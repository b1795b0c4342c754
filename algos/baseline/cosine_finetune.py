"""Baseline++: fine-tuning a cosine classifier.

As Baseline, but the classifier that is fitted to the support set scores a query by its cosine to one direction per class,
which keeps the examples of a class close together.

Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot Classification. ICLR 2019 (Baseline++).

Deviations from the paper and its released code:
1. One supervised pretraining for Baseline and Baseline++, with a linear classifier unless the study says
   `supervised: {classifier: cosine}`; the paper trains Baseline++'s features with a cosine classifier.
2. Those of the supervised pretraining (algos/pretraining/supervised.py).
3. The random start of a class is drawn once for each place in the support set, and a class takes that of its first
   example: what a class is called does not matter. The order of the examples is drawn once, the same for all tasks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.baseline.finetune import Finetune, Head, cross_entropy_gradient, fine_tune
from algos.nets.cosine import cosine_scores, unit_features

SCALE = 2.0
"""Fixed factor of the cosines, as released for up to 200 classes."""


class CosineFinetune(Finetune):
    title = "Baseline++"

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Head:
        """Directions `[B, D, way]` and lengths `[B, 1, way]` of the classes (weight norm)."""
        target = F.one_hot(support_y, way).to(features.dtype)
        start = self._start(target, features.shape[2])
        steps = self.steps(features.shape[1])
        return fine_tune(start, self._gradient, unit_features(features), target, self.params, steps)

    @staticmethod
    def _start(one_hot: Tensor, size: int) -> Head:
        """Uniform in +-1 / sqrt(D), PyTorch's start of a linear layer, which the released code leaves as it is."""
        examples = one_hot.shape[1]
        noise = torch.rand(examples, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        earliness = torch.arange(examples, 0, -1, device=one_hot.device, dtype=one_hot.dtype)
        first = (one_hot * earliness.view(1, -1, 1)).argmax(1)  # [B, way]
        direction = (noise.to(one_hot) * size**-0.5)[first].transpose(1, 2)
        return direction, direction.norm(dim=1, keepdim=True)

    @staticmethod
    def _gradient(head: Head, inputs: Tensor, target: Tensor) -> Head:
        """Through w = length * direction / |direction|; inputs are unit vectors."""
        direction, length = head
        norm = direction.norm(dim=1, keepdim=True)
        unit = direction / norm
        slope = SCALE * cross_entropy_gradient(inputs, SCALE * (inputs @ (length * unit)), target)
        along = (unit * slope).sum(1, keepdim=True)
        return length / norm * (slope - along * unit), along

    def score(self, phi: Head, features: Tensor) -> Tensor:
        return cosine_scores(features, *phi, SCALE)
