"""Class means of a support set, and distances to them."""

import torch.nn.functional as F
from torch import Tensor


def class_means(features: Tensor, labels: Tensor, way: int) -> Tensor:
    """Mean feature of each class: `[B, S, D]`, `[B, S]` -> `[B, way, D]` (Snell et al. 2017, eq. 1)."""
    one_hot = F.one_hot(labels, way).to(features.dtype)
    return (one_hot / one_hot.sum(1, keepdim=True)).transpose(1, 2) @ features


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """Squared Euclidean distances `[B, Q, K]` between the rows of `[B, Q, D]` and `[B, K, D]`."""
    return a.square().sum(-1, keepdim=True) - 2 * a @ b.transpose(1, 2) + b.square().sum(-1).unsqueeze(1)
