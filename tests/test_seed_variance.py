"""The prior over seeds: it is found again, and studies with a known truth keep what intervals and p-values promise."""

import numpy as np
import pytest

from bench.statistics import intervals
from bench.statistics.multiplicity import from_best, holm
from bench.statistics.seed_variance import Part, SeedPrior, part_of_mean, reach, seed_prior
from tasks.seeds import numpy_generator


def test_the_prior_over_seed_variances_is_found_again():
    """Variances drawn from the very law that the fit assumes: scaled inverse chi-square, then chi-square."""
    draw = numpy_generator("seed prior")
    truth = 0.01**2 * 6 / draw.chisquare(6, 4000)
    seeds = draw.normal(0, 1, (4000, 3)) * np.sqrt(truth)[:, None]
    prior = seed_prior([0.5 + np.stack([row, row], axis=1) for row in seeds])
    assert prior.freedom == pytest.approx(6, rel=0.15)
    assert prior.variance == pytest.approx(0.01**2, rel=0.1)


def test_equal_seed_variances_are_pooled_and_learners_without_any_are_left_out():
    draw = numpy_generator("equal variances")
    same = [0.5 + np.stack([row, row], axis=1) for row in draw.normal(0, 0.02, (300, 3))]
    constant = np.full((3, 2), 0.4)
    prior = seed_prior([*same, constant])
    assert 50 < prior.freedom <= 600 * 1.001, "known no better than from all 600 degrees of freedom"
    assert prior.variance == pytest.approx(0.02**2, rel=0.15)
    assert seed_prior([*same[:2], constant]) is None


@pytest.mark.parametrize("dust", [0.0, 1e-9])
def test_two_trainings_that_agree_by_chance_decide_nothing(dust):
    """Accuracies are counts: in one of two hundred pairs of seeds, the means are equal, but for rounding."""
    draw = numpy_generator("agreeing")
    tables = [0.7 + draw.normal(0, 0.01, (2, 1)) + draw.normal(0, 0.05, (2, 100)) for _ in range(20)]
    without = seed_prior(tables)
    agreeing = tables[0].copy()
    agreeing[1] = agreeing[0, ::-1] + dust  # other episodes are right, as many of them
    found = seed_prior([*tables, agreeing])
    assert found.variance == pytest.approx(without.variance, rel=0.6)
    assert found.freedom > 1
    part = part_of_mean(agreeing, found)
    assert part.variance > found.variance / 8, "it scatters as the others do"
    assert part_of_mean(np.repeat(agreeing[:1], 2, axis=0), found).variance == 0, "nothing in it is random"


STUDIES, EPISODES = 300, 200
ALIKE, FIVEFOLD = (0.004,) * 8, (*(0.002,) * 7, 0.010)
MEASURED = (0.0003, 0.0005, 0.0007, 0.001, 0.0013, 0.0016, 0.002, 0.011)
"""Spreads over seeds of Omniglot, 5-way 1-shot: seven learners, and a Neural Turing Machine."""


def studies(name: str, spreads: tuple[float, ...], seeds: tuple[int, ...]) -> list[np.ndarray]:
    """Tables [studies, seeds, episodes] of equal learners whose trainings scatter by `spreads`; episodes are shared."""
    draw = numpy_generator(*name.split())
    shared = draw.normal(0, 0.06, (STUDIES, 1, EPISODES))
    return [
        0.9 + shared + draw.normal(0, spread, (STUDIES, n, 1)) + draw.normal(0, 0.05, (STUDIES, n, EPISODES))
        for spread, n in zip(spreads, seeds, strict=True)
    ]


def priors(tables: list[np.ndarray]) -> SeedPrior:
    """The prior of each study."""
    found = [seed_prior([table[i] for table in tables]) for i in range(STUDIES)]
    return SeedPrior(np.array([p.variance for p in found]), np.array([p.freedom for p in found]))


def false_differences(tables: list[np.ndarray], pairs: list[tuple[int, int]]) -> float:
    """Share of the pairs of equal learners that are called different at the 5 % level."""
    prior = priors(tables)
    return float(
        np.mean([intervals.paired(tables[i], tables[j], draws=100, prior=prior).p < 0.05 for i, j in pairs])
    )


