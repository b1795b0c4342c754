"""Intervals: coverage on synthetic studies with a known truth, and the analysis of variance."""

import numpy as np
import pytest
from scipy import stats as laws

from bench.results import episode_interval
from bench.statistics import intervals
from tasks.seeds import numpy_generator

# Standard deviation over seeds; (mean, standard deviation over episodes) as on Omniglot, glyphs, miniImageNet
SEED_SPREADS = (0.0, 0.002, 0.005, 0.01, 0.02)
TASKS = ((0.97, 0.03), (0.90, 0.06), (0.60, 0.10))
QUERIES = (15, 75)
STUDIES = 80  # per regime: 30 regimes, 2,400 studies per cell of the coverage table


def accuracies(draw, studies, seeds, episodes, mean, seed_spread, episode_spread, queries):
    """Crossed accuracies [studies, seeds, episodes]: bounded, discrete, the same episodes for all seeds."""
    chance = mean + draw.normal(0, seed_spread, (studies, seeds, 1))
    chance = chance + draw.normal(0, episode_spread, (studies, 1, episodes))
    chance = chance + draw.normal(0, 0.4 * episode_spread, (studies, seeds, episodes))
    return draw.binomial(queries, np.clip(chance, 0, 1)) / queries


def truth(mean, seed_spread, episode_spread):
    """The mean over infinitely many seeds and episodes: that of a normal law clipped to [0, 1]."""
    deviation = np.sqrt(seed_spread**2 + 1.16 * episode_spread**2)
    high, low = (1 - mean) / deviation, -mean / deviation
    inside = mean * (laws.norm.cdf(high) - laws.norm.cdf(low))
    return inside + deviation * (laws.norm.pdf(low) - laws.norm.pdf(high)) + laws.norm.sf(high)


@pytest.mark.parametrize("episodes", [100, 600])
@pytest.mark.parametrize("seeds", [2, 3, 5, 10])
def test_two_level_interval_covers_the_truth(seeds, episodes):
    draw = numpy_generator("coverage", seeds, episodes)
    covered = {}
    for spread in SEED_SPREADS:
        for mean, episode_spread in TASKS:
            for queries in QUERIES:
                values = accuracies(draw, STUDIES, seeds, episodes, mean, spread, episode_spread, queries)
                interval = intervals.two_level_interval(values, draws=1000, generator=draw)
                target = truth(mean, spread, episode_spread)
                covered[spread, mean, queries] = (interval.low <= target) & (target <= interval.high)
    coverage = np.mean(list(covered.values()))
    by_spread = {
        s: round(float(np.mean([v for k, v in covered.items() if k[0] == s])), 3) for s in SEED_SPREADS
    }
    print(f"\nseeds {seeds} episodes {episodes}: coverage {coverage:.3f}, by seed deviation {by_spread}")
    assert 0.93 <= coverage <= 0.97
    assert min(by_spread.values()) >= 0.90


def test_plain_percentile_bootstrap_would_be_dishonest():
    """Why the correction is there: with three seeds the uncorrected interval misses the truth far too often."""
    draw = numpy_generator("plain bootstrap")
    values = accuracies(draw, 200, 3, 100, 0.9, 0.02, 0.06, 75)
    hits = []
    for study in values:
        seeds, episodes = draw.integers(0, 3, (500, 3, 1)), draw.integers(0, 100, (500, 1, 100))
        low, high = np.quantile(study[seeds, episodes].mean((1, 2)), [0.025, 0.975])
        hits.append(low <= truth(0.9, 0.02, 0.06) <= high)
    assert np.mean(hits) < 0.88


def test_one_seed_covers_the_mean_of_this_model_and_says_so():
    draw = numpy_generator("one seed")
    values = accuracies(draw, 1500, 1, 600, 0.9, 0.0, 0.06, 75)
    interval = intervals.two_level_interval(values, draws=1000, generator=draw)
    target = truth(0.9, 0.0, 0.06)
    assert interval.levels == "episodes"
    assert 0.93 <= np.mean((interval.low <= target) & (target <= interval.high)) <= 0.97
    mean, half_width = episode_interval.episode_interval(values[0, 0])
    assert interval.mean[0] == pytest.approx(mean)
    assert (interval.high - interval.low)[0] / 2 == pytest.approx(half_width, rel=0.08)


