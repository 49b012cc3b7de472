"""Cuts under a budget: orders of scores, blocks, and where the longest prefix ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.select.budget import (
    Ranks,
    block_length,
    block_starts,
    locate,
    order_of,
    score_of,
)

SCORES = st.floats(width=64) | st.integers(-3, 3).map(float)


@given(st.lists(SCORES, max_size=30))
def test_order_falls_as_scores_rise_and_nan_is_last(scores):
    order = order_of(scores)
    expected = sorted(range(len(scores)), key=lambda i: (np.isnan(scores[i]), -scores[i]))
    assert [order[i] for i in expected] == sorted(order.tolist())
    for (a, x), (b, y) in zip(
        zip(scores, order, strict=True), zip(scores[1:], order[1:], strict=True), strict=False
    ):
        assert (x == y) == (a == b or (np.isnan(a) and np.isnan(b)))


@given(st.lists(SCORES, max_size=30))
def test_score_of_gives_back_what_order_of_was_given(scores):
    np.testing.assert_array_equal(score_of(order_of(scores)), scores)
    assert np.isnan(score_of(np.zeros(1, np.uint64)))[0]


def test_zeros_of_either_sign_are_equal():
    assert len(set(order_of([0.0, -0.0]).tolist())) == 1


def test_blocks_start_at_each_group_and_every_length_rows():
    groups = np.array([3, 3, 3, 3, 3, 5, 7, 7])
    assert block_starts(groups, 2).tolist() == [0, 2, 4, 5, 6]
    assert block_starts(groups[:0], 2).tolist() == []
    assert [block_length(n) for n in (1, 2, 200, 80_000)] == [1, 1, 10, 200]


def prefix(rows, budget):
    """Return how many of the sorted (rank, weight) rows fit."""
    spent = np.cumsum([weight for *_, weight in rows])
    return int((spent <= budget).sum())


@st.composite
def runs(draw):
    """Rows (group, order, hash, key, weight) of some shards, and a budget for each group."""
    row = st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2), st.integers(0, 4))
    rows = draw(st.lists(row, min_size=1, max_size=40))
    numbers = np.unique([group for group, *_ in rows], return_inverse=True)[1]
    keys = draw(st.permutations(range(len(rows))))
    rows = [(int(g), o, h, k, w) for g, (_, o, h, w), k in zip(numbers, rows, keys, strict=True)]
    shard = draw(st.lists(st.integers(0, 3), min_size=len(rows), max_size=len(rows)))
    shards = [sorted(r for r, s in zip(rows, shard, strict=True) if s == n) for n in range(4)]
    budgets = [draw(st.integers(0, 60)) for _ in range(int(numbers.max()) + 1)]
    return shards, budgets


def blocks(shards, length):
    """Return groups, weights, first and last rows of the blocks of all shards."""
    found = []
    for rows in filter(None, shards):
        starts = block_starts(np.array([group for group, *_ in rows]), length).tolist()
        ends = [*starts[1:], len(rows)]
        found += [rows[a:b] for a, b in zip(starts, ends, strict=True)]
    return found


def ranks(rows):
    order, hashes, keys = (np.array(column) for column in list(zip(*rows, strict=True))[1:4])
    return Ranks(order.astype(np.uint64), hashes.astype(np.uint64), keys.astype(np.int64))


@given(runs(), st.integers(1, 9))
def test_locate_bounds_the_cut_and_finds_it_in_blocks_of_one_row(made, length):
    shards, budgets = made
    found = blocks(shards, length)
    groups = np.array([block[0][0] for block in found])
    weights = np.array([sum(row[4] for row in block) for block in found])
    first, last = ranks([block[0] for block in found]), ranks([block[-1] for block in found])
    cuts = locate(groups, weights, first, last, np.array(budgets))
    for group, budget in enumerate(budgets):
        rows = sorted(row for shard in shards for row in shard if row[0] == group)
        keeps = prefix(rows, budget)
        if keeps == len(rows):
            assert cuts.first_out[group] == cuts.sure_out[group] == -1
            continue
        low, high = found[cuts.first_out[group]][0], found[cuts.sure_out[group]][-1]
        assert low <= rows[keeps] <= high
        if length == 1:
            assert low == rows[keeps] == high
            at = cuts.last_in[group]
            assert (found[at][-1] if at >= 0 else None) == (rows[keeps - 1] if keeps else None)


@pytest.mark.parametrize(
    ("one", "other", "before"),
    [
        ((1, 9, 9), (2, 0, 0), True),
        ((1, 1, 9), (1, 2, 0), True),
        ((1, 1, 1), (1, 1, 2), True),
        ((1, 1, 1), (1, 1, 1), False),
        ((2, 0, 0), (1, 9, 9), False),
    ],
)
def test_ranks_compare_by_order_then_hash_then_key(one, other, before):
    assert ranks([(0, *one)]).before(ranks([(0, *other)])).tolist() == [before]
