import itertools

import numpy as np
import pytest
import scipy.stats

from training.statistics import stats


def test_estimate_without_item_spread_is_the_paired_t_test():
    per_seed = np.array([0.01, 0.03, 0.02, 0.05, 0.04])
    found = stats.estimate(np.repeat(per_seed[:, None], 7, axis=1))
    oracle = scipy.stats.ttest_1samp(per_seed, 0)
    assert found.df == pytest.approx(4)
    assert found.p == pytest.approx(oracle.pvalue)
    assert found.interval() == pytest.approx(tuple(oracle.confidence_interval()))


def test_estimate_adds_seed_and_item_variance():
    table = np.random.default_rng(0).normal(0.1, 1, (4, 50))
    a = table.mean(1).var(ddof=1) / 4
    b = table.mean(0).var(ddof=1) / 50
    found = stats.estimate(table)
    half = (scipy.stats.t.ppf(0.975, 3) ** 2 * a + scipy.stats.t.ppf(0.975, 49) ** 2 * b) ** 0.5
    assert found.se == pytest.approx((a + b) ** 0.5)
    assert found.interval() == pytest.approx((table.mean() - half, table.mean() + half))
    assert 3 < found.df < 49


def test_estimate_of_identical_runs_is_exactly_zero():
    found = stats.estimate(np.zeros((3, 10)))
    assert found.interval() == (0, 0)
    assert found.p == 1
    assert stats.equivalence_p(found, 0.01) == 0


@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize("spread", [(0.01, 0.3, 0.0), (0.0, 0.3, 0.2), (0.02, 0.1, 0.1)])
def test_interval_covers_the_truth(seeds, spread):
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(600):
        seed, item, both = (
            rng.normal(0, sd, size)
            for sd, size in zip(spread, ((seeds, 1), (1, 300), (seeds, 300)), strict=True)
        )
        low, high = stats.estimate(0.05 + seed + item + both).interval()
        hits += low <= 0.05 <= high
    assert 0.91 <= hits / 600 <= 0.99


def test_aa_false_positives_stay_within_the_level():
    """Two arms with the same success chance per row: the interval leaves 0 out at most 5 %."""
    rng = np.random.default_rng(2)
    chance = rng.beta(4, 1, 500)
    wrong = 0
    for _ in range(800):
        first, second = (rng.random((2, 5, 500)) < chance).astype(float)
        low, high = stats.estimate(first - second).interval()
        wrong += not low <= 0 <= high
    assert wrong / 800 <= 0.05


def test_sign_flip_is_exact():
    values = [0.3, -0.1, 0.2, 0.4, 0.05, 0.1]
    flips = [abs(np.dot(signs, values)) for signs in itertools.product((1, -1), repeat=6)]
    assert stats.sign_flip_p(values) == np.mean(np.array(flips) >= sum(values) - 1e-12)
    assert stats.sign_flip_p([1.0] * 6) == 2 / 64
    assert stats.sign_flip_p([0.0] * 6) == 1


def test_sign_flip_of_many_seeds_is_near_the_t_test():
    values = np.random.default_rng(5).normal(0.4, 1, 30)
    drawn = stats.sign_flip_p(values)
    assert drawn == stats.sign_flip_p(values)
    assert drawn == pytest.approx(scipy.stats.ttest_1samp(values, 0).pvalue, abs=0.01)


def test_p_is_the_larger_of_two_from_six_seeds():
    few, many = stats.estimate(np.ones((5, 9))), stats.estimate(np.ones((6, 9)))
    assert (few.p_method, few.p) == ("t", 0)
    assert many.p_method == "the larger of sign-flip and t"
    assert many.p == 2 / 64
    noisy = stats.estimate(np.ones((6, 1)) * np.random.default_rng(0).normal(0.1, 1, (1, 9)))
    assert noisy.p == stats.t_p(noisy.mean, noisy.se, noisy.df) > stats.sign_flip_p(noisy.per_seed)


