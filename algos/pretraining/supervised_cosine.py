"""The supervised pretraining of Baseline++: a cosine classifier of all meta-training classes.

Like `supervised`, with the classifier that pulls the features of a class towards one direction. Baseline++ keeps its
features and fits another cosine classifier to the support set.

Chen, Liu, Kira, Wang, Huang: A Closer Look at Few-shot Classification. ICLR 2019 (Baseline++).

Deviations from the paper and its released code: those of `supervised`, but the checkpoint is selected by the cosine to
the class means. Squared distances, by which `supervised` selects, under-rate features that are trained by cosine.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algos.nets.cosine import cosine_scores
from algos.pretraining.supervised import Supervised


class CosineClassifier(nn.Module):
    """`[B, n, D]` -> `[B, n, classes]`; the scale is fixed at 2, or 10 for more than 200 classes, as released."""

    def __init__(self, inputs: int, classes: int):
        super().__init__()
        self.scale = 2.0 if classes <= 200 else 10.0
        self.direction = nn.Parameter(torch.empty(inputs, classes).uniform_(-1, 1) * inputs**-0.5)
        self.length = nn.Parameter(self.direction.detach().norm(dim=0, keepdim=True))

    def forward(self, features: Tensor) -> Tensor:
        return cosine_scores(features, self.direction, self.length, self.scale)


class SupervisedCosine(Supervised):
    title = "Supervised cosine classifier"
    make_head = CosineClassifier

    def score(self, phi: Tensor, features: Tensor) -> Tensor:
        return F.normalize(features, dim=-1) @ F.normalize(phi, dim=-1).transpose(1, 2)
