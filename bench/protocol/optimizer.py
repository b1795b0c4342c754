"""The outer optimiser: on a GPU its rate and step count lie on the device, where a CUDA graph reads them."""

from typing import Any

import torch
from torch import Tensor

from algos.base import MetaLearner


def adam(learner: MetaLearner, device: torch.device) -> torch.optim.Adam:
    """The outer optimiser; on a GPU its rate and its count of steps are on the device, where a graph reads them."""
    rate = learner.params.learning_rate
    if device.type != "cuda":
        return torch.optim.Adam(learner.parameters(), lr=rate)
    return torch.optim.Adam(learner.parameters(), lr=torch.tensor(rate, device=device), capturable=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load_state(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Restore moments and counts. Where rate and counts lie is this device's choice, not that of who saved them."""
    own = [{key: group[key] for key in ("lr", "capturable")} for group in optimizer.param_groups]
    groups = [group | mine for group, mine in zip(state["param_groups"], own, strict=True)]
    optimizer.load_state_dict(state | {"param_groups": groups})
