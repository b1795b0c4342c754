"""Backbones by name, so that one hyper-parameter gives any algorithm any of them."""

import importlib

from torch import nn

from algos.base import TaskSpec
from algos.hyper import OWN
from algos.nets.conv4 import Conv4
from algos.nets.mlp import MLP
from algos.nets.r2d2 import R2D2Net
from algos.nets.resnet12 import ResNet12

ADAPTED = ("conv4", "conv4_stride", "conv4_valid", "r2d2", "resnet12", "mlp")
"""Networks whose weights may differ by task, as an inner loop on all of them needs."""
BACKBONES = (*ADAPTED, OWN)
OWN_CODE = "algos.nets.own"


def build_backbone(
    name: str, hidden: int, spec: TaskSpec, depth: int | None = None, transform: int = 0
) -> nn.Module:
    """Build a module `(x [B, n, *input_shape], statistics) -> [B, n, features]` with an attribute `features`.

    hidden: channels of each block (conv4*), channels of the first block (r2d2: 96 in its paper, resnet12: 64) or units
    of each layer (mlp). depth, transform: for an mlp only, its number of layers (default two) and its bias
    transformation. ValueError: the network cannot take inputs of this shape, or has neither depth nor transform.
    """
    if ".py:" in name:  # found by name, so that only the trainings that use it depend on its code
        return importlib.import_module(OWN_CODE).build(name, spec)
    if name == "mlp":
        if len(spec.input_shape) != 1:
            raise ValueError(
                f"backbone 'mlp' takes vectors, not inputs of shape {spec.input_shape}; use conv4"
            )
        return MLP(spec.input_shape[0], (hidden,) * (2 if depth is None else depth), transform)
    if depth is not None or transform:
        raise ValueError(
            f"backbone {name!r} has a fixed depth and no bias transformation: leave depth null and bias_transform 0"
        )
    if len(spec.input_shape) != 3:
        raise ValueError(f"backbone {name!r} takes images, not inputs of shape {spec.input_shape}; use mlp")
    if name in ("r2d2", "resnet12"):
        network = R2D2Net if name == "r2d2" else ResNet12
        return network(spec.input_shape, hidden, spec.mean, spec.std)
    form = {"conv4": "pool", "conv4_stride": "stride", "conv4_valid": "valid"}[name]
    return Conv4(spec.input_shape, hidden, form, spec.mean, spec.std)
