"""The statistics against other implementations, and their stated error rates against chance."""

import numpy as np
import pytest
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.weightstats import DescrStatsW

from training.statistics import stats
from training.statistics.curves import ErrorCurve, kept_multiplier
from training.statistics.powerlaw import fit_shift

SIZES = 1000 * 2.0 ** np.arange(7)


def per_seed(seeds, rng):
    """Differences that vary between seeds only, so that the two-way t is the paired t."""
    values = np.random.default_rng(rng).normal(0.3, 1, seeds)
    return values, stats.estimate(np.repeat(values[:, None], 4, axis=1))


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_t_is_scipys_and_statsmodels(seeds):
    values, found = per_seed(seeds, seeds)
    oracle = scipy.stats.ttest_1samp(values, 0)
    assert stats.t_p(found.mean, found.se, found.df) == pytest.approx(oracle.pvalue)
    assert found.interval() == pytest.approx(DescrStatsW(values).tconfint_mean())


@pytest.mark.parametrize("seeds", [4, 6, 9])
def test_sign_flip_is_scipys_permutation_test(seeds):
    values, _ = per_seed(seeds, 10 + seeds)
    oracle = scipy.stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert stats.sign_flip_p(values) == pytest.approx(oracle.pvalue)


@pytest.mark.parametrize("delta", [0.2, 1.0, 3.0])
def test_equivalence_is_statsmodels_tost(delta):
    values, found = per_seed(6, 20)
    oracle = DescrStatsW(values).ttost_mean(-delta, delta)[0]
    assert stats.equivalence_p(found, delta) == pytest.approx(oracle)


def test_holm_is_statsmodels():
    for count in range(1, 9):
        p = np.random.default_rng(count).beta(0.5, 3, count)
        assert stats.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


@pytest.mark.parametrize("seeds", [3, 5])
def test_detectable_gap_is_that_of_the_exact_power_of_t(seeds):
    exact = TTestPower().solve_power(nobs=seeds, alpha=0.05, power=0.8, alternative="two-sided")
    assert stats.detectable_before(seeds, 9, stats.Prior(1, 0)) == pytest.approx(exact, rel=0.02)


def experiments(count, seeds, items, rng, seed=0.01, item=0.2, both=0.3):
    """Paired differences of equal arms with seed, row and seed-by-row noise."""
    rng = np.random.default_rng(rng)
    for _ in range(count):
        noise = rng.normal(0, seed, (seeds, 1)) + rng.normal(0, item, items)
        yield noise + rng.normal(0, both, (seeds, items))


@pytest.mark.parametrize("seeds", [3, 5, 8])
def test_aa_is_off_zero_at_most_at_the_level(seeds):
    found = [stats.estimate(table) for table in experiments(200, seeds, 400, seeds)]
    off = [low > 0 or high < 0 for low, high in (value.interval() for value in found)]
    claimed = [wrong and value.p < 0.05 for wrong, value in zip(off, found, strict=True)]
    assert np.mean(off) <= 0.05
    assert np.mean(claimed) <= np.mean(off)


@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize("item_share", [0.0, 0.1, 0.5, 1.0])
def test_gap_interval_covers(seeds, item_share):
    seed, item = (1 - item_share) ** 0.5 * 0.01, item_share**0.5 * 0.01 * (300 / seeds) ** 0.5
    covered = 0
    for table in experiments(600, seeds, 300, seeds, seed, item, both=0.0):
        low, high = stats.estimate(0.05 + table).interval()
        covered += low <= 0.05 <= high
    assert covered / 600 >= 0.93


def learning_curves(count, seeds, rng, m=2.0, noise=0.004, floor=0.1, slope=3.0, alpha=0.35):
    """Raw and curated curves whose runs share the luck of their seed; curated is worth m×."""
    rng = np.random.default_rng(rng)
    raw, curated = (floor + slope * (times * SIZES) ** -alpha for times in (1, m))
    for _ in range(count):
        luck = rng.normal(0, noise / 2, (seeds, 1))
        scatter = rng.normal(0, noise, (2, seeds, len(SIZES)))
        yield (
            ErrorCurve(SIZES, raw + luck + scatter[0]),
            ErrorCurve(SIZES, curated + luck + scatter[1]),
        )


def coverage(pairs, m, at):
    """Return how often the interval holds m, and how often both of its ends were measured."""
    found = [kept_multiplier(raw, curated, at) for raw, curated in pairs]
    held = [(r.low or 0) <= m <= (np.inf if r.high is None else r.high) for r in found]
    return np.mean(held), np.mean([None not in (r.low, r.high) for r in found])


@pytest.mark.parametrize("seeds", [3, 5, 8])
@pytest.mark.parametrize(
    "shape",
    [
        {"noise": 0.002},
        {"noise": 0.006},
        {"noise": 0.01, "floor": 0.15, "slope": 30.0, "alpha": 0.8},  # flat within its noise
    ],
)
def test_multiplier_interval_covers(seeds, shape):
    held, _ = coverage(learning_curves(150, seeds, seeds, **shape), 2, SIZES[3])
    assert held >= 0.90


@pytest.mark.parametrize("m", [0.5, 1.0, 2.0])
def test_planted_multiplier_is_recovered(m):
    held, closed = coverage(learning_curves(200, 5, 7, m=m), m, SIZES[3])
    assert held >= 0.90
    assert closed >= 0.95


def test_planted_shift_is_recovered_and_seldom_called_a_change():
    found = [fit_shift(raw, curated) for raw, curated in learning_curves(30, 3, 1)]
    assert np.mean([shift.low <= 2 <= shift.high for shift in found]) >= 0.90
    assert np.mean([shift.changes_with_size for shift in found]) <= 0.10
