"""The Gaussian process of regression against scikit-learn and the true prior of the tasks."""

import math

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, ExpSineSquared

from algos.baseline.gp import GaussianProcess, moments
from bench.protocol.function_source import evaluate_points
from bench.protocol.scores import _regression_scores
from tasks.functions import FunctionEpisodes
from tasks.sinusoid import Sinusoids
from tests.waves import CPU, SPEC, small, waves


def test_the_prior_has_the_moments_of_the_tasks():
    """Against a million sinusoids, also of another range."""
    for amplitude, phase in [((0.1, 5.0), (0.0, math.pi)), ((5.0, 10.0), (0.3, 1.0))]:
        draw = np.random.default_rng(0)
        a, p = (draw.uniform(*bounds, 1_000_000) for bounds in (amplitude, phase))
        weights = np.stack([a * np.cos(p), -a * np.sin(p)])
        mean, covariance = moments(amplitude, phase)
        np.testing.assert_allclose(mean, weights.mean(1), atol=0.01)
        np.testing.assert_allclose(covariance, np.cov(weights), atol=0.03)


@pytest.mark.parametrize("prior", ["sinusoids", "periodic"])
def test_the_gaussian_process_is_scikit_learns(prior, float64):
    ours, tasks = GaussianProcess(SPEC, GaussianProcess.Params(prior=prior, noise=0.1, length=0.7)), waves()
    mean, variance = ours.distribution(ours.adapt(tasks.support_x, tasks.support_y, 1), tasks.query_x)
    square = ours.weight_covariance.trace() + ours.weight_mean.square().sum()
    for t in range(3):
        x, y, query = tasks.support_x[t], tasks.support_y[t, :, 0], tasks.query_x[t]
        if prior == "periodic":
            kernel = ConstantKernel(float(square) / 2) * ExpSineSquared(0.7, 2 * math.pi)
            process = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(x.numpy(), y.numpy())
            expected, deviation = process.predict(query.numpy(), return_std=True)
        else:
            expected, deviation = _bayesian_linear(ours, x, y, query)
        np.testing.assert_allclose(mean[t, :, 0], expected, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(variance[t, :, 0], deviation**2 + 0.1, rtol=1e-8)


def _bayesian_linear(ours, x, y, query):
    """The same posterior in weight space: precisions of the two weights add up."""
    basis, at = (torch.cat([points.sin(), points.cos()], dim=-1) for points in (x, query))
    prior = torch.linalg.inv(ours.weight_covariance)
    covariance = torch.linalg.inv(prior + basis.T @ basis / 0.1)
    weights = covariance @ (prior @ ours.weight_mean + basis.T @ y / 0.1)
    return at @ weights, (at @ covariance * at).sum(-1).sqrt()


def test_the_true_prior_needs_two_points_and_the_period_alone_needs_more():
    frozen = FunctionEpisodes.draw(Sinusoids(), 200, 5, 15, "gp")
    errors = {
        prior: evaluate_points(small("gp", prior=prior, noise=1e-4), frozen, CPU)["mse"].mean()
        for prior in ("sinusoids", "periodic")
    }
    assert errors["sinusoids"] < 1e-3 < 0.05 < errors["periodic"] < 1.5


def test_intervals_of_the_right_width_cover():
    """Data from the periodic prior itself, with its noise: 95 % of the targets lie in the 95 % interval."""
    learner = small("gp", prior="periodic").double()
    x = torch.rand(400, 20, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 10 - 5
    noisy = learner.covariance(x, x) + learner.params.noise * torch.eye(20)
    y = torch.linalg.cholesky(noisy) @ torch.randn(
        400, 20, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    mean, variance = learner.distribution(learner.adapt(x[:, :5], y[:, :5], 1), x[:, 5:])
    coverage = _regression_scores(mean, variance, y[:, 5:], 100.0)["coverage"].mean().item()
    assert coverage == pytest.approx(0.95, abs=0.01)
