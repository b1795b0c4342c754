"""The cosine classifier of Baseline++ (Chen et al. 2019, section 3.2)."""

from torch import Tensor


def cosine_scores(features: Tensor, direction: Tensor, length: Tensor, scale: float) -> Tensor:
    """scale * length_k * cos(x, w_k): `[..., n, D]`, `[..., D, K]`, `[..., 1, K]` -> `[..., n, K]`.

    As in the released code, 1e-5 is added to the norm of the features and each class has a learned length (weight
    norm).
    """
    return scale * (unit_features(features) @ (direction / direction.norm(dim=-2, keepdim=True) * length))


def unit_features(features: Tensor) -> Tensor:
    """Scale features `[..., n, D]` to unit length."""
    return features / (features.norm(dim=-1, keepdim=True) + 1e-5)
