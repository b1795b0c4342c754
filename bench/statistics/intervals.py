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
from functools import lru_cache

import numpy as np
from scipy import special

from tasks.seeds import numpy_generator

DRAWS = 2000
"""Bootstrap resamples of the episodes."""
MOST_FREEDOM = 1000.0
"""Largest degrees of freedom of a prior; with more, its law is normal."""
CAUTION = 2.0
"""Factor on the prior's variance; a learner's own variance is never reduced. Between learners whose deviations over two
seeds differ by a factor of 15, the plain prior calls 11 % of equal pairs different at the 5 % level, this one 4 %."""
ROUNDING = 1e-24
"""Variance below which numbers are equal but for rounding."""


SEEDS_AND_EPISODES, EPISODES = "seeds and episodes", "episodes"


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval; arrays when several cells were computed at once.

    levels: `SEEDS_AND_EPISODES`, or `EPISODES` when one seed was given and the spread over trainings is unknown: the
    interval then speaks of this trained model, not of the algorithm, and p is NaN.
    """

    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    levels: str


@dataclass(frozen=True)
class SeedPrior:
    """How trainings of one study differ by seed: variances are about `variance`, known as well as from `freedom` seeds.

    Arrays when several cells have one each.
    """

    variance: float | np.ndarray
    freedom: float | np.ndarray


def seed_prior(tables: Sequence[np.ndarray]) -> SeedPrior | None:
    """Fit the prior to the values `[seeds, episodes]` of all learners under one condition; None from fewer than three.

    Two or three seeds say little about a variance (a t of one degree of freedom reaches 12.7 deviations), twenty
    learners of two seeds each say a lot about what variances are like. A scaled inverse chi-square prior, fitted by the
    first two moments of the logarithms (Smyth 2004, Linear models and empirical Bayes methods, section 6.2). Learners
    without any spread are left out: nothing in them is random.
    """
    seeds = [(t.mean(-1, dtype=np.float64).var(ddof=1), len(t) - 1) for t in tables if len(t) > 1]
    variance, freedom = np.array([pair for pair in seeds if pair[0] > ROUNDING]).reshape(-1, 2).T
    if len(variance) < 3:
        return None
    logs = np.log(variance) - special.digamma(freedom / 2) + np.log(freedom / 2)
    excess = logs.var(ddof=1) - special.polygamma(1, freedom / 2).mean()
    least = special.polygamma(1, MOST_FREEDOM / 2)
    prior = 2 * _inverse_trigamma(max(excess, least))
    return SeedPrior(np.exp(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2)), prior)


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value > 0; trigamma falls from infinity to zero."""
    from scipy import optimize  # takes 0.2 s to import; only studies of three or more learners need it

    return float(np.exp(optimize.brentq(lambda log: special.polygamma(1, np.exp(log)) - value, -15, 15)))


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
    values: np.ndarray, level: float = 0.95, draws: int = DRAWS, generator: np.random.Generator | None = None
) -> Interval:
    """Return the interval for the mean over seeds and episodes of values `[..., seeds, episodes]`.

    Leading dimensions are cells that are computed at once. The resamples are the same in every call unless a
    generator is given. `p` tests that the mean is zero.
    """
    return _interval([(1.0, np.asarray(values))], level, draws, generator)


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
    free variances keep twice the degrees of freedom. With a prior, a variance over seeds that is smaller than those of the
    study's learners is drawn towards theirs, and gains the prior's degrees of freedom (a moderated t-test); one seed has
    the prior's variance. A larger variance keeps its own degrees of freedom: the prior says nothing of a learner that
    scatters more than the others. p < 1 - level exactly when the interval excludes zero; without a prior, p of one seed is
    NaN. Raises ValueError on different numbers of episodes.
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"paired values need the same episodes, got {a.shape[-1]} and {b.shape[-1]}")
    return _interval([(1.0, a), (-1.0, b)], level, draws, generator, prior)


