"""The meta-step of MAML by libraries that others use, where they can be imported: `pip install higher learn2learn`.

Their networks are torch's own modules. Batch norm has neither scale nor shift, which spares the libraries the adaptation of
parameters that our inner loop leaves alone.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.plain import Weights
from tasks.episodes import Episodes

Adapt = Callable[[ModuleType, nn.Module, Tensor, Tensor, int, float], nn.Module]
"""Return a network after so many inner steps at a rate on a task's support set; the graph of every step is kept."""


class Network(nn.Module):
    """`plain.network` as a module, of the same filters and head; `weights` keeps their names."""

    def __init__(self, weights: Weights, form: str):
        super().__init__()
        filters = [weights[f"backbone.blocks.{block}.weight"] for block in range(4)]
        self.blocks = nn.Sequential(*(_block(filter, form) for filter in filters))
        out, features = weights["head.weight"].shape
        self.head = nn.Linear(features, out).to(weights["head.weight"])
        self.form = form
        with torch.no_grad():
            for name, parameter in self.weights().items():
                parameter.copy_(weights[name])

    def weights(self) -> Weights:
        """Return the parameters by the names that ours have."""
        filters = {f"backbone.blocks.{i}.weight": block[0].weight for i, block in enumerate(self.blocks)}
        return filters | {"head.weight": self.head.weight, "head.bias": self.head.bias}

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(x)
        return self.head(x.mean((2, 3)) if self.form == "conv4_stride" else x.flatten(1))


def _block(filter: Tensor, form: str) -> nn.Sequential:
    outputs, inputs = filter.shape[:2]
    stride = 2 if form == "conv4_stride" else 1
    convolution = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False).to(filter)
    norm = nn.BatchNorm2d(outputs, affine=False, track_running_stats=False)
    pool = [nn.MaxPool2d(2)] if form == "conv4" else []
    return nn.Sequential(convolution, norm, nn.ReLU(), *pool)


def backward(
    adapt: Adapt, library: ModuleType, network: nn.Module, episodes: Episodes, steps: int, rate: float
) -> Tensor:
    """Add the meta-gradient to `.grad` of a network, task by task; return the mean query loss `[]`."""
    total = 0.0
    for t in range(len(episodes)):
        adapted = adapt(library, network, episodes.support_x[t], episodes.support_y[t], steps, rate)
        loss = F.cross_entropy(adapted(episodes.query_x[t]), episodes.query_y[t])
        (loss / len(episodes)).backward()
        total += loss.detach() / len(episodes)
    return total


def by_higher(
    higher: ModuleType, network: nn.Module, x: Tensor, y: Tensor, steps: int, rate: float
) -> nn.Module:
    """As in the library's README (https://github.com/facebookresearch/higher)."""
    inner = torch.optim.SGD(network.parameters(), lr=rate)
    with higher.innerloop_ctx(network, inner, copy_initial_weights=False) as (adapted, optimizer):
        for _ in range(steps):
            optimizer.step(F.cross_entropy(adapted(x), y))
    return adapted


def by_learn2learn(
    learn2learn: ModuleType, network: nn.Module, x: Tensor, y: Tensor, steps: int, rate: float
) -> nn.Module:
    """As in the library's examples (https://github.com/learnables/learn2learn)."""
    adapted = learn2learn.algorithms.MAML(network, lr=rate, first_order=False).clone()
    for _ in range(steps):
        adapted.adapt(F.cross_entropy(adapted(x), y))
    return adapted


PEERS: dict[str, Adapt] = {"higher": by_higher, "learn2learn": by_learn2learn}


def importable() -> tuple[dict[str, ModuleType], dict[str, str]]:
    """Return the libraries that can be imported, and for each of the others the reason."""
    found, missing = {}, {}
    for name in PEERS:
        try:
            found[name] = import_module(name)
        except Exception as error:  # compiled parts of an unmaintained library fail in many ways
            missing[name] = f"{type(error).__name__}: {error}"
    return found, missing
