"""Selection under a budget: exactly the best rows of each group, though no place holds all rows.

Every row has a rank, a triple that no other row has: the score, highest first, then a hash of its
id, then its key. Each shard sorts its rows and tells only where blocks of about sqrt(rows) of them
begin and end (regular sampling, as in Shi & Schaeffer 1992, "Parallel sorting by regular
sampling"). The blocks of all shards tell between which two ranks the cut lies: all rows before are
kept, all rows behind are not, and only those between, about one block per shard, are looked at one
by one. Nothing is assumed about the scores: all may be equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import cast

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Floats, Int64, Keys, Mask, UInt64

_SIGN = np.uint64(1 << 63)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@dataclass(frozen=True)
class Ranks:
    """Ranks of rows, the smaller the better: compared by `order`, then `hash`, then `key`."""

    order: UInt64
    hash: UInt64
    key: Keys

    def __len__(self) -> int:
        """Return the number of ranks."""
        return len(self.key)

    def take(self, at: Int64 | Mask) -> Ranks:
        """Return the ranks at some positions."""
        return Ranks(self.order[at], self.hash[at], self.key[at])

    def before(self, other: Ranks) -> Mask:
        """Tell, one by one, which ranks are better than those of `other`."""
        tied = self.order == other.order
        by_key = (self.hash == other.hash) & (self.key < other.key)
        better = (self.order < other.order) | (tied & ((self.hash < other.hash) | by_key))
        return cast("Mask", better)


def order_of(scores: npt.ArrayLike) -> UInt64:
    """Return integers that fall as float64 scores rise; NaN comes last, -0.0 equals 0.0."""
    values = np.asarray(scores, dtype=np.float64) + 0.0
    bits = values.view(np.uint64)
    rising = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    return np.where(np.isnan(values), _ALL, ~rising)


def score_of(order: UInt64) -> Floats:
    """Return the scores that `order_of` was given; NaN where there was none, and for order 0."""
    rising = ~order
    bits = np.where(rising & _SIGN, rising ^ _SIGN, ~rising)
    return cast("Floats", bits.view(np.float64))


def block_length(rows: int) -> int:
    """Return how many rows a block has: with sqrt(rows / 2) of them, a shard has least to tell."""
    return max(1, ceil(sqrt(rows / 2)))


def block_starts(groups: npt.NDArray[np.generic], length: int) -> Int64:
    """Return where blocks start in rows sorted by group: at each group, then every `length`."""
    n = len(groups)
    if not n:
        return np.empty(0, np.int64)
    new = np.ones(n, dtype=np.bool_)
    new[1:] = groups[1:] != groups[:-1]
    first = np.flatnonzero(new)
    within = np.arange(n) - first[np.cumsum(new) - 1]
    return np.flatnonzero(within % length == 0)


@dataclass(frozen=True)
class Cuts:
    """Where the cut of each group lies, as positions of blocks; -1 where there is no such block.

    If the first row of `first_out` is none of `sure_out`'s, the cut is known only to lie between
    that row and the last of `sure_out`.
    """

    first_out: Int64
    """The block whose first row may be the first that is not kept: all rows before it are kept.
    -1 where everything is kept."""
    sure_out: Int64
    """The block whose last row is surely not kept, nor is any row after it."""
    last_in: Int64
    """The last block that lies before that row as a whole."""


def locate(groups: Int64, weights: Int64, first: Ranks, last: Ranks, budgets: Int64) -> Cuts:
    """Find where the longest prefix of each group ends whose weight is within its budget.

    The rows up to a rank t weigh at least what the blocks that end by t do, and at most what those
    that start by t do. The cut lies between the ranks at which these two bounds pass the budget.

    Args:
        groups: number of the group of each block, 0 to groups - 1.
        weights: weight of the rows of each block, not negative.
        first: rank of the first row of each block.
        last: rank of the last row of each block; the first again in blocks of one row.
        budgets: weight that fits, by group.
    """
    n = len(groups)
    events = np.lexsort(
        (
            np.repeat(np.array([0, 1], np.int8), n),  # of a row that is a block, its start first
            np.concatenate([first.key, last.key]),
            np.concatenate([first.hash, last.hash]),
            np.concatenate([first.order, last.order]),
            np.tile(groups, 2),
        )
    )
    block, ends = events % n, events >= n
    group = groups[block]
    at_most = _running(np.where(ends, 0, weights[block]), group)
    at_least = _running(np.where(ends, weights[block], 0), group)
    cuts = Cuts(*(np.full(len(budgets), -1, np.int64) for _ in range(3)))
    over = at_most > budgets[group]
    for found, passed in ((cuts.first_out, over), (cuts.sure_out, at_least > budgets[group])):
        at = np.flatnonzero(passed)[::-1]  # of repeated groups the last assignment stays
        found[group[at]] = block[at]
    at = np.flatnonzero(ends & ~over)
    cuts.last_in[group[at]] = block[at]
    return cuts


def _running(weights: Int64, groups: Int64) -> Int64:
    """Return the running sum within each of the sorted groups."""
    total = np.cumsum(weights)
    new = np.ones(len(groups), dtype=np.bool_)
    new[1:] = groups[1:] != groups[:-1]
    start = np.flatnonzero(new)
    before = total[start] - weights[start]
    return cast("Int64", total - before[np.cumsum(new) - 1])
