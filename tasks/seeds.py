"""Named randomness: every generator is seeded by a hash of named axes (study seed, data set, way, purpose, ...)."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_from(*axes: str | int) -> int:
    """Return a 63-bit seed that depends on the values of the axes and on nothing else."""
    text = "\x1f".join(str(axis) for axis in axes)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(*axes: str | int) -> np.random.Generator:
    """Return a numpy generator seeded by the axes."""
    return np.random.Generator(np.random.PCG64(seed_from(*axes)))


def torch_generator(device: "str | torch.device", *axes: str | int) -> "torch.Generator":
    """Return a torch generator on the device, seeded by the axes."""
    import torch  # here, because statistics use numpy_generator and start without torch

    return torch.Generator(device=device).manual_seed(seed_from(*axes))
