"""Baseline++: fine-tuning a cosine classifier.

Like Baseline, but the classifier fitted to the support set scores a query by its cosine similarity to one direction per
class, which keeps the examples of a class close together.

Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot Classification. ICLR 2019 (Baseline++).

Deviations from the paper and its released code:
1. The deviations of its pretraining (algos/pretraining/supervised_cosine.py).
2. One random start is drawn for each position in the support set, and a class takes the start of its first example, so
   the numbering of the classes does not matter. The order of the examples is drawn once and is the same for all tasks.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from algos.baseline.finetune import Finetune, Head, cross_entropy_gradient, fine_tune
from algos.nets.cosine import cosine_scores, unit_features

SCALE = 2.0
"""Fixed factor of the cosines; the released code uses it for up to 200 classes."""


class CosineFinetune(Finetune):
    title = "Baseline++"
    pretraining = "supervised_cosine"

    def fit(self, features: Tensor, support_y: Tensor, way: int) -> Head:
        """Return the directions `[B, D, way]` and lengths `[B, 1, way]` of the classes (weight norm)."""
        target = F.one_hot(support_y, way).to(features.dtype)
        start = self._start(target, features.shape[2])
        steps = self.steps(features.shape[1])
        return fine_tune(start, self._gradient, unit_features(features), target, self.params, steps)

    @staticmethod
    def _start(one_hot: Tensor, size: int) -> Head:
        """Draw the start uniformly in +-1 / sqrt(D): PyTorch's default for a linear layer, which the released code keeps."""
        examples = one_hot.shape[1]
        noise = torch.rand(examples, size, generator=torch.Generator().manual_seed(0)) * 2 - 1
        earliness = torch.arange(examples, 0, -1, device=one_hot.device, dtype=one_hot.dtype)
        first = (one_hot * earliness.view(1, -1, 1)).argmax(1)  # [B, way]
        direction = (noise.to(one_hot) * size**-0.5)[first].transpose(1, 2)
        return direction, direction.norm(dim=1, keepdim=True)

    @staticmethod
    def _gradient(head: Head, inputs: Tensor, target: Tensor) -> Head:
        """Gradient through w = length * direction / |direction|; inputs are unit vectors."""
        direction, length = head
        norm = direction.norm(dim=1, keepdim=True)
        unit = direction / norm
        slope = SCALE * cross_entropy_gradient(inputs, SCALE * (inputs @ (length * unit)), target)
        along = (unit * slope).sum(1, keepdim=True)
        return length / norm * (slope - along * unit), along

    def score(self, phi: Head, features: Tensor) -> Tensor:
        return cosine_scores(features, *phi, SCALE)
