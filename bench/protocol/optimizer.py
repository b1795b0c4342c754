"""The outer optimiser and its rate. On a GPU rate and step count lie on the device, where a CUDA graph reads them."""

import math
from typing import Any

import torch
from torch import Tensor

from algos.base import MetaLearner, Params


def adam(learner: MetaLearner, device: torch.device) -> torch.optim.Adam:
    """Return Adam over the learner's parameters, at its `learning_rate`."""
    rate = learner.params.learning_rate
    if device.type != "cuda":
        return torch.optim.Adam(learner.parameters(), lr=rate)
    return torch.optim.Adam(learner.parameters(), lr=torch.tensor(rate, device=device), capturable=True)


def learning_rate(params: Params, step: int) -> float:
    """Return the outer rate at a step, by the declared schedule."""
    if params.schedule == "halve":
        return params.learning_rate * 0.5 ** (step // params.halve_every)
    if params.schedule == "linear":
        return params.learning_rate * (1 - step / params.steps)
    if params.schedule == "cosine":
        return params.learning_rate * 0.5 * (1 + math.cos(math.pi * step / params.steps))
    return params.learning_rate


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set the rate of all parameter groups, in place where it lies on a device."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore moments and counts; where rate and counts lie stays as this device has it, not as the saving one had."""
    own = [{key: group[key] for key in ("lr", "capturable")} for group in optimizer.param_groups]
    groups = [group | mine for group, mine in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": groups})
