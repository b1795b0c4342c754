"""How much trainings differ by seed: the variance of one learner, helped by what all learners of a study tell.

Two or three seeds say little about a variance (a t of one degree of freedom reaches 12.7 deviations), twenty learners of
two seeds each say a lot about what variances are like. So the learners of a condition share a prior, a scaled inverse
chi-square law fitted by the first two moments of the logarithms (Smyth 2004, Linear models and empirical Bayes methods,
section 6.2). A variance below the prior's is drawn towards it and gains the prior's degrees of freedom; one seed has the
prior's variance. A learner that scatters more than the prior keeps its own variance and its own degrees of freedom, as in
robust empirical Bayes (Phipson et al. 2016, Annals of Applied Statistics 10(2)): the prior says nothing about it.

tests/test_seed_variance.py measures intervals and false differences on studies with a known truth. What no rule can
mend: two seeds of a learner that scatters ten times as much as the others are close together by chance once in ten times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

CALM = 0.5
"""Share of the learners with the prior's variance that look as calm as this or calmer. Those above keep their own freedom."""
SAME = 1e-6
"""Difference up to which two seeds give an episode the same value, which is stored in single precision."""
FAR = 0.025
"""Tail beyond which the reach of a side grows as if its variance were known from one seed more."""
LEAST = 3e-3
"""Least variance that enters the fit, as a share of the median: one in thirty of two seeds is smaller by chance. Accuracies are
counts, so that two trainings may also agree exactly, and the logarithm of nothing would decide the fit alone.
"""


@dataclass(frozen=True)
class SeedPrior:
    """How trainings of one study differ by seed: variances are about `variance`, known as well as from `freedom` seeds.

    Arrays when several cells have one each.
    """

    variance: float | np.ndarray
    freedom: float | np.ndarray


@dataclass(frozen=True)
class Part:
    """A part of an error: its variance, and the degrees of freedom from which that variance is known. Arrays of cells."""

    variance: np.ndarray
    freedom: np.ndarray


def seed_prior(tables: Sequence[np.ndarray]) -> SeedPrior | None:
    """Fit the prior to the values `[seeds, episodes]` of all learners under one condition; None from fewer than three.

    Learners whose seeds are equal on every episode are left out: nothing in them is random. The prior is known no better
    than from all seeds together, so its degrees of freedom are at most theirs.
    """
    tables = [table for table in tables if len(table) > 1 and _varies(table)]
    variance = np.array([table.mean(-1, dtype=np.float64).var(ddof=1) for table in tables])
    freedom = np.array([len(table) - 1.0 for table in tables])
    apart = variance[variance > SAME**2]
    if len(tables) < 3 or not len(apart):
        return None
    variance = np.maximum(variance, LEAST * np.median(apart))
    logs = np.log(variance) - special.digamma(freedom / 2) + np.log(freedom / 2)
    excess = logs.var(ddof=1) - special.polygamma(1, freedom / 2).mean()
    least = special.polygamma(1, freedom.sum() / 2)
    prior = 2 * _inverse_trigamma(max(excess, least))
    return SeedPrior(np.exp(logs.mean() + special.digamma(prior / 2) - np.log(prior / 2)), prior)