def coverage(tables: list[np.ndarray]) -> np.ndarray:
    """Share of the studies whose interval holds the truth, by learner."""
    prior = priors(tables)
    found = [intervals.two_level_interval(table, draws=100, prior=prior) for table in tables]
    return np.array([np.mean((one.low < 0.9) & (one.high > 0.9)) for one in found])


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spreads", [ALIKE, FIVEFOLD, MEASURED], ids=["alike", "fivefold", "measured"])
def test_equal_learners_are_not_called_different(spreads, seeds):
    """Also where one of eight scatters five to ten times as much: the prior's degrees of freedom are not its own."""
    tables = studies(f"equal {spreads[0]} {seeds}", spreads, (seeds,) * 8)
    with_last = false_differences(tables, [(7, i) for i in range(7)])
    others = false_differences(tables, [(i, i + 1) for i in range(6)])
    covered = coverage(tables)
    print(f"\nseeds {seeds}: {with_last:.3f} with the last, {others:.3f} others; covered {covered.round(3)}")
    assert with_last <= 0.055 and others <= 0.05
    assert 0.93 <= covered.mean() <= 0.98 and covered[7] >= 0.9


@pytest.mark.parametrize("spread", [0.002, 0.006])
def test_one_seed_has_the_spread_of_the_study(spread):
    """Six learners of two seeds know how trainings differ; two others have one seed each."""
    tables = studies(f"one {spread}", (spread,) * 8, (2,) * 6 + (1, 1))
    assert false_differences(tables, [(6, 7)]) <= 0.05
    assert false_differences(tables, [(i, 6) for i in range(6)]) <= 0.05
    assert 0.93 <= coverage(tables)[6:].mean() <= 0.99, (
        "of one seed, what episodes share cannot be told apart: wider"
    )


@pytest.mark.parametrize("seeds", [(2, 2), (2, 3), (2, 5), (2, 10), (3, 3), (3, 5), (5, 5)])
def test_without_a_prior_two_equal_learners_are_not_called_different(seeds):
    """Two learners are no sample of spreads. One may scatter up to thirty times as much; nothing of it is hidden by episodes."""
    draw, studies = numpy_generator("two", *seeds), 100_000
    a, b = (draw.normal(0, 1, (studies, n)) for n in seeds)
    rates = {}
    for ratio in (1 / 30, 1 / 10, 1 / 5, 1 / 3, 1 / 2, 1, 2, 3, 5, 10, 30):
        sides = [
            Part(values.var(1, ddof=1) / values.shape[1], np.full(studies, values.shape[1] - 1.0))
            for values in (a, ratio * b)
        ]
        distance = np.sqrt(sides[0].variance + sides[1].variance) * reach(sides, 0.025, prior=False)
        rates[ratio] = np.mean(np.abs(a.mean(1) - ratio * b.mean(1)) > distance)
    print(f"\n{seeds}: {max(rates.values()):.3f} at worst, {rates[1]:.3f} alike")
    assert max(rates.values()) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / studies)
    assert rates[1] >= 0.008, "not so cautious that alike learners are never told apart"


def many_studies(spreads: tuple[float, ...], seeds: int, studies: int) -> tuple[np.ndarray, list[Part]]:
    """Means [learners, studies] of equal learners, of tasks without end, and the part of each one's seeds in its error."""
    draw = numpy_generator("many", *map(str, spreads), seeds)
    tables = [np.repeat(draw.normal(0, spread, (studies, seeds, 1)), 2, axis=2) for spread in spreads]
    found = [seed_prior([table[i] for table in tables]) for i in range(studies)]
    prior = SeedPrior(np.array([p.variance for p in found]), np.array([p.freedom for p in found]))
    return np.array([table.mean((1, 2)) for table in tables]), [
        part_of_mean(table, prior) for table in tables
    ]


def distance(parts: list[Part], i: int, j: int, tail: float) -> np.ndarray:
    """What a difference of two learners must exceed in each study."""
    return np.sqrt(parts[i].variance + parts[j].variance) * reach([parts[i], parts[j]], tail, prior=True)


@pytest.mark.parametrize(
    ("spreads", "seeds"), [(ALIKE, 2), (FIVEFOLD, 2), (MEASURED, 2), (MEASURED, 3), (FIVEFOLD, 5)]
)
def test_corrected_for_many_comparisons_no_two_equal_learners_are_called_different(spreads, seeds):
    """Of all pairs of a study by Holm's first step, and of the best with each other learner by `from_best`."""
    studies = 600
    means, parts = many_studies(spreads, seeds, studies)
    pairs, others = [(i, j) for i in range(8) for j in range(i)], 7
    tail = 0.025 / len(pairs)
    called = np.any([np.abs(means[i] - means[j]) > distance(parts, i, j, tail) for i, j in pairs], axis=0)
    assert from_best([2 * 0.05 / others], others) == pytest.approx(0.05)
    below = [means[i] - means[j] > distance(parts, i, j, 0.05 / others) for i in range(8) for j in range(8)]
    out = np.array(below).reshape(8, 8, studies)[means.argmax(0), :, np.arange(studies)].mean(0)
    print(f"\nseeds {seeds}: {called.mean():.3f} any pair; left out of the best {out.round(3)}")
    assert called.mean() <= 0.05 and out.max() <= 0.05


