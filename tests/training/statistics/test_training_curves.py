import dataclasses
import json

import numpy as np
import pytest

from training.statistics.curves import (
    ErrorCurve,
    compute_multiplier,
    kept_multiplier,
    pool_multiplier,
    same_quality,
)

SIZES = 1000 * 2.0 ** np.arange(7)


def law(n):
    return 0.1 + 3 * np.asarray(n) ** -0.35


def curves(m=2.0, seeds=5, noise=0.002, sizes=SIZES, rng=0, curated_sizes=None):
    """A raw curve and one of data worth `m` times as much an example."""
    rng = np.random.default_rng(rng)
    chosen = sizes if curated_sizes is None else curated_sizes
    luck = rng.normal(0, noise, (seeds, 1))
    raw = law(sizes) + luck + rng.normal(0, noise, (seeds, len(sizes)))
    curated = law(m * chosen) + luck + rng.normal(0, noise, (seeds, len(chosen)))
    return ErrorCurve(sizes, raw), ErrorCurve(chosen, curated)


def test_multiplier_without_noise_is_exact_at_measured_sizes():
    raw, curated = curves(m=2, noise=0)
    found = kept_multiplier(raw, curated, at=8000)
    assert (found.value, found.low, found.high) == pytest.approx((2, 2, 2))
    assert found.censored is None
    assert found.at == 8000


def test_multiplier_between_sizes_is_read_without_the_bias_of_straight_lines():
    raw, curated = curves(m=2, noise=0, sizes=1000 * 4.0 ** np.arange(4))
    found = kept_multiplier(raw, curated, at=16_000).value
    lines = np.interp(-curated.by_seed[0, 2], -raw.by_seed[0], np.log(raw.sizes))
    assert found == pytest.approx(2, rel=0.02)
    assert np.exp(lines) / 16_000 > 2.1


@pytest.mark.parametrize("seeds", [3, 10])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_multiplier_interval_holds_the_truth(seeds, count):
    raw, curated = curves(m=1.5, seeds=seeds, sizes=1000 * 2.0 ** np.arange(count))
    found = kept_multiplier(raw, curated, at=1000)
    assert found.low < found.value < found.high
    assert found.low < 1.5 < found.high


def test_multiplier_beyond_the_curve_is_at_least():
    raw, curated = curves(m=8)
    found = kept_multiplier(raw, curated)
    assert (found.value, found.high, found.censored) == (1, None, "at least")
    assert found.low == 1  # even all raw data is worse beyond doubt
    found = kept_multiplier(raw, curated, at=32_000)
    assert (found.value, found.censored) == (2, "at least")


def test_multiplier_before_the_curve_is_at_most():
    raw, curated = curves(m=1 / 8)
    found = kept_multiplier(raw, curated, at=1000)
    assert (found.value, found.low, found.high, found.censored) == (1, None, 1, "at most")


def test_interval_end_outside_the_curve_is_open():
    raw, curated = curves(m=1, noise=0.02)
    found = kept_multiplier(raw, curated, at=64_000)
    assert found.high is None
    assert found.low < 1


def test_pool_multiplier_of_a_filter_that_only_shrinks_is_one():
    """Keeping 54 % that equal the whole pool: kept-sample multiplier 1.85, pool multiplier 1."""
    keep = 0.54
    raw, curated = curves(m=1 / keep, noise=0.0005)
    kept = kept_multiplier(raw, curated, at=16_000)
    pool = pool_multiplier(raw, curated, keep, at=16_000)
    assert kept.value == pytest.approx(1 / keep, rel=0.05)
    assert pool.value == pytest.approx(1, rel=0.05)
    assert pool.at == 16_000 / keep
    assert (pool.low, pool.high) == pytest.approx((kept.low * keep, kept.high * keep))


def test_compute_multiplier_charges_the_curator():
    raw, curated = curves(m=2, noise=0)
    assert compute_multiplier(raw, curated, 8000).value == pytest.approx(2)
    assert compute_multiplier(raw, curated, 8000, curator_steps=8000).value == pytest.approx(1)


def test_same_quality_is_the_share_of_raw():
    raw, curated = curves(m=4, noise=0.001)
    found = same_quality(raw, curated)
    assert found.low < 0.25 < found.high
    assert found.censored is None
    assert found.at == 64_000


