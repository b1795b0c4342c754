"""Two-level intervals over seeds and episodes, and paired differences on frozen episodes.

Every model of a cell (one per training seed) is tested on the same frozen episodes, so the values form a crossed
table y[s, e] = mu + a_s + b_e + c_se with few seeds (1 to 10) and many episodes (100 to 10,000). mu is the mean over
all seeds and all episodes that could have been drawn.

The plain two-level percentile bootstrap fails here. Resampling n seeds underestimates their variance by (n - 1) / n
and has no tails with n = 2 (Davison & Hinkley 1997, 2.3, 3.8), while resampling both ways counts the interaction
c_se three times (Owen 2007, The pigeonhole bootstrap, Annals of Applied Statistics 1(2)). So the two levels are
taken apart:

* episodes: all seeds are averaged under the same resampled episodes. What varies *together* is the variance of b_e,
  the mean covariance between the seeds' replicates, times E / (E - 1). The replicates' quantiles give the shape,
  which is skewed near the bounds of an accuracy.
* seeds: their averages differ by a_s and c_se. The variance of n averages over n, with Student's t of n - 1 degrees
  of freedom: two or three points cannot be resampled into a tail.

The two quantiles are weighted by their share in the variance as in Cochran & Cox (1950, Experimental Designs, 4.14),
on the scale of square roots: with two seeds the published weights cover up to 97.8 % of normal tables where these
cover 93.1 to 97.3 %. tests/test_intervals.py measures the coverage on accuracies with a known truth.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from scipy import special

from bench.statistics.seed_variance import Part, SeedPrior, part_of_mean, pooled, reach
from tasks.seeds import numpy_generator

DRAWS = 2000
"""Bootstrap resamples of the episodes."""
SEEDS_AND_EPISODES, EPISODES = "seeds and episodes", "episodes"


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; arrays when several cells were computed at once.

    levels: `SEEDS_AND_EPISODES`, or `EPISODES` when one seed was given and the spread over trainings is unknown: the
    interval then speaks of this trained model, not of the algorithm. law: of the error of the mean, where it is known.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    levels: str
    law: "_Law | None" = None

    @cached_property
    def p(self) -> np.ndarray:
        """Two-sided p of a mean of zero; NaN where one seed or no law tells how trainings differ."""
        if self.law is None or self.levels == EPISODES:
            return np.full(np.shape(self.mean), np.nan)
        return self.law.p_value(self.mean)


def _resample(generator: np.random.Generator, episodes: int, draws: int) -> np.ndarray:
    """Return how often each episode occurs in each resample, over E: `[draws, E]`."""
    picked = generator.integers(0, episodes, (draws, episodes)) + episodes * np.arange(draws)[:, None]
    counts = np.bincount(picked.ravel(), minlength=draws * episodes)  # a tenth of the time of multinomial()
    return (counts / episodes).astype(np.float32).reshape(draws, episodes)


@lru_cache(maxsize=8)
def _common_resample(episodes: int, draws: int) -> np.ndarray:
    """Return the resamples that all cells of one size share: deterministic, drawn once."""
    return _resample(numpy_generator("bootstrap", episodes, draws), episodes, draws)


def two_level_interval(
    values: np.ndarray,
    level: float = 0.95,
    draws: int = DRAWS,
    generator: np.random.Generator | None = None,
    prior: SeedPrior | None = None,
) -> Interval:
    """Return the interval for the mean over seeds and episodes of values `[..., seeds, episodes]`.

    Leading dimensions are cells that are computed at once. The resamples are the same in every call unless a
    generator is given. `p` tests that the mean is zero. prior: what the study's learners tell about seeds.
    """
    return _interval([[(1.0, np.asarray(values))]], level, draws, generator, prior)


def paired(
    a: np.ndarray,
    b: np.ndarray,
    level: float = 0.95,
    draws: int = DRAWS,
    generator: np.random.Generator | None = None,
    prior: SeedPrior | None = None,
) -> Interval:
    """Return the interval for mean(a) - mean(b), a `[..., seeds, episodes]`, b `[..., seeds', episodes]`, same episodes.

    Values are paired by episode, not by seed: the trainings of two algorithms share no noise worth pairing, and two
    free variances keep their degrees of freedom. prior: what the study's learners tell about seeds; without one, p of
    one seed is NaN. p < 1 - level exactly when the interval excludes zero. Raises ValueError on different numbers of
    episodes.
    """
    return contrast([a], [b], level, draws, generator, prior)


def contrast(
    left: Sequence[np.ndarray],
    right: Sequence[np.ndarray],
    level: float = 0.95,
    draws: int = DRAWS,
    generator: np.random.Generator | None = None,
    prior: SeedPrior | None = None,
) -> Interval:
    """Return the interval for the mean over the learners of `left` minus that over the learners of `right`.

    Each learner has values `[..., seeds, episodes]` on the same episodes, and may have its own number of seeds. The mean
    is over these learners: others of their family might differ. `right` may be empty. As `paired` in everything else.
    """
    sides = [
        [(sign / len(side), np.asarray(values)) for values in side]
        for sign, side in ((1.0, left), (-1.0, right))
        if len(side)
    ]
    counts = sorted({values.shape[-1] for side in sides for _, values in side})
    if len(counts) > 1:
        raise ValueError(f"paired values need the same episodes, got {counts[-1]} and {counts[0]}")
    return _interval(sides, level, draws, generator, prior)


Side = list[tuple[float, np.ndarray]]
"""Learners that are averaged: the weight and the values `[..., seeds, episodes]` of each."""


def _interval(
    sides: list[Side],
    level: float,
    draws: int,
    generator: np.random.Generator | None,
    prior: SeedPrior | None,
) -> Interval:
    learners = [learner for side in sides for learner in side]
    for _, values in learners:
        if values.ndim < 2 or values.shape[-1] < 2 or not np.isfinite(values).all():
            raise ValueError(f"need finite values [..., seeds, episodes >= 2], got shape {values.shape}")
    episodes = learners[0][1].shape[-1]
    common = generator is None
    weights = _common_resample(episodes, draws) if common else _resample(generator, episodes, draws)
    mean = sum(weight * values.mean((-2, -1), dtype=np.float64) for weight, values in learners)
    replicates = [_replicates(values, weights) for _, values in learners]
    shift = sum(weight * r.mean(-2) for (weight, _), r in zip(learners, replicates, strict=True))
    both_levels = prior is not None or all(values.shape[-2] > 1 for _, values in learners)
    inflation = episodes / (episodes - 1)
    if both_levels:
        parts = [_side_part(side, prior) for side in sides]
        covariance = _shared_covariance([weight for weight, _ in learners], replicates, shift)
        episode_variance = np.maximum(covariance, 0) * inflation
    else:
        parts = [Part(np.zeros(mean.shape), np.ones(mean.shape))]
        episode_variance = (shift**2).mean(-1) * inflation
    law = _Law(parts, prior is not None, episode_variance, episodes, _side_factors(shift, level))
    tail = (1 - level) / 2
    low, high = mean - law.reach(tail, below=True), mean + law.reach(tail, below=False)
    return Interval(mean, low, high, SEEDS_AND_EPISODES if both_levels else EPISODES, law)


def _side_part(side: Side, prior: SeedPrior | None) -> Part:
    """Return the part that seeds have in the error of the mean of a side's learners."""
    parts = [(weight, part_of_mean(values, prior)) for weight, values in side]
    return pooled([Part(weight**2 * part.variance, part.freedom) for weight, part in parts])


