import numpy as np
import pytest
import scipy.optimize

from training.statistics.curves import ErrorCurve
from training.statistics.gridfit import solve
from training.statistics.powerlaw import Refused, fit_chinchilla, fit_power_law, fit_shift

SIZES = 1000 * 2.0 ** np.arange(7)


def law(n, alpha=0.35):
    return 0.1 + 3 * np.asarray(n) ** -alpha


def noisy(means, seeds=5, noise=0.005, rng=0, sizes=SIZES):
    scatter = 1 + np.random.default_rng(rng).normal(0, noise, (seeds, len(sizes)))
    return ErrorCurve(sizes, means * scatter)


def test_grid_solution_is_scipys_nnls():
    rng = np.random.default_rng(0)
    terms, losses = rng.normal(0.3, 1, (40, 3, 12)), rng.uniform(1, 3, 12)
    weights = rng.uniform(0.5, 1, 12)
    coefficients, errors = solve(terms, losses, weights)
    root = np.sqrt(weights) / losses
    for columns, found, error in zip(terms, coefficients, errors, strict=True):
        oracle, norm = scipy.optimize.nnls((columns * root).T, losses * root)
        assert found == pytest.approx(oracle, abs=1e-9)
        assert error == pytest.approx(norm**2)
    assert (coefficients == 0).any()


def test_law_without_noise_is_found():
    found = fit_power_law(noisy(law(SIZES), noise=0))
    assert (found.E, found.A, found.alpha) == pytest.approx((0.1, 3, 0.35), rel=1e-3)
    assert found.at(SIZES) == pytest.approx(law(SIZES))
    assert found.residuals == pytest.approx([0] * 7, abs=1e-6)
    assert found.left_out_error == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("seeds", [3, 5])
def test_alpha_interval_and_profile_agree(seeds):
    found = fit_power_law(noisy(law(SIZES), seeds=seeds))
    assert found.alpha_low < 0.35 < found.alpha_high
    alphas, errors = np.array(found.profile).T
    assert alphas[errors.argmin()] == pytest.approx(found.alpha, rel=0.02)
    assert errors.min() == pytest.approx(1, abs=0.05)
    assert abs(found.left_out_error) < 0.02


def test_one_wild_run_hardly_moves_a_robust_fit():
    clean = noisy(law(SIZES))
    wild = clean.by_seed.copy()
    wild[2, -1] *= 1.3
    wild[3, 0] *= 1.3
    moved = [fit_power_law(ErrorCurve(SIZES, table)).alpha for table in (clean.by_seed, wild)]
    assert moved[1] == pytest.approx(moved[0], rel=0.05)
    wild = wild[1:4]  # three seeds: plain least squares
    assert fit_power_law(ErrorCurve(SIZES, wild)).alpha != pytest.approx(moved[0], rel=0.1)


@pytest.mark.parametrize(
    ("sizes", "means", "says"),
    [
        (SIZES[:3], law(SIZES[:3]), "3 sizes"),
        (SIZES[:4], law(SIZES[:4]), "span 8×"),
        (SIZES, [0.4, 0.3, 0.25, 0.26, 0.2, 0.19, 0.18], "rises by 0.01 to size 8000"),
        (SIZES, [0.6, 0.3, 0.25, 0.22, 0.2, 0.19, 0.18], "60% at the worst"),
        (SIZES, [0.4, 0.3, 0.25, 0.22, 0.2, 0.19, 0.0], "is 0"),
    ],
)
def test_refused_curves_say_why(sizes, means, says):
    curve = ErrorCurve(sizes, np.tile(means, (3, 1)))
    found = fit_power_law(curve, classification=True)
    assert isinstance(found, Refused)
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(found.reason)
    shift = fit_shift(curve, curve, classification=True)
    assert shift == Refused(f"raw: {found.reason}")


def test_bits_per_byte_may_be_above_one_half():
    assert not isinstance(fit_power_law(noisy(2 * law(SIZES) + 1)), Refused)


def test_shift_of_one_law_is_one_multiplier():
    found = fit_shift(noisy(law(SIZES)), noisy(law(2 * SIZES), rng=1))
    assert found.low < 2 < found.high
    assert found.high / found.low < 1.3
    assert not found.changes_with_size
    assert len(found.by_size) == 7
    assert found.by_size[-1].censored == "at least"


def test_shift_of_two_laws_changes_with_size():
    steeper = 0.1 + 3 * 1000**0.1 * SIZES**-0.45
    found = fit_shift(noisy(law(SIZES)), noisy(steeper, rng=1))
    assert found.changes_with_size
    values = [ratio.value for ratio in found.by_size if ratio.censored is None]
    assert len(values) > 3
    assert values[-1] > values[0] * 1.5


def test_shift_needs_a_common_level():
    found = fit_shift(noisy(law(SIZES)), noisy(law(SIZES) / 20))
    assert found == Refused("the two curves share no level of error")


def grid():
    """245 runs, as many as Besiroglu et al. (2024) read off the figure of Hoffmann et al."""
    parameters = np.repeat(np.geomspace(44e6, 16e9, 49), 5)
    compute = np.tile(np.geomspace(6e18, 3e21, 5), 49)
    return parameters, np.clip(compute / 6 / parameters, 1e9, 1.4e12)


def test_chinchilla_is_recovered():
    N, D = grid()
    truth = 1.82 + 482.01 / N**0.35 + 2085.43 / D**0.37
    exact = fit_chinchilla(N, D, truth)
    assert (exact.E, exact.A, exact.alpha, exact.B, exact.beta) == pytest.approx(
        (1.82, 482.01, 0.35, 2085.43, 0.37), rel=1e-3
    )
    rng = np.random.default_rng(0)
    found = fit_chinchilla(N, D, truth * np.exp(rng.normal(0, 0.002, 245)))
    assert (found.E, found.alpha, found.beta) == pytest.approx((1.82, 0.35, 0.37), abs=0.01)
    slopes = found.A, found.B
    assert slopes == pytest.approx((482, 2085), rel=0.15)
    assert found.alpha_interval[0] < 0.35 < found.alpha_interval[1]
    assert found.beta_interval[0] < 0.37 < found.beta_interval[1]
    assert found.spread == pytest.approx(0.002, rel=0.2)


def test_chinchilla_survives_wild_runs():
    N, D = grid()
    losses = 1.82 + 482.01 / N**0.35 + 2085.43 / D**0.37
    losses *= np.exp(np.random.default_rng(1).normal(0, 0.002, 245))
    losses[::50] *= 1.2
    found = fit_chinchilla(N, D, losses)
    assert found.alpha == pytest.approx(0.35, abs=0.015)
    assert found.beta == pytest.approx(0.37, abs=0.015)


def test_chinchilla_refuses():
    N, D = grid()
    assert "19 runs" in fit_chinchilla(N[:19], D[:19], D[:19]).reason
    narrow = fit_chinchilla(np.full(245, 1e9), D, D)
    assert "parameters 1×" in narrow.reason
    with pytest.raises(ValueError, match="one length"):
        fit_chinchilla(N, D[:-1], D)