def test_same_quality_is_censored_where_curated_falls_short():
    raw, curated = curves(m=1.2, curated_sizes=SIZES[:5])
    assert same_quality(raw, curated).censored == "at least"
    assert same_quality(raw, curated).value == 0.25
    raw, curated = curves(m=256)
    assert same_quality(raw, curated).censored == "at most"
    assert same_quality(raw, curated).value == pytest.approx(1 / 64)


def test_equal_arms_have_multiplier_one():
    raw, _ = curves()
    assert kept_multiplier(raw, raw).value == 1
    assert same_quality(raw, raw).value == 1


def test_rise_is_smoothed_and_reported():
    errors = np.tile([0.5, 0.3, 0.34, 0.2], (3, 1))
    curve = ErrorCurve([1, 2, 4, 8], errors)
    assert curve.rise == pytest.approx(0.04)
    assert curve.replicates[0][0] == pytest.approx([0.5, 0.32, 0.32, 0.2])
    assert ErrorCurve([1, 2], [[2, 1]] * 3).rise == 0


def test_flat_curve_needs_the_fewest_examples_and_its_interval_is_the_flat():
    raw = ErrorCurve([1, 2, 4, 8], np.tile([0.5, 0.2, 0.2, 0.2], (3, 1)))
    curated = ErrorCurve([1, 2, 4, 8], np.tile([0.4, 0.2, 0.1, 0.1], (3, 1)))
    found = kept_multiplier(raw, curated, at=2)
    assert (found.value, found.low, found.high) == (1, 1, 4)


def test_too_few_or_far_sizes_give_an_interval_of_measured_sizes():
    sizes = np.array([1000.0, 64_000.0])
    raw, curated = curves(m=3, sizes=sizes, noise=1e-4)
    found = kept_multiplier(raw, curated, at=1000)
    assert (found.low, found.high) == (1, 64)


def test_test_rows_widen_the_interval():
    """The same mean errors, with rows that the arms find differently hard."""
    raw, curated = curves(m=2, noise=0.001)
    rng = np.random.default_rng(1)

    def with_rows(curve, spread):
        rows = rng.normal(0, spread, (1, 1, 200))
        return ErrorCurve(SIZES, curve.by_seed[:, :, None] + rows - rows.mean())

    def width(spread):
        found = kept_multiplier(with_rows(raw, spread), with_rows(curated, spread), at=8000)
        assert found.value == pytest.approx(kept_multiplier(raw, curated, at=8000).value)
        return np.log(found.high / found.low)

    alone = kept_multiplier(raw, curated, at=8000)
    assert width(1e-9) == pytest.approx(np.log(alone.high / alone.low), rel=1e-3)
    assert width(0.05) > 2 * width(1e-9)


def test_ratio_is_plain_json():
    found = kept_multiplier(*curves(m=8))
    assert json.loads(json.dumps(dataclasses.asdict(found)))["censored"] == "at least"


@pytest.mark.parametrize(
    ("sizes", "errors", "says"),
    [
        ([1, 2], np.ones((3, 3)), "needs .seeds, sizes."),
        ([1], np.ones((3, 1)), "at least 2 sizes"),
        ([2, 1], np.ones((3, 2)), "rising"),
        ([0, 1], np.ones((3, 2)), "positive"),
        ([1, 2], np.ones((2, 2)), "at least 3"),
        ([1, 2], [[1, 1], [1, 1], [1, np.nan]], "not finite"),
    ],
)
def test_curve_refuses(sizes, errors, says):
    with pytest.raises(ValueError, match=says):
        ErrorCurve(sizes, errors)


def test_multiplier_refuses_what_was_not_measured():
    raw, curated = curves()
    with pytest.raises(ValueError, match=r"only .* were measured"):
        kept_multiplier(raw, curated, at=3000)
    with pytest.raises(ValueError, match="same seeds"):
        kept_multiplier(raw, ErrorCurve(SIZES, curated.by_seed[:4]))
    with pytest.raises(ValueError, match="keep_share: 0"):
        pool_multiplier(raw, curated, 0)
    with pytest.raises(ValueError, match="curator_steps: -1"):
        compute_multiplier(raw, curated, curator_steps=-1)
