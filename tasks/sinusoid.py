"""Sinusoid regression (Finn et al. 2017, section 5.1): y = amplitude * sin(frequency * x - phase) (+ noise)."""

import hashlib
import math
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch

from tasks.episodes import Episodes
from tasks.seeds import numpy_generator

Range = tuple[float, float]

OUT_OF_RANGE = {
    "amplitude": (5.0, 10.0),
    "phase": (math.pi, 2 * math.pi),
}  # beyond the tasks of meta-training
ALPACA = {"frequency": (0.999, 1.0), "noise": math.sqrt(0.02)}  # Harrison et al. 2018


@dataclass(frozen=True)
class Sinusoids:
    """A distribution of tasks, each parameter uniform in its range (low, high).

    Every target, of the support and of the query, carries Gaussian noise of standard deviation `noise`.
    """

    amplitude: Range = (0.1, 5.0)
    phase: Range = (0.0, math.pi)
    frequency: Range = (1.0, 1.0)
    x: Range = (-5.0, 5.0)
    noise: float = 0.0

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "noise":
                if value < 0:
                    raise ValueError(f"sinusoid noise {value} is negative: give a standard deviation")
            elif len(value) != 2 or not value[0] <= value[1]:
                raise ValueError(f"sinusoid {field.name} {value} is no range: give (low, high)")

    def evaluate(self, uniform: Any, sin: Any) -> tuple[Any, Any, dict[str, Any]]:
        """Turn uniform draws in [0, 1) `[T, 3 + n]` into x `[T, n]`, y `[T, n]` and the parameters `[T, 1]`.

        Arrays or tensors; `sin` is the sine that goes with them.
        """
        names = ("amplitude", "phase", "frequency")
        task = {name: _scale(uniform[:, i : i + 1], getattr(self, name)) for i, name in enumerate(names)}
        x = _scale(uniform[:, len(names) :], self.x)
        return x, task["amplitude"] * sin(task["frequency"] * x - task["phase"]), task


def _scale(uniform: Any, bounds: Range) -> Any:
    return bounds[0] + (bounds[1] - bounds[0]) * uniform


class SinusoidSampler:
    """Training episodes, generated on the generator's device. Keyword arguments: see Sinusoids."""

    def __init__(self, generator: torch.Generator, **parameters: Any):
        self.generator, self.sinusoids = generator, Sinusoids(**parameters)

    def sample(self, tasks: int, way: int, shot: int, query: int, labels: str = "shuffled") -> Episodes:
        """`tasks` episodes: x and y float32 `[tasks, shot, 1]` and `[tasks, query, 1]`; `way` is ignored."""
        if labels != "shuffled":
            raise ValueError(
                f"train_labels: sinusoids have no classes whose labels could be fixed by {labels!r}; leave the key out, "
                f"or give it for classification data sets only"
            )
        options = {"generator": self.generator, "device": self.generator.device}
        x, y, _ = self.sinusoids.evaluate(torch.rand(tasks, 3 + shot + query, **options), torch.sin)
        if self.sinusoids.noise:
            y = y + self.sinusoids.noise * torch.randn(y.shape, **options)
        x, y = x.unsqueeze(-1), y.unsqueeze(-1)
        return Episodes(x[:, :shot], y[:, :shot], x[:, shot:], y[:, shot:], way=1)


@dataclass(frozen=True, eq=False)
class SinusoidEpisodes:
    """Frozen episodes, shared by every algorithm, seed and device.

    x, y float32 `[T, shot + query, 1]`, the support first; amplitude, phase, frequency float64 `[T]`.
    """

    x: np.ndarray
    y: np.ndarray
    amplitude: np.ndarray
    phase: np.ndarray
    frequency: np.ndarray
    shot: int
    way: int = 1
    DOMAIN: ClassVar[Range] = Sinusoids.x
    """Where x is drawn from."""

    @classmethod
    def draw(
        cls, tasks: int, shot: int, query: int, *axes: str | int, **parameters: Any
    ) -> "SinusoidEpisodes":
        """A pure function of its arguments; episode t does not depend on how many follow it.

        Keyword arguments: see Sinusoids. They do not enter the seed: with equal axes, tasks of another range are the
        same draws, scaled, which pairs the episodes in and out of the training range.
        """
        sinusoids = Sinusoids(**parameters)
        points = shot + query
        uniform = numpy_generator("sinusoid", shot, query, *axes).random((tasks, 3 + points))
        x, y, task = sinusoids.evaluate(uniform, np.sin)
        y = y + sinusoids.noise * numpy_generator("sinusoid noise", shot, query, *axes).normal(size=y.shape)
        x, y = (a[..., None].astype(np.float32) for a in (x, y))
        return cls(x, y, **{name: values[:, 0] for name, values in task.items()}, shot=shot)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def digest(self) -> str:
        """sha256 of the points; stored with each result and checked before two results are compared."""
        code = hashlib.sha256(f"sinusoid {self.shot}-shot".encode())
        for array in (self.x, self.y):
            code.update(np.ascontiguousarray(array, dtype="<f4").tobytes())
        return code.hexdigest()

    def head(self, tasks: int) -> "SinusoidEpisodes":
        """The first `tasks` episodes."""
        columns = (a[:tasks] for a in (self.x, self.y, self.amplitude, self.phase, self.frequency))
        return SinusoidEpisodes(*columns, shot=self.shot)

    def batch(self, start: int, stop: int, device: str | torch.device = "cpu") -> Episodes:
        """Episodes start..stop on the device."""
        x, y = (torch.from_numpy(array[start:stop]).to(device) for array in (self.x, self.y))
        return Episodes(x[:, : self.shot], y[:, : self.shot], x[:, self.shot :], y[:, self.shot :], self.way)
