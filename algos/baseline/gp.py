"""Gaussian process that knows the distribution of the tasks: the best that meta-training could find.

Exact regression under a fixed prior over functions; nothing is trained. Prior `sinusoids` has the mean and covariance
of the training tasks. Prior `periodic` has only their period and mean square, not the knowledge that they are sines.

Rasmussen, Williams: Gaussian Processes for Machine Learning. MIT Press 2006 (algorithm 2.1).

Deviations: none; this is a yardstick of the benchmark.
1. Amplitude and phase are not Gaussian: `sinusoids` is the Gaussian process with the first two moments of the tasks,
   and its mean is the best linear predictor. Two noise-free points determine a sinusoid, so the remaining error comes
   from `noise`.
"""

import cmath
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from algos.base import HyperParameters, MetaLearner, TaskSpec, hyper
from tasks.functions import Range
from tasks.sinusoid import Sinusoids


class Fit(NamedTuple):
    """What the posterior needs to know about a support set."""

    x: Tensor
    """`[B, S, 1]`"""
    factor: Tensor
    """Cholesky factor of the covariance of the observations, `[B, S, S]`."""
    weights: Tensor
    """Inverse of that covariance times the centred observations, `[B, S, d]`."""


def moments(amplitude: Range, phase: Range) -> tuple[Tensor, Tensor]:
    """Mean `[2]` and covariance `[2, 2]` of w, where amplitude * sin(x - phase) = w . (sin x, cos x).

    w = amplitude * (cos phase, -sin phase), both uniform and independent.
    """
    low, high = phase
    once, twice = (
        (cmath.exp(1j * k * high) - cmath.exp(1j * k * low)) / (1j * k * (high - low)) for k in (1, 2)
    )  # means of cos(k * phase) + i sin(k * phase)
    first = sum(amplitude) / 2
    second = first**2 + (amplitude[1] - amplitude[0]) ** 2 / 12
    mean = first * torch.tensor([once.real, -once.imag])
    square = second / 2 * torch.tensor([[1 + twice.real, -twice.imag], [-twice.imag, 1 - twice.real]])
    return mean, square - mean.outer(mean)


class GaussianProcess(MetaLearner):
    title = "Gaussian process"
    family = "baseline"
    citation = "Rasmussen & Williams 2006"
    tasks = ("regression",)
    yardstick = True
    trainable = False
    modes = ("inductive",)

    @dataclass(frozen=True)
    class Params(HyperParameters):
        prior: str = hyper("sinusoids", "what is known of the tasks", ("sinusoids", "periodic"))
        noise: float = hyper(0.02, "variance of the observation noise, as if there were some")
        length: float = hyper(1.0, "length scale of the periodic prior, in radians")

    def __init__(self, spec: TaskSpec, params: HyperParameters):
        super().__init__(spec, params)
        tasks = Sinusoids()
        mean, covariance = moments(tasks.amplitude, tasks.phase)
        self.register_buffer("weight_mean", mean, persistent=False)
        self.register_buffer("weight_covariance", covariance, persistent=False)

    def mean(self, x: Tensor) -> Tensor:
        """Prior mean `[B, n, 1]` at x `[B, n, 1]`."""
        return self._basis(x) @ self.weight_mean.unsqueeze(-1) * (self.params.prior == "sinusoids")

    def covariance(self, a: Tensor, b: Tensor) -> Tensor:
        """Prior covariance `[B, n, m]` of the function at a `[B, n, 1]` and b `[B, m, 1]`."""
        if self.params.prior == "sinusoids":
            return self._basis(a) @ self.weight_covariance @ self._basis(b).mT
        square = self.weight_covariance + self.weight_mean.outer(self.weight_mean)
        away = torch.sin((a - b.mT) / 2) / self.params.length
        return square.trace() / 2 * torch.exp(-2 * away.square())

    @staticmethod
    def _basis(x: Tensor) -> Tensor:
        return torch.cat([x.sin(), x.cos()], dim=-1)

    def adapt(self, support_x: Tensor, support_y: Tensor, way: int) -> Fit:
        noise = self.params.noise * torch.eye(
            support_x.shape[1], dtype=support_x.dtype, device=support_x.device
        )
        factor = torch.linalg.cholesky(self.covariance(support_x, support_x) + noise)
        return Fit(support_x, factor, torch.cholesky_solve(support_y - self.mean(support_x), factor))

    def predict(self, phi: Fit, query_x: Tensor) -> Tensor:
        return self.mean(query_x) + self.covariance(query_x, phi.x) @ phi.weights

    def distribution(self, phi: Fit, query_x: Tensor) -> tuple[Tensor, Tensor]:
        across = self.covariance(phi.x, query_x)
        known = torch.linalg.solve_triangular(phi.factor, across, upper=False).square().sum(1)
        own = self.covariance(query_x.flatten(0, 1).unsqueeze(1), query_x.flatten(0, 1).unsqueeze(1))
        return self.predict(phi, query_x), (own.view_as(known) - known + self.params.noise).unsqueeze(-1)