@pytest.mark.parametrize(("seeds", "of_pairs", "of_best"), [(2, 150, 30), (3, 20, 8), (5, 6, 4)])
def test_what_learners_of_few_seeds_must_differ_by(seeds, of_pairs, of_best):
    """24 alike learners, in deviations of one training: 1,500 and 64 with two seeds, were the far tail that of one degree."""
    _, parts = many_studies((1.0,) * 24, seeds, 60)
    needed = [
        np.median([distance(parts, i, i + 1, tail) for i in range(23)]) for tail in (0.025 / 276, 0.05 / 23)
    ]
    print(f"\nseeds {seeds}: {needed[0]:.1f} among all pairs, {needed[1]:.1f} from the best")
    assert needed[0] < of_pairs and needed[1] < of_best


def test_without_a_prior_two_learners_are_compared_by_that_rule():
    for scale in (1, 3):
        tables = studies(f"two {scale}", (0.005, 0.005 * scale), (2, 3))
        p = intervals.paired(*tables, draws=100).p
        assert np.mean(p < 0.05) <= 0.05


def test_with_a_prior_two_seeds_find_what_they_alone_cannot():
    """Twelve of 24 learners are 20 points above the others; spreads from 0.2 to 3 points, Holm over 276 pairs.

    Power is the price of honesty about a learner that scatters: half of the calm ones keep one degree of freedom, too.
    """
    found, alone = [], []
    for study in range(15):
        draw = numpy_generator("moderated", study)
        spread = np.exp(draw.uniform(np.log(0.002), np.log(0.03), 24))
        level = np.repeat([0.75, 0.95], 12)
        tables = level[:, None, None] + spread[:, None, None] * draw.normal(0, 1, (24, 2, 1))
        tables = tables + draw.normal(0, 0.06, (1, 1, 200)) + draw.normal(0, 0.03, (24, 2, 200))
        pairs = [(i, j) for i in range(24) for j in range(i)]
        a, b = (np.stack([tables[pair[side]] for pair in pairs]) for side in (0, 1))
        apart = np.array([level[i] != level[j] for i, j in pairs])
        adjusted = holm(intervals.paired(a, b, draws=100, prior=seed_prior(list(tables))).p)
        assert np.mean(adjusted[~apart] < 0.05) <= 0.05
        found.append(np.mean(adjusted[apart] < 0.05))
        alone.append(np.mean(holm(intervals.paired(a, b, draws=100).p)[apart] < 0.05))
    print(f"\nfound {np.mean(found):.2f}, alone {np.mean(alone):.2f}")
    assert np.mean(found) > 0.2 > 0.05 > np.mean(alone)


def test_with_a_prior_one_seed_still_finds_a_large_difference():
    tables = [table[0] for table in studies("large", (0.002,) * 8, (2,) * 6 + (1, 1))]
    prior = seed_prior(tables)
    found = intervals.paired(tables[6] + 0.05, tables[7], prior=prior)
    assert found.p < 0.01 and found.levels == "seeds and episodes"
    assert np.isnan(intervals.paired(tables[6] + 0.05, tables[7]).p)


def test_a_mean_over_learners_is_that_of_its_members():
    """Two equal families, members with one, two and three seeds: the error is that of the mean of independent learners."""
    tables = studies("families", (0.004,) * 8, (1, 2, 3, 2, 2, 3, 2, 1))
    found = intervals.contrast(tables[:4], tables[4:], draws=100, prior=priors(tables))
    expected = np.mean([t.mean((1, 2)) for t in tables[:4]], 0) - np.mean(
        [t.mean((1, 2)) for t in tables[4:]], 0
    )
    np.testing.assert_allclose(found.mean, expected, atol=1e-9)
    assert np.mean(found.p < 0.05) <= 0.05
    alone = intervals.paired(tables[1], tables[3], draws=100, prior=priors(tables))
    assert np.median(found.high - found.low) < np.median(alone.high - alone.low)
    with pytest.raises(ValueError, match="200 and 199"):
        intervals.contrast([tables[0]], [tables[1], tables[2][..., 1:]])