@pytest.mark.parametrize("between_seeds", [0.001, 0.05])
def test_p_knows_the_luck_of_the_test_rows(between_seeds):
    """No difference, and ten seeds that share one test set: p < .05 at most about 5 % of times."""
    rng = np.random.default_rng(4)
    wrong = 0
    for _ in range(500):
        rows, seeds = rng.normal(0, 0.3, (1, 500)), rng.normal(0, between_seeds, (10, 1))
        wrong += stats.estimate(rows + seeds).p < 0.05
    assert wrong / 500 <= 0.06


def test_equivalence_is_two_one_sided_tests():
    per_seed = np.array([0.001, -0.002, 0.003, 0.0, 0.001])
    found = stats.estimate(np.repeat(per_seed[:, None], 5, axis=1))
    oracle = max(
        scipy.stats.ttest_1samp(per_seed, -0.01, alternative="greater").pvalue,
        scipy.stats.ttest_1samp(per_seed, 0.01, alternative="less").pvalue,
    )
    assert stats.equivalence_p(found, 0.01) == pytest.approx(oracle)
    low, high = found.interval(0.90)
    assert (oracle < 0.05) == (max(-low, high) < 0.01)


def test_holm_by_hand():
    # sorted 0.01·4, 0.02·3, 0.03·2, 0.04·1, then never falling
    assert stats.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert stats.holm([0.5, 0.6]) == [1.0, 1.0]
    assert stats.holm([]) == []


def test_detectable_by_the_interval_alone_is_a_little_under_the_exact_power():
    gap = stats.detectable(1.0, 4)
    exact = scipy.stats.nct.sf(stats.t_quantile(0.975, 4), 4, gap)
    assert 0.78 <= exact <= 0.82


@pytest.mark.parametrize("seeds", [5, 6, 8, 10])
@pytest.mark.parametrize(("seed_sd", "item_sd"), [(0.01, 0.0), (0.01, 0.1)])
def test_detectable_gap_is_found_with_the_stated_power(seeds, seed_sd, item_sd):
    """The rule as it is used: the interval excludes 0 and p < .05."""
    rng = np.random.default_rng(seeds)
    items = 60
    gap = stats.detectable_before(seeds, items, stats.Prior(seed_sd, item_sd))
    found = 0
    for _ in range(2000):
        by_seed, by_item = rng.normal(0, seed_sd, (seeds, 1)), rng.normal(0, item_sd, items)
        value = stats.estimate(gap + by_seed + by_item)
        low = value.mean - stats.t_quantile(0.975, value.df) * value.se
        found += low > 0 and (seeds < 6 or stats.sign_flip_p(value.per_seed) < 0.05)
    assert found / 2000 == pytest.approx(0.80, abs=0.03)


def test_detectable_after_is_detectable_before_of_the_measured_spread():
    rng = np.random.default_rng(0)
    table = rng.normal(0, 0.01, (7, 1)) + rng.normal(0, 0.2, (1, 500))
    found = stats.estimate(table)
    prior = stats.Prior(np.std(found.per_seed, ddof=1), table.mean(axis=0).std(ddof=1))
    assert stats.detectable_after(found) == pytest.approx(
        stats.detectable_before(7, 500, prior), rel=0.01
    )
    assert stats.detectable_after(stats.estimate(np.zeros((7, 9)))) == 0


def test_six_seeds_that_must_all_agree_detect_less_than_five():
    only_seeds = stats.Prior(0.01, 0)
    by_count = {seeds: stats.detectable_before(seeds, 9, only_seeds) for seeds in (5, 6, 7, 8)}
    assert by_count[6] > by_count[5] > by_count[7] > by_count[8]


def test_detectable_before_shrinks_with_seeds_and_rows():
    assert stats.detectable_before(5, 4000) < stats.detectable_before(3, 4000)
    assert stats.detectable_before(5, 4000) < stats.detectable_before(5, 400)
    assert stats.detectable_before(20, 4000) < stats.detectable_before(10, 4000)
    bits = stats.PRIORS["bits per byte"]
    assert stats.detectable_before(5, 1000, bits) != stats.detectable_before(5, 1000)


def test_estimate_refuses_a_single_seed():
    with pytest.raises(ValueError, match="at least 2 of each"):
        stats.estimate(np.zeros((1, 10)))
