"""Sinusoid regression: ranges, moments, determinism and exact values."""

import math

import numpy as np
import pytest
import torch

from tasks.functions import FunctionEpisodes, FunctionSampler
from tasks.seeds import torch_generator
from tasks.sinusoid import ALPACA, Sinusoids

OUT_OF_RANGE = Sinusoids.OUT_OF_RANGE


def sampler(*axes, **ranges):
    return FunctionSampler(torch_generator("cpu", "test", *axes), Sinusoids(**ranges))


def draw(tasks, shot, query, *axes, **ranges):
    return FunctionEpisodes.draw(Sinusoids(**ranges), tasks, shot, query, *axes)


def fit(x, y):
    """Amplitude and phase of noise-free points of frequency 1 by least squares: y = a sin x + b cos x."""
    basis = np.stack([np.sin(x), np.cos(x)], axis=-1)
    a, b = np.linalg.lstsq(basis, y, rcond=None)[0]
    return math.hypot(a, b), math.atan2(-b, a)


def test_sampler_shapes():
    episodes = sampler().sample(tasks=6, way=5, shot=3, query=4)
    assert episodes.way == 1
    assert episodes.support_x.shape == episodes.support_y.shape == (6, 3, 1)
    assert episodes.query_x.shape == episodes.query_y.shape == (6, 4, 1)
    assert episodes.support_x.dtype == episodes.query_y.dtype == torch.float32


@pytest.mark.parametrize(
    "parameters, amplitude, phase",
    [({}, (0.1, 5.0), (0.0, math.pi)), (OUT_OF_RANGE, (5.0, 10.0), (math.pi, 2 * math.pi))],
)
def test_sampled_points_lie_on_sinusoids_of_the_range(parameters, amplitude, phase):
    """Each task's amplitude and phase are recovered from its points, and support and query share them."""
    episodes = sampler(**parameters).sample(2000, 1, 10, 10)
    x = torch.cat([episodes.support_x, episodes.query_x], 1)[..., 0].double().numpy()
    y = torch.cat([episodes.support_y, episodes.query_y], 1)[..., 0].double().numpy()
    assert -5 <= x.min() < -4.99 and 4.99 < x.max() <= 5
    assert x.mean() == pytest.approx(0, abs=0.06) and x.var() == pytest.approx(100 / 12, rel=0.03)
    found = np.array([fit(*task) for task in zip(x, y, strict=True)])
    assert np.allclose(y, found[:, :1] * np.sin(x - found[:, 1:]), atol=1e-4)
    found[:, 1] %= 2 * math.pi
    for values, (low, high) in zip(found.T, (amplitude, phase), strict=True):
        assert values.min() >= low - 1e-4 and values.max() <= high + 1e-4
        assert values.mean() == pytest.approx((low + high) / 2, abs=0.03 * (high - low))
        assert values.var() == pytest.approx((high - low) ** 2 / 12, rel=0.08)


def test_sampler_is_deterministic_and_moves_on():
    first, second = sampler("a"), sampler("a")
    batch = first.sample(3, 1, 5, 5)
    assert torch.equal(batch.query_y, second.sample(3, 1, 5, 5).query_y)
    assert not torch.equal(batch.query_y, first.sample(3, 1, 5, 5).query_y)
    assert not torch.equal(batch.query_y, sampler("b").sample(3, 1, 5, 5).query_y)


def test_frozen_values_equal_numpy():
    frozen = draw(300, 5, 10, "values", frequency=(0.5, 2.0))
    a, p, f = frozen.truth.T[..., None, None]
    assert np.allclose(frozen.y, a * np.sin(f * frozen.x - p), atol=2e-5)
    assert frozen.x.shape == (300, 15, 1) and frozen.y.dtype == np.float32
    assert 0.5 <= f.min() < 0.55 and 1.95 < f.max() < 2


def test_frozen_batches_are_slices():
    frozen = draw(12, 5, 10, "slices")
    batch = frozen.batch(4, 7)
    assert len(batch) == 3 and batch.way == 1
    assert np.array_equal(torch.cat([batch.support_x, batch.query_x], 1), frozen.x[4:7])
    assert np.array_equal(torch.cat([batch.support_y, batch.query_y], 1), frozen.y[4:7])
    assert batch.support_y.shape == (3, 5, 1)


def test_frozen_episodes_depend_on_their_axes_only():
    many, few = draw(50, 5, 10, "x", 0), draw(20, 5, 10, "x", 0)
    assert few.digest == draw(20, 5, 10, "x", 0).digest == many.head(20).digest
    others = [
        many.digest,
        draw(20, 5, 10, "x", 1).digest,
        draw(20, 6, 9, "x", 0).digest,
        draw(20, 5, 10, "x", 0, **OUT_OF_RANGE).digest,
    ]
    assert len({few.digest, *others}) == 5


def test_ranges_are_paired_by_their_axes():
    inside = draw(100, 5, 10, "x")
    outside = draw(100, 5, 10, "x", **OUT_OF_RANGE)
    assert np.array_equal(inside.x, outside.x)
    amplitude, phase, _ = outside.truth.T
    assert np.allclose((inside.truth[:, 0] - 0.1) / 4.9, (amplitude - 5) / 5)
    assert amplitude.min() >= 5 and amplitude.max() <= 10
    assert phase.min() >= math.pi and phase.max() <= 2 * math.pi


def test_alpaca_variant():
    """Frequency about 1 and noise of variance 0.02 on top of the noise-free targets."""
    frozen = draw(500, 5, 15, "alpaca", **ALPACA)
    a, p, f = frozen.truth.T[..., None, None]
    assert 0.999 <= f.min() < f.max() <= 1.0
    noise = frozen.y - a * np.sin(f * frozen.x - p)
    assert noise.mean() == pytest.approx(0, abs=0.006) and noise.var() == pytest.approx(0.02, rel=0.06)
    batch = sampler("alpaca", amplitude=(0, 0), **ALPACA).sample(500, 1, 5, 15)
    assert batch.query_y.var().item() == pytest.approx(0.02, rel=0.06)
    assert batch.support_y.var().item() == pytest.approx(0.02, rel=0.1)


@pytest.mark.parametrize(
    "parameters, message", [({"amplitude": (5, 1)}, r"amplitude \(5, 1\)"), ({"noise": -1}, "noise -1")]
)
def test_bad_ranges_are_named(parameters, message):
    with pytest.raises(ValueError, match=message):
        sampler(**parameters)


def test_fixed_labels_are_refused():
    with pytest.raises(
        ValueError,
        match="train_labels: sinusoid tasks have no classes whose labels could be fixed by 'groups'",
    ):
        sampler().sample(2, 1, 5, 5, "groups")
