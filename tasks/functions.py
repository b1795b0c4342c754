"""Generated regression tasks: functions of one number, drawn from a distribution and seen at a few points."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch

from tasks.episodes import Episodes
from tasks.seeds import numpy_generator

Range = tuple[float, float]


def scaled(uniform: Any, bounds: Range) -> Any:
    """Map uniform draws in [0, 1) to a range (low, high)."""
    return bounds[0] + (bounds[1] - bounds[0]) * uniform


@dataclass(frozen=True)
class Functions:
    """A distribution of tasks. A subclass adds ranges as fields and defines the function of given parameters.

    x: range of the inputs; noise: standard deviation of Gaussian noise on every target, support and query alike.
    ValueError: a range that is none, or negative noise.
    """

    x: Range = (-1.0, 1.0)
    noise: float = 0.0

    NAME: ClassVar[str]
    PARAMETERS: ClassVar[tuple[str, ...]]
    """Names of the parameters of a task, each drawn from one uniform number."""
    OUT_OF_RANGE: ClassVar[dict[str, Range]] = {}
    """Ranges beyond meta-training, by field."""
    SPLITS: ClassVar[dict[str, dict[str, Any]]] = {}
    """Fields of other versions of the tasks, by name of the split."""
    LARGEST_MSE: ClassVar[float]
    """Upper limit of an episode's mean squared error: twice the mean square of the largest function."""

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "noise":
                if value < 0:
                    raise ValueError(f"{self.NAME} noise {value} is negative: give a standard deviation")
            elif len(value) != 2 or not value[0] <= value[1]:
                raise ValueError(f"{self.NAME} {field.name} {value} is no range: give (low, high)")

    def parameters(self, uniform: Any) -> list[Any]:
        """Return the parameters of T tasks, `[T, 1]` each, from uniform draws `[T, len(PARAMETERS)]`."""
        return [scaled(uniform[:, i : i + 1], getattr(self, name)) for i, name in enumerate(self.PARAMETERS)]

    def value(self, parameters: Sequence[Any], x: Any) -> Any:
        """Return the functions with these parameters (`[T, 1]` each) at x `[T, n]`; arrays or tensors."""
        raise NotImplementedError

    def evaluate(self, uniform: Any) -> tuple[Any, Any, list[Any]]:
        """Return x `[T, n]`, y `[T, n]` and the parameters, from uniform draws `[T, len(PARAMETERS) + n]`."""
        known = len(self.PARAMETERS)
        parameters, x = self.parameters(uniform[:, :known]), scaled(uniform[:, known:], self.x)
        return x, self.value(parameters, x), parameters


class FunctionSampler:
    """Training episodes, generated on the generator's device."""

    def __init__(self, generator: torch.Generator, functions: Functions):
        self.generator, self.functions = generator, functions

    def sample(self, tasks: int, way: int, shot: int, query: int, labels: str = "shuffled") -> Episodes:
        """Draw `tasks` episodes: x and y float32 `[tasks, shot, 1]` and `[tasks, query, 1]`; `way` is ignored.

        ValueError: `labels` other than "shuffled".
        """
        if labels != "shuffled":
            raise ValueError(
                f"train_labels: {self.functions.NAME} tasks have no classes whose labels could be fixed by {labels!r}; "
                "leave the key out, or give it for classification data sets only"
            )
        options = {"generator": self.generator, "device": self.generator.device}
        draws = len(self.functions.PARAMETERS) + shot + query
        x, y, truth = self.functions.evaluate(torch.rand(tasks, draws, **options))
        if self.functions.noise:
            y = y + self.functions.noise * torch.randn(y.shape, **options)
        return _split(x.unsqueeze(-1), y.unsqueeze(-1), torch.cat(truth, 1), shot)


def _split(x: torch.Tensor, y: torch.Tensor, truth: torch.Tensor, shot: int) -> Episodes:
    return Episodes(x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:], way=1, truth=truth)


@dataclass(frozen=True, eq=False)
class FunctionEpisodes:
    """Frozen episodes, shared by every algorithm, seed and device.

    x, y: float32 `[T, shot + query, 1]`, support first; truth: float64 `[T, p]`, parameters of each task.
    """

    x: np.ndarray
    y: np.ndarray
    truth: np.ndarray
    functions: Functions
    shot: int
    way: int = 1

    @classmethod
    def draw(
        cls, functions: Functions, tasks: int, shot: int, query: int, *axes: str | int
    ) -> "FunctionEpisodes":
        """Draw episodes as a pure function of the arguments; episode t does not depend on how many follow it.

        The ranges do not enter the seed: with equal axes, tasks of another range are the same draws on another scale,
        which pairs the episodes in and out of the training range.
        """
        name, draws = functions.NAME, len(functions.PARAMETERS) + shot + query
        uniform = numpy_generator(name, shot, query, *axes).random((tasks, draws))
        x, y, truth = functions.evaluate(uniform)
        y = y + functions.noise * numpy_generator(f"{name} noise", shot, query, *axes).normal(size=y.shape)
        x, y = (a[..., None].astype(np.float32) for a in (x, y))
        return cls(x, y, np.concatenate(truth, 1), functions, shot)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def digest(self) -> str:
        """sha256 of the points, stored with each result and checked before two results are compared."""
        code = hashlib.sha256(f"{self.functions.NAME} {self.shot}-shot".encode())
        for array in (self.x, self.y):
            code.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return code.hexdigest()

    def head(self, tasks: int) -> "FunctionEpisodes":
        """Return the first `tasks` episodes."""
        columns = (a[:tasks] for a in (self.x, self.y, self.truth))
        return FunctionEpisodes(*columns, self.functions, self.shot)

    def batch(self, start: int, stop: int, device: str | torch.device = "cpu") -> Episodes:
        """Return episodes `start` to `stop - 1` on the device."""
        arrays = (self.x, self.y, self.truth.astype(np.float32))
        return _split(*(torch.from_numpy(array[start:stop]).to(device) for array in arrays), self.shot)