def _interval(
    groups: Sequence[tuple[float, np.ndarray]],
    level: float,
    draws: int,
    generator,
    prior: SeedPrior | None = None,
) -> Interval:
    for _, values in groups:
        if values.ndim < 2 or values.shape[-1] < 2 or not np.isfinite(values).all():
            raise ValueError(f"need finite values [..., seeds, episodes >= 2], got shape {values.shape}")
    episodes = groups[0][1].shape[-1]
    common = generator is None
    weights = _common_resample(episodes, draws) if common else _resample(generator, episodes, draws)
    mean = sum(sign * values.mean((-2, -1), dtype=np.float64) for sign, values in groups)
    replicates = [_replicates(values, weights) for _, values in groups]
    shift = sum(sign * r.mean(-2) for (sign, _), r in zip(groups, replicates, strict=True))
    both_levels = prior is not None or all(values.shape[-2] > 1 for _, values in groups)
    inflation = episodes / (episodes - 1)
    if both_levels:
        seed_variance, freedom = _seed_variance([values for _, values in groups], prior)
        episode_variance = np.maximum(_shared_covariance(groups, replicates), 0) * inflation
    else:
        seed_variance, freedom = np.zeros(mean.shape), np.ones(mean.shape)
        episode_variance = (shift**2).mean(-1) * inflation
    law = _Law(seed_variance, freedom, episode_variance, episodes, _side_factors(shift, level))
    tail = (1 - level) / 2
    low, high = mean - law.reach(tail, below=True), mean + law.reach(tail, below=False)
    if both_levels:
        return Interval(mean, low, high, law.p_value(mean), SEEDS_AND_EPISODES)
    return Interval(mean, low, high, np.full(np.shape(mean), np.nan), EPISODES)


def _replicates(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return each seed's mean under each resample of the episodes, as deviations: `[..., seeds, draws]`."""
    centred = values - values.mean(-1, keepdims=True, dtype=np.float64)
    rows = centred.reshape(-1, values.shape[-1]).astype(np.float32) @ weights.T  # one product for all cells
    replicates = rows.reshape(*values.shape[:-1], -1)
    return replicates - replicates.mean(-1, keepdims=True)


def _seed_variance(groups: list[np.ndarray], prior: SeedPrior | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of the (difference of) means over seeds and its degrees of freedom (Welch 1947)."""
    parts = []
    for values in groups:
        means = values.mean(-1, dtype=np.float64)
        variance, freedom = _own_variance(means) if prior is None else _moderated(means, prior)
        parts.append((variance / values.shape[-2], freedom))
    total = sum(part for part, _ in parts)
    spread = sum(part**2 / freedom for part, freedom in parts)
    most = np.array(sum(freedom for _, freedom in parts), dtype=np.float64)
    freedom = np.divide(total**2, spread, out=most, where=spread > 0)
    return total, freedom


def _own_variance(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of the means `[..., seeds]` of at least two seeds, and its degrees of freedom."""
    variance = means.var(-1, ddof=1)
    return variance, np.full(variance.shape, means.shape[-1] - 1.0)


def _moderated(means: np.ndarray, prior: SeedPrior) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of the means `[..., seeds]` drawn towards the prior, and its degrees of freedom."""
    known, weight = CAUTION * np.asarray(prior.variance), np.asarray(prior.freedom)
    cells = means.shape[:-1]
    if means.shape[-1] == 1:
        return np.broadcast_to(known, cells), np.broadcast_to(weight, cells)
    variance, freedom = _own_variance(means)
    drawn = (weight * known + freedom * variance) / (weight + freedom)
    scattered = variance > known
    moderated = np.where(scattered, variance, drawn)
    freedom = np.where(scattered, freedom, weight + freedom)
    return np.where(variance > ROUNDING, moderated, 0.0), freedom


def _shared_covariance(
    groups: Sequence[tuple[float, np.ndarray]], replicates: list[np.ndarray]
) -> np.ndarray:
    """Return the bootstrap variance of what all seeds have in common: covariances between different seeds only.

    One seed alone counts with all of its variance, for what is its own cannot be told apart.
    """
    total = 0.0
    for (_, values), r in zip(groups, replicates, strict=True):
        seeds = values.shape[-2]
        everything, own = (r.sum(-2) ** 2).mean(-1), (r**2).mean(-1).sum(-1)
        total = total + ((everything - own) / (seeds * (seeds - 1)) if seeds > 1 else everything)
    if len(groups) == 2:
        total = total - 2 * (replicates[0].mean(-2) * replicates[1].mean(-2)).mean(-1)
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
    """The law of the error of a mean: two variances, the tails of each."""

    seed_variance: np.ndarray
    freedom: np.ndarray
    episode_variance: np.ndarray
    episodes: int
    sides: tuple[np.ndarray, np.ndarray]

    def reach(self, tail: float | np.ndarray, below: bool | np.ndarray) -> np.ndarray:
        """Return the distance from the mean that is exceeded with probability `tail` on one side."""
        variance = self.seed_variance + self.episode_variance
        share = np.divide(self.seed_variance, variance, out=np.zeros(np.shape(variance)), where=variance > 0)
        side = np.where(below, *self.sides)
        of_seeds = -special.stdtrit(self.freedom, tail)
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
