"""The cosine classifier of Baseline++ (Chen et al. 2019, section 3.2)."""

from torch import Tensor


def cosine_scores(features: Tensor, direction: Tensor, length: Tensor, scale: float) -> Tensor:
    """scale * length_k * cos(x, w_k): `[..., n, D]`, `[..., D, K]`, `[..., 1, K]` -> `[..., n, K]`.

    The released code adds 1e-5 to the norm of the features and learns a length for each class (weight norm).
    """
    return scale * (unit_features(features) @ (direction / direction.norm(dim=-2, keepdim=True) * length))


def unit_features(features: Tensor) -> Tensor:
    return features / (features.norm(dim=-1, keepdim=True) + 1e-5)
