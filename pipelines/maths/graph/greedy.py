"""Which rows of a cluster stand for themselves: each dropped row is similar to a kept one.

The rows are gone through in the order in which they would rather be kept; a row is dropped if a
row that was kept before is similar to it. This is the lexicographically first maximal independent
set of the graph of similar pairs (Blelloch, Fineman and Shun 2012, arXiv:1202.3205).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pipelines.maths.arrays import Floats, Grid, Int64

BLOCK = 128
"""Rows compared with each other at once."""
_PAIRS = 1 << 20
"""Pairs measured at once."""
MOST_PAIRS = 1 << 27
"""Pairs measured in one cluster; rows that would need more are kept."""


@dataclass(frozen=True)
class Kept:
    """For each row its keeper, by position, itself where it is kept."""

    keeper: Int64
    similarity: Floats
    """Similarity to the keeper; 1 to itself."""
    left_out: int
    """Rows that are kept because comparing them would cost too much."""


def grid_of(similarities: Callable[[Int64, Int64], Floats]) -> Grid:
    """Return the grid of what measures the similarity of pairs of positions."""

    def grid(left: Int64, right: Int64) -> Floats:
        pairs = similarities(np.repeat(left, len(right)), np.tile(right, len(left)))
        return pairs.reshape(len(left), len(right))

    return grid


def keep_greedily(
    n: int,
    grid: Grid,
    at_least: float,
    *,
    fixed: int = 0,
    most_pairs: int = MOST_PAIRS,
) -> Kept:
    """Decide which of `n` rows, the best first, are kept.

    Args:
        n: number of rows.
        grid: returns the similarities of some positions to others.
        at_least: smallest similarity of two duplicates.
        fixed: this many rows, the first, are kept in any case.
        most_pairs: pairs measured at most.
    """
    keeper, value = np.arange(n), np.ones(n)
    alive, measured = np.arange(n), 0
    while len(alive) > 1 and (measured < most_pairs):
        block, alive = alive[:BLOCK], alive[BLOCK:]
        measured += len(block) ** 2
        matrix = np.triu(grid(block, block), 1)
        gone = np.zeros(len(block), dtype=np.bool_)
        for i in range(len(block)):
            if gone[i]:
                continue
            hit = (matrix[i] >= at_least) & ~gone & (block >= fixed)
            keeper[block[hit]], value[block[hit]] = block[i], matrix[i, hit]
            gone |= hit
        kept = block[~gone]
        measured += len(kept) * len(alive)
        alive = _drop_similar(kept, alive, grid, at_least, fixed, keeper, value)
    return Kept(keeper, value, max(0, len(alive) - 1))


def _drop_similar(
    kept: Int64,
    alive: Int64,
    grid: Grid,
    at_least: float,
    fixed: int,
    keeper: Int64,
    value: Floats,
) -> Int64:
    """Note the keeper of the rows that are similar to a kept one; return the others."""
    left_alive = [np.zeros(0, np.int64)]
    step = max(1, _PAIRS // len(kept))
    for start in range(0, len(alive), step):
        rows = alive[start : start + step]
        matrix = grid(kept, rows)
        similar = (matrix >= at_least) & (rows >= fixed)
        first, hit = similar.argmax(axis=0), similar.any(axis=0)
        keeper[rows[hit]] = kept[first[hit]]
        value[rows[hit]] = matrix[first, np.arange(len(rows))][hit]
        left_alive.append(rows[~hit])
    return np.concatenate(left_alive)
