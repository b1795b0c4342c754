"""The outer optimiser and its rate. On a GPU rate and step count lie on the device, where a CUDA graph reads them."""

import math
from typing import Any

import torch
from torch import Tensor

from algos.base import MetaLearner, Params


def build_optimizer(learner: MetaLearner, device: torch.device) -> torch.optim.Optimizer:
    """Return the declared optimiser over the learner's parameters; Adam where a learner has no such hyper-parameter."""
    p, weights = learner.params, learner.parameters()
    kind = getattr(p, "optimizer", "adam")
    common = {"lr": p.learning_rate, "weight_decay": getattr(p, "weight_decay", 0.0)}
    if kind != "adam":
        return torch.optim.SGD(weights, **common, momentum=p.momentum, nesterov=kind == "nesterov")
    on_gpu = device.type == "cuda"
    common["lr"] = torch.tensor(p.learning_rate, device=device) if on_gpu else p.learning_rate
    return torch.optim.Adam(weights, **common, capturable=on_gpu)


def learning_rate(params: Params, step: int) -> float:
    """Return the outer rate at a step, by the declared schedule."""
    if params.schedule == "halve":
        return params.learning_rate * 0.5 ** (step // params.halve_every)
    if params.schedule == "drops":
        passed = [factor for share, factor in drops(params.drops) if step >= share * params.steps]
        return params.learning_rate * [1.0, *passed][-1]
    if params.schedule == "linear":
        return params.learning_rate * (1 - step / params.steps)
    if params.schedule == "cosine":
        return params.learning_rate * 0.5 * (1 + math.cos(math.pi * step / params.steps))
    return params.learning_rate


def drops(text: str) -> list[tuple[float, float]]:
    """`0.5 0.1, 0.8 0.01` -> shares of the updates, rising, and the factor of the rate from each on."""
    try:
        pairs = sorted((float(share), float(factor)) for share, factor in map(str.split, text.split(",")))
    except ValueError as error:
        allowed = "pairs of a share of the updates and a factor, as in `0.5 0.1, 0.8 0.01`"
        raise ValueError(f"hyper-parameter drops: {text!r}; give {allowed}") from error
    return pairs


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameter groups, in place where it lies on a device."""
    for group in optimizer.param_groups:
        group["lr"] = group["lr"].fill_(rate) if isinstance(group["lr"], Tensor) else rate


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore moments and counts; where rate and counts lie stays as this device has it, not as the saving one had."""
    own = [{key: g[key] for key in ("lr", "capturable") if key in g} for g in optimizer.param_groups]
    groups = [group | mine for group, mine in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": groups})
