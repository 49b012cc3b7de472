"""Exact Jaccard similarity against Python's sets."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.jaccard
from pipelines.jaccard import distinct, jaccard
from pipelines.tokens import Tokens, offsets_of

SETS = st.lists(st.lists(st.integers(0, 30), max_size=15), min_size=1, max_size=8)


def tokens(lists) -> Tokens:
    flat = np.array([v for values in lists for v in values], dtype=np.uint64)
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
@pytest.mark.parametrize("owners", [2, 1 << 20])
def test_jaccard_equals_sets_for_blocks_of_any_size(monkeypatch, elements, owners):
    monkeypatch.setattr(pipelines.jaccard, "_ELEMENTS", elements)
    monkeypatch.setattr(pipelines.jaccard, "_OWNERS", owners)
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 40, rng.integers(0, 30)).tolist() for _ in range(30)]
    left, right = rng.integers(0, 30, (2, 200))
    found = jaccard(distinct(tokens(lists)), left, right)
    expected = [oracle(lists[a], lists[b]) for a, b in zip(left, right, strict=True)]
    assert found.tolist() == expected


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