def _varies(values: np.ndarray) -> np.ndarray:
    """Return whether two seeds of values `[..., seeds, episodes]` differ on any episode."""
    return np.ptp(values, axis=-2).max(-1) > SAME


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value > 0; trigamma falls from infinity to zero."""
    from scipy import optimize  # takes 0.2 s to import; only studies of three or more learners need it

    return float(np.exp(optimize.brentq(lambda log: special.polygamma(1, np.exp(log)) - value, -15, 15)))


def part_of_mean(values: np.ndarray, prior: SeedPrior | None) -> Part:
    """Return the part that seeds have in the error of the mean of values `[..., seeds, episodes]`.

    Without a prior, one seed has no variance: its interval speaks of one trained model.
    """
    means = values.mean(-1, dtype=np.float64)
    seeds = means.shape[-1]
    if seeds == 1 and prior is None:
        return Part(np.zeros(means.shape[:-1]), np.ones(means.shape[:-1]))
    part = _own(means) if prior is None else _moderated(means, prior)
    if prior is not None and seeds > 1:
        part = Part(np.where(_varies(values), part.variance, 0.0), part.freedom)
    return Part(part.variance / seeds, part.freedom)


def _own(means: np.ndarray) -> Part:
    """Return the variance of the means `[..., seeds]` of at least two seeds."""
    variance = means.var(-1, ddof=1)
    return Part(variance, np.full(variance.shape, means.shape[-1] - 1.0))


def _moderated(means: np.ndarray, prior: SeedPrior) -> Part:
    """Return the variance of the means `[..., seeds]`, drawn towards a prior that is larger."""
    known, weight = np.asarray(prior.variance), np.asarray(prior.freedom)
    cells = means.shape[:-1]
    if means.shape[-1] == 1:
        return Part(np.broadcast_to(known, cells), np.broadcast_to(weight, cells))
    own = _own(means)
    drawn = (weight * known + own.freedom * own.variance) / (weight + own.freedom)
    scattered = own.variance > known * special.chdtri(own.freedom, 1 - CALM) / own.freedom
    variance = np.where(scattered, np.maximum(own.variance, drawn), drawn)
    freedom = np.where(scattered, own.freedom, weight + own.freedom)
    return Part(variance, freedom)


def pooled(parts: Sequence[Part]) -> Part:
    """Return the sum of independent parts, with its degrees of freedom (Satterthwaite 1946)."""
    total = sum(part.variance for part in parts)
    spread = sum(part.variance**2 / part.freedom for part in parts)
    most = np.array(sum(part.freedom for part in parts), dtype=np.float64)
    return Part(total, np.divide(total**2, spread, out=most, where=spread > 0))


def reach(sides: Sequence[Part], tail: float | np.ndarray, prior: bool) -> np.ndarray:
    """Return the distance that the sum of all sides exceeds with probability `tail`, in its deviations.

    The freedom of the sum (Satterthwaite, as in Welch's test) grows where the side that truly scatters looks calm by
    chance: up to 12 % of equal pairs are called different, most of all where one side has fewer seeds. Reaches that add in
    quadrature, each with its own freedom (Banerjee 1961, Annals of Mathematical Statistics 32(3)), are never too short, but
    far too long between alike sides. Halfway, at most 5 % of equal pairs of as many seeds are called different, and about 2 %
    of alike ones; without a prior, quadrature weighs the more, the less alike the freedoms of the sides are.

    Where a prior says how trainings differ, tails beyond `FAR` are bounded (`_quantile`).
    """
    whole = pooled(sides)
    quantiles = [_quantile(side.freedom, tail, prior) for side in sides]
    squares = sum(side.variance * q**2 for side, q in zip(sides, quantiles, strict=True))
    together = _quantile(whole.freedom, tail, prior)
    apart = np.divide(squares, whole.variance, out=np.array(together**2), where=whole.variance > 0)
    freedoms = [side.freedom for side in sides]
    weight = 0.5 if prior else 1 - (np.min(freedoms, axis=0) / np.max(freedoms, axis=0)) ** 2 / 2
    return (1 - weight) * together + weight * np.sqrt(apart)


def _quantile(freedom: np.ndarray, tail: float | np.ndarray, prior: bool) -> np.ndarray:
    """Return what Student's t exceeds with probability `tail`; with a prior, bounded in the far tail.

    A t of one degree allows for a learner that scatters a thousand times as much as the others of its study: among 300
    pairs, two seeds would have to differ by 1,500 deviations. So beyond `FAR`, where corrections for many comparisons
    look, it grows as the t of one degree more. Intervals of 95 % and p-values above 0.05 are the same. In simulated
    studies of 8 and 24 equal learners of two seeds, one of them five or ten times as scattered, Holm's p of any pair is
    below 0.05 in at most 5 % (6 % where three are, or where all differ), and 15 times smaller differences are found.
    """
    plain = -special.stdtrit(freedom, tail)
    if not prior or np.all(np.asarray(tail) >= FAR):
        return plain
    growth = special.stdtrit(freedom + 1, tail) / special.stdtrit(freedom + 1, FAR)
    return np.where(np.asarray(tail) < FAR, -special.stdtrit(freedom, FAR) * growth, plain)
