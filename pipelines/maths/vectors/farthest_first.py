"""Greedy k-center: the rows that cover a set of vectors.

Distances are Euclidean between unit vectors, sqrt(2 - 2 · cosine), in [0, 2]: a metric, which the
guarantees need.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

import numpy as np

from pipelines.maths.arrays import Floats, Int64, Vectors
from pipelines.maths.vectors.centers import squared_distances
from pipelines.maths.vectors.unit_vectors import TILE, on_grid

ONE_PARTITION_UP_TO = 20_000
"""Most rows whose centers are chosen in one go."""
_BLOCK = 256
"""Rows whose distances are brought up to date at a time."""


def plan_parts(rows: int, centers: int) -> int:
    """Return into how many parts `rows` are cut to choose `centers` of them.

    Each part chooses `centers` of its rows, and the final ones are chosen among all of these. With
    sqrt(rows / centers) parts, a part of the first round is as large as the only one of the second.
    """
    if rows <= ONE_PARTITION_UP_TO or not centers:
        return 1
    return max(1, isqrt(rows // centers))


def farthest_first(vectors: Vectors, wanted: int) -> Int64:
    """Return the positions of `wanted` vectors in the order of farthest-first traversal.

    The first is vector 0, each next one the farthest from those before, the first of equals. No
    choice of as many centers has less than half the radius (Gonzalez 1985, Clustering to minimize
    the maximum intercluster distance; as a core-set: Sener & Savarese 2018,
    https://arxiv.org/abs/1708.00489).

    Distances only shrink as centers are added, so an old distance is an upper bound: only rows
    with the greatest bounds are brought up to date, a block at a time. The result is the same as if
    all were updated each time (lazy greedy: Minoux 1978). At most rows · wanted products of
    vectors, far fewer where vectors lie in clumps.

    Args:
        vectors: shape (n, dimensions), of length 1 or 0.
        wanted: positions to return; n where there are fewer vectors.
    """
    if wanted >= len(vectors):
        return np.arange(len(vectors))
    state = _Traversal.of(vectors, wanted)
    while state.count < wanted:
        block = _leading(state.bound, _BLOCK)
        state.choose(block, state.refresh(block))
    return state.order


@dataclass
class _Traversal:
    """A farthest-first traversal on its way."""

    vectors: Vectors
    bound: Floats
    """Squared distance of each row to the nearest of the first `seen` centers; -1 for centers."""
    seen: Int64
    order: Int64
    chosen: Floats
    """The centers in order, shape (wanted, dimensions)."""
    count: int = 0

    @classmethod
    def of(cls, vectors: Vectors, wanted: int) -> _Traversal:
        n, dimensions = vectors.shape
        return cls(
            vectors=vectors,
            bound=np.full(n, np.inf),
            seen=np.zeros(n, dtype=np.int64),
            order=np.zeros(wanted, dtype=np.int64),
            chosen=np.empty((wanted, dimensions)),
        )

    def refresh(self, block: Int64) -> Floats:
        """Bring the distances of some rows up to date; return their vectors on the grid."""
        points = on_grid(self.vectors[block])
        first = int(self.seen[block].min())
        for start in range(first, self.count, TILE):
            theirs = self.chosen[start : min(start + TILE, self.count)]
            squared = squared_distances(points, theirs).min(axis=1)
            self.bound[block] = np.minimum(self.bound[block], squared)
        self.seen[block] = self.count
        return points

    def choose(self, block: Int64, points: Floats) -> None:
        """Choose rows of an ascending, fresh block as long as no other row can be farther."""
        bound = self.bound[block]
        self.bound[block] = -np.inf
        rival = int(self.bound.argmax())
        farthest = self.bound[rival]
        while self.count < len(self.order):
            at = int(bound.argmax())
            if bound[at] < farthest or (bound[at] == farthest and block[at] > rival):
                break
            self.order[self.count], self.chosen[self.count] = block[at], points[at]
            self.count += 1
            np.minimum(bound, squared_distances(points, points[at : at + 1])[:, 0], out=bound)
            bound[at] = -1.0
        self.bound[block], self.seen[block] = bound, self.count


def _leading(bound: Floats, most: int) -> Int64:
    """Return the positions of the `most` greatest values, ascending; of equals, the first."""
    if len(bound) <= most:
        return np.arange(len(bound))
    least = np.partition(bound, len(bound) - most)[len(bound) - most]
    greater = np.flatnonzero(bound > least)
    equal = np.flatnonzero(bound == least)[: most - len(greater)]
    return np.sort(np.concatenate([greater, equal]))