def _replicates(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return each seed's mean under each resample of the episodes, as deviations: `[..., seeds, draws]`."""
    centred = values - values.mean(-1, keepdims=True, dtype=np.float64)
    rows = centred.reshape(-1, values.shape[-1]).astype(np.float32) @ weights.T  # one product for all cells
    replicates = rows.reshape(*values.shape[:-1], -1)
    return replicates - replicates.mean(-1, keepdims=True)


def _shared_covariance(weights: list[float], replicates: list[np.ndarray], shift: np.ndarray) -> np.ndarray:
    """Return the bootstrap variance of what all seeds have in common: covariances between different seeds only.

    That is the variance of everything (`shift`, the weighted mean of the replicates), less what is a seed's own. One
    seed alone counts with all of its variance, for what is its own cannot be told apart.
    """
    total = (shift**2).mean(-1)
    for weight, r in zip(weights, replicates, strict=True):
        seeds = r.shape[-2]
        if seeds > 1:
            everything, own = (r.mean(-2) ** 2).mean(-1), (r**2).mean(-1).sum(-1) / seeds**2
            total = total - weight**2 * (everything - (everything - own) * seeds / (seeds - 1))
    return total


def _side_factors(shift: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return how far the replicates reach below and above their mean, over the reach of a normal law of their deviation."""
    tail = (1 - level) / 2
    low, high = np.quantile(shift, [tail, 1 - tail], axis=-1)
    scale = -shift.std(-1) * special.ndtri(tail)
    one = np.ones(scale.shape)
    return np.divide(-low, scale, out=one.copy(), where=scale > 0), np.divide(
        high, scale, out=one, where=scale > 0
    )


@dataclass(frozen=True)
class _Law:
    """The law of the error of a mean: the parts of seeds (one per side) and of episodes, and the tails of each."""

    seeds: list[Part]
    prior: bool
    episode_variance: np.ndarray
    episodes: int
    sides: tuple[np.ndarray, np.ndarray]

    def reach(self, tail: float | np.ndarray, below: bool | np.ndarray) -> np.ndarray:
        """Return the distance from the mean that is exceeded with probability `tail` on one side."""
        seed_variance = sum(part.variance for part in self.seeds)
        variance = seed_variance + self.episode_variance
        share = np.divide(seed_variance, variance, out=np.zeros(np.shape(variance)), where=variance > 0)
        side = np.where(below, *self.sides)
        of_seeds = reach(self.seeds, tail, self.prior)
        of_episodes = -side * special.stdtrit(self.episodes - 1, tail)
        quantile = (share * np.sqrt(of_seeds) + (1 - share) * np.sqrt(of_episodes)) ** 2
        return np.sqrt(variance) * quantile

    def p_value(self, mean: np.ndarray) -> np.ndarray:
        """Return the two-sided p of a mean of zero: the level at which the interval touches zero, by bisection of log p.

        p is at least 1e-16: no tail of these laws is known farther out.
        """
        distance, below = np.abs(mean), mean > 0
        low, high = np.full(np.shape(mean), -16.0), np.zeros(np.shape(mean))
        for _ in range(50):
            middle = (low + high) / 2
            inside = self.reach(10.0**middle / 2, below) > distance
            low, high = np.where(inside, middle, low), np.where(inside, high, middle)
        return np.where(distance > 0, 10.0**high, 1.0)