@pytest.mark.parametrize(("spread_a", "spread_b"), [(0.0, 0.0), (0.01, 0.01), (0.02, 0.0)])
def test_paired_comparison_of_equals_is_rarely_significant(spread_a, spread_b):
    draw = numpy_generator("paired", str(spread_a), str(spread_b))
    shared = draw.normal(0, 0.06, (1200, 1, 200))

    def algorithm(spread):
        chance = 0.8 + shared + draw.normal(0, spread, (1200, 3, 1)) + draw.normal(0, 0.03, (1200, 3, 200))
        return draw.binomial(75, np.clip(chance, 0, 1)) / 75

    a, b = algorithm(spread_a), algorithm(spread_b)
    interval = intervals.paired(a, b, generator=draw)
    assert 0.02 <= np.mean(interval.p < 0.05) <= 0.07
    np.testing.assert_array_equal(interval.p < 0.05, (interval.low > 0) | (interval.high < 0))
    apart = intervals.paired(a, b[..., ::-1], generator=draw)  # each episode beside another one
    if spread_a == 0:  # pairing removes the difficulty of the episodes
        assert np.median(interval.high - interval.low) < 0.8 * np.median(apart.high - apart.low)


def test_paired_p_is_small_for_a_real_difference_and_mirrors():
    draw = numpy_generator("real difference")
    a = accuracies(draw, 1, 3, 400, 0.9, 0.005, 0.06, 75)[0]
    better, worse = intervals.paired(a, a - 0.05), intervals.paired(a - 0.05, a)
    assert better.levels == "seeds and episodes"
    assert better.mean == pytest.approx(0.05) and better.p < 0.01 and better.low > 0
    assert (worse.mean, worse.low, worse.high) == pytest.approx((-better.mean, -better.high, -better.low))
    alone = intervals.paired(a, a[:1] - 0.05)
    assert alone.levels == "episodes" and np.isnan(alone.p), "one seed decides nothing"
    same = intervals.paired(a, a)
    assert same.mean == 0 and same.p == 1


def test_standard_error_is_that_of_the_crossed_model():
    """Against the analysis of variance: mean squares A (seeds), B (episodes), C (rest) of a normal table."""
    draw = numpy_generator("anova")
    seeds, episodes = 60, 400
    y = draw.normal(0, 1, (seeds, 1)) * 0.02 + draw.normal(0, 1, (1, episodes)) * 0.3
    y = y + draw.normal(0, 0.1, (seeds, episodes)) + 0.5
    a = episodes * y.mean(1).var(ddof=1)
    b = seeds * y.mean(0).var(ddof=1)
    rest = y - y.mean(1, keepdims=True) - y.mean(0, keepdims=True) + y.mean()
    c = (rest**2).sum() / ((seeds - 1) * (episodes - 1))
    expected = 1.96 * np.sqrt((a + b - c) / (seeds * episodes))
    interval = intervals.two_level_interval(y, draws=20_000)
    assert (interval.high - interval.low) / 2 == pytest.approx(expected, rel=0.03)


def test_interval_moves_with_the_data_and_ignores_order():
    draw = numpy_generator("equivariance")
    y = draw.uniform(0.4, 1, (3, 150))
    base = intervals.two_level_interval(y)
    moved = intervals.two_level_interval(0.5 * y + 0.1)
    assert (moved.low, moved.high) == pytest.approx((0.5 * base.low + 0.1, 0.5 * base.high + 0.1), rel=1e-4)
    turned = intervals.two_level_interval(y[::-1])
    assert (turned.low, turned.high) == pytest.approx((base.low, base.high), rel=1e-6)
    stacked = intervals.two_level_interval(np.stack([y, y**2]))
    assert (stacked.low[0], stacked.high[0]) == pytest.approx((base.low, base.high), rel=1e-6)
    assert intervals.two_level_interval(y).low == base.low
    wide = intervals.two_level_interval(y, level=0.99)
    assert wide.low < base.low < base.mean < base.high < wide.high


def test_constant_table_has_no_width():
    interval = intervals.two_level_interval(np.ones((2, 100)))
    assert (interval.mean, interval.low, interval.high) == (1, 1, 1)


def test_hundreds_of_cells_take_seconds():
    import time

    values = numpy_generator("speed").uniform(size=(300, 5, 1000)).astype(np.float32)
    intervals.two_level_interval(values[:1])
    start = time.process_time()
    intervals.two_level_interval(values)
    assert time.process_time() - start < 10


@pytest.mark.parametrize("values", [np.ones(5), np.ones((2, 1)), np.array([[0.5, np.nan]])])
def test_unusable_values_are_refused(values):
    with pytest.raises(ValueError, match="finite values"):
        intervals.two_level_interval(values)


def test_pairing_needs_the_same_episodes():
    with pytest.raises(ValueError, match="100 and 99"):
        intervals.paired(np.ones((2, 100)), np.ones((2, 99)))
