"""Exact Jaccard similarity against Python's sets."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.maths.sets.jaccard
from pipelines.maths.arrays import mix, offsets_of
from pipelines.maths.sets.jaccard import (
    JaccardGrid,
    checked_sets,
    column_sets,
    distinct,
    jaccard,
    set_column,
)
from pipelines.maths.text.tokens import Tokens

SETS = st.lists(st.lists(st.integers(0, 30), max_size=15), min_size=1, max_size=8)


def tokens(lists) -> Tokens:
    """Shingles whose upper 32 bits are the given integers."""
    flat = np.array([v for values in lists for v in values], dtype=np.uint64)
    flat = flat << np.uint64(32) | mix(flat + np.uint64(1)) >> np.uint64(32)
    return Tokens(flat, offsets_of([len(values) for values in lists]))


def oracle(a, b) -> float:
    union = set(a) | set(b)
    return len(set(a) & set(b)) / len(union) if union else 0.0


@given(SETS)
def test_distinct_is_a_sorted_set_a_text(lists):
    sets = distinct(tokens(lists))
    ends = sets.offsets.tolist()
    found = [sets.hashes[i:j].tolist() for i, j in pairwise(ends)]
    assert found == [sorted(set(values)) for values in lists]


@pytest.mark.parametrize("elements", [1, 10, 1 << 22])
def test_jaccard_equals_sets_for_blocks_of_any_size(monkeypatch, elements):
    monkeypatch.setattr(pipelines.maths.sets.jaccard, "_ELEMENTS", elements)
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 40, rng.integers(0, 30)).tolist() for _ in range(30)]
    left, right = rng.integers(0, 30, (2, 200))
    found = jaccard(distinct(tokens(lists)), left, right)
    expected = [oracle(lists[a], lists[b]) for a, b in zip(left, right, strict=True)]
    assert found.tolist() == expected


@given(SETS, st.data())
def test_a_grid_of_similarities_is_that_of_the_pairs(lists, data):
    sets = distinct(tokens(lists))
    some = st.lists(st.integers(0, len(lists) - 1), min_size=1, max_size=5)
    left, right = (np.array(data.draw(some)) for _ in range(2))
    pairs = jaccard(sets, np.repeat(left, len(right)), np.tile(right, len(left)))
    assert JaccardGrid(sets)(left, right).ravel().tolist() == pairs.tolist()


def test_jaccard_of_no_pairs_is_empty():
    none = np.empty(0, np.int64)
    assert jaccard(distinct(tokens([[1]])), none, none).shape == (0,)


def test_jaccard_of_empty_sets_is_zero():
    at = np.array([0])
    assert jaccard(distinct(tokens([[], []])), at, at + 1).tolist() == [0.0]


def test_jaccard_of_a_quotient_is_the_float_a_recipe_says():
    sets = distinct(tokens([range(10), range(1, 9), range(7)]))
    zero = np.array([0, 0])
    assert jaccard(sets, zero, np.array([1, 2])).tolist() == [0.8, 0.7]


def test_jaccard_tells_single_shingles_apart_that_are_equal_in_32_bits():
    high = np.uint64(7 << 32)
    hashes = np.array([high | 1, high | 2, high | 1, high | 1, high | 1], dtype=np.uint64)
    sets = distinct(Tokens(hashes, offsets_of([1, 1, 2, 1])))
    found = jaccard(sets, np.array([0, 0, 0, 1]), np.array([1, 2, 3, 3]))
    assert found.tolist() == [0, 1, 1, 0]


@given(SETS)
def test_cut_keeps_order_and_repeats_and_has_the_check_of_the_set(lists):
    shingles = tokens(lists)
    sets = checked_sets(shingles)
    assert sets.hashes.tolist() == [v for values in lists for v in values]
    assert sets.hashes.dtype == np.uint32
    assert sets.offsets.tolist() == shingles.offsets.tolist()
    assert sets.checks.tolist() == distinct(shingles).checks.tolist()
    assert (
        sets.checks.tolist()
        == checked_sets(tokens([sorted(set(v)) for v in lists])).checks.tolist()
    )


@given(SETS, st.integers(0, 7))
def test_sets_survive_their_column_and_any_slice_of_it(lists, start):
    sets = distinct(tokens(lists))
    found = column_sets(set_column(sets).slice(start))
    expected = distinct(tokens(lists[start:]))
    for name in ("hashes", "offsets", "checks"):
        assert getattr(found, name).tolist() == getattr(expected, name).tolist()
