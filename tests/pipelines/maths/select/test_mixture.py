"""Mixtures: tempered shares, the largest total, water-filling in whole numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.select.mixture import largest_total, share_out, tempered_shares

SOURCES = st.lists(
    st.tuples(st.floats(0, 1).filter(lambda x: x == 0 or x > 1e-6), st.integers(0, 50)),
    min_size=1,
    max_size=8,
)


def level(total, shares, available):
    """Return what a bisected water level gives each source."""
    total = min(total, sum(a for s, a in zip(shares, available, strict=True) if s > 0))
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        given_ = np.minimum(available, middle * np.asarray(shares))
        low, high = (middle, high) if given_.sum() < total else (low, middle)
    return np.minimum(available, high * np.asarray(shares))


@given(SOURCES, st.integers(0, 300))
def test_share_out_is_the_water_level_in_whole_numbers(sources, total):
    shares, available = (np.array(column) for column in zip(*sources, strict=True))
    got = share_out(total, shares.astype(float), available)
    able = shares > 0
    assert got.sum() == min(total, available[able].sum())
    assert (got >= 0).all()
    assert (got <= available).all()
    assert not got[~able].any()
    assert (np.abs(got - level(total, shares, available)) < 1 + 1e-3).all()


def test_share_out_gives_the_largest_remainders_first_and_ties_to_the_first():
    plenty = np.array([100, 100, 100])
    assert share_out(10, np.array([1 / 3, 1 / 3, 1 / 3]), plenty).tolist() == [4, 3, 3]
    assert share_out(10, np.array([0.25, 0.16, 0.59]), plenty).tolist() == [2, 2, 6]
    assert share_out(10, np.array([0.5, 0.25, 0.25]), np.array([1, 99, 99])).tolist() == [1, 5, 4]


@pytest.mark.parametrize(
    ("shares", "available", "total"),
    [
        ([0.5, 0.5], [10, 100], 20),
        ([0.3, 0.7], [3, 100], 10),
        ([0.1, 0.9], [10, 45], 50),
        ([0.07, 0.93], [7, 999], 100),
        ([0.5, 0.5, 0.0], [10, 10, 999], 20),
        ([0.5, 0.5], [10, 0], 10),
        ([1.0], [0], 0),
        ([], [], 0),
    ],
)
def test_largest_total_is_that_of_the_scarcest_source(shares, available, total):
    assert largest_total(np.array(shares), np.array(available, dtype=np.int64)) == total


def test_tempered_shares_go_from_proportional_to_equal():
    sizes = np.array([900, 100, 0])
    np.testing.assert_allclose(tempered_shares(sizes, 1), [0.9, 0.1, 0])
    np.testing.assert_allclose(tempered_shares(sizes, 2), [0.75, 0.25, 0])
    np.testing.assert_allclose(tempered_shares(sizes, 1e9), [0.5, 0.5, 0])
    np.testing.assert_allclose(tempered_shares(sizes, 1 / 2), [81 / 82, 1 / 82, 0])
    assert tempered_shares(np.zeros(2, np.int64), 3).tolist() == [0, 0]
