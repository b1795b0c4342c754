"""Your own network as the encoder of a learner: `backbone: my/net.py:build` (docs/network.md)."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from algos.base import TaskSpec
from algos.nets.layers import InputNorm, Statistics

NORMS = nn.modules.batchnorm._BatchNorm
PROBES = 3
"""Random images that a network is tried on."""


class OwnEncoder(nn.Module):
    """A network `[n, *input_shape] -> [n, features]` in the place of a built-in one: `[B, n, *input_shape] -> [B, n, features]`.

    Images are normalised before. Batch norm layers follow the mode: running averages, or the statistics of each task's
    batch, which change the averages only in training.
    """

    def __init__(self, network: nn.Module, spec: TaskSpec, features: int):
        super().__init__()
        self.network, self.features = network, features
        self.normalise = InputNorm(spec.mean, spec.std) if len(spec.input_shape) == 3 else nn.Identity()

    def forward(self, x: Tensor, statistics: Statistics) -> Tensor:
        batch = statistics.mode == "batch"
        for layer in self.network.modules():
            if isinstance(layer, NORMS):
                layer.training = batch
                layer.track_running_stats = self.training or not batch
        x = self.normalise(x)
        if not batch:
            return self.network(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return torch.stack([self.network(task) for task in x])


def build(path: str, spec: TaskSpec) -> OwnEncoder:
    """Return the encoder that `FILE.py:FUNCTION` builds; the function gets the TaskSpec and returns an nn.Module.

    The file may import others that lie beside it. FileNotFoundError, ValueError: what the file, the function or its
    network lacks.
    """
    file, _, name = path.rpartition(":")
    if not Path(file).is_file():
        raise FileNotFoundError(f"backbone {path}: there is no file {file} in {Path.cwd()}")
    beside = str(Path(file).resolve().parent)
    sys.path.insert(0, beside)
    try:
        network = _function(path, file, name)(spec)
    finally:
        sys.path.remove(beside)
    return OwnEncoder(network, spec, check(network, path, spec))


def check(network: nn.Module, path: str, spec: TaskSpec) -> int:
    """Return the number of features of a network, after trying it on random images. ValueError names what is wrong."""

    def wrong(what: str) -> ValueError:
        return ValueError(f"backbone {path}: {what}")

    if not isinstance(network, nn.Module):
        raise wrong(f"the function must return a torch.nn.Module, not {type(network).__name__}")
    for name, weight in network.named_parameters():
        if not weight.is_floating_point():
            raise wrong(f"parameter {name} is {weight.dtype}, not float: make it a buffer, or convert it")
    x = torch.rand(PROBES, *spec.input_shape, generator=torch.Generator().manual_seed(0))
    shape = f"[{PROBES}, {', '.join(map(str, spec.input_shape))}]"
    found = _answers(network, x, wrong, shape)
    if found.ndim != 2 or len(found) != PROBES or not found.is_floating_point():
        raise wrong(
            f"images {shape} gave {found.dtype} {list(found.shape)}, expected float [{PROBES}, features]: "
            "end with nn.Flatten(), and without a classifier"
        )
    if not torch.isfinite(found).all():
        raise wrong("random images gave NaN or infinite features; check its weights and divisions")
    if not torch.equal(found, _answers(network, x, wrong, shape)):
        raise wrong("the same images gave other features: nothing may be random in evaluation mode")
    alone = torch.cat([_answers(network, one, wrong, shape) for one in x.split(1)])
    if not torch.allclose(alone, found, rtol=1e-3, atol=1e-4 * float(found.abs().max())):
        raise wrong("the features of an image depend on the other images, in evaluation mode")
    return found.shape[1]


def _answers(network: nn.Module, x: Tensor, wrong: Callable[[str], ValueError], shape: str) -> Tensor:
    """What the network answers in evaluation mode. ValueError: it takes no images of this shape, or answers no tensor."""
    training = network.training
    try:
        with torch.no_grad():
            found = network.eval()(x)
    except Exception as error:  # whatever an own file raises
        raise wrong(
            f"it cannot take images {shape}: {type(error).__name__}: {error}. Where it needs another size or number of "
            "channels, let the function put nn.Upsample or a convolution in front, or use baseline `frozen` (size, channels)"
        ) from error
    finally:
        network.train(training)
    if not isinstance(found, Tensor):
        raise wrong(f"it returns {type(found).__name__}, not a tensor of features")
    return found


def _function(path: str, file: str, name: str) -> Callable[[TaskSpec], nn.Module]:
    specification = importlib.util.spec_from_file_location(f"_backbone_{Path(file).stem}", file)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    if not callable(getattr(module, name, None)):
        known = ", ".join(n for n, v in vars(module).items() if callable(v) and n[0] != "_") or "none"
        raise ValueError(f"backbone {path}: {file} has no function {name!r}; it has {known}")
    return getattr(module, name)
