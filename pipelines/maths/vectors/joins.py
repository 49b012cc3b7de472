"""Groups of similar unit vectors, and the closest other of each: all with all, tile by tile."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import xxhash

from pipelines.maths.arrays import Floats, Int64, Keys, Mask, Vectors
from pipelines.maths.graph.components import components
from pipelines.maths.vectors.unit_vectors import (
    TILE,
    UNITS,
    float32_error,
    least_millionths,
    millionths,
    on_grid,
    similarities,
)


@dataclass(frozen=True)
class Joined:
    """Vectors joined by similar pairs; each array has one value per vector."""

    group: Int64
    """Number of the connected component."""
    closest: Int64
    """Position of the most similar other vector that it was compared with; its own where none is
    similar enough."""
    similarity: Floats
    """Similarity to the closest, to six decimals; 0 where none is similar enough."""
    left_out: int = 0
    """Pairs of tiles that were not compared because there were too many."""

    def leaders(self) -> Int64:
        """Return the position of the first vector of the group of each."""
        _, first, group = np.unique(self.group, return_index=True, return_inverse=True)
        return first[group]


def join_copies(vectors: Vectors, join: Callable[[Int64], Joined]) -> Joined:
    """Join vectors, given a function that joins different ones: equal ones are compared once.

    Args:
        vectors: shape (n, dimensions).
        join: joins the vectors at some positions, no two of them equal.
    """
    members, starts, counts = _groups(vectors)
    first = members[starts]
    distinct = join(first)
    of = np.empty(len(vectors), dtype=np.int64)
    of[members] = np.repeat(np.arange(len(counts)), counts)
    closest, similarity = first[distinct.closest], distinct.similarity.copy()
    repeated = counts > 1  # the closest of equal vectors are their first, and of that the second
    closest[repeated], similarity[repeated] = members[starts[repeated] + 1], 1.0
    is_copy = np.ones(len(vectors), dtype=np.bool_)
    is_copy[first] = False
    return Joined(
        distinct.group[of],
        np.where(is_copy, first[of], closest[of]),
        np.where(is_copy, 1.0, similarity[of]),
        distinct.left_out,
    )


def edges_of(keys: Keys, vectors: Vectors, joined: Joined, at_least: float) -> pa.Table:
    """Return at most two edges per row: to the first of its group and to its closest.

    Columns `a`, `b` (keys) and `similarity`, NaN where two are in one group through others. The
    edges hold the components, and all evidence that a verdict on more of the corpus can need.
    """
    leader = joined.leaders()
    row = np.flatnonzero(leader != np.arange(len(keys)))
    leader, closest = leader[row], joined.closest[row]
    to_leader = similarities(vectors[row], vectors[leader])
    to_leader[to_leader < at_least] = np.nan
    other = closest != leader
    return pa.table(
        {
            "a": keys[np.concatenate([row, row[other]])],
            "b": keys[np.concatenate([leader, closest[other]])],
            "similarity": np.concatenate([to_leader, joined.similarity[row[other]]]),
        }
    )


def join_tiles(vectors: Vectors, at_least: float, most: int | None = None) -> Joined:
    """Return the components of the pairs of inner product `at_least` or more, and closest pairs.

    Products are computed tile by tile of the upper triangle and none is stored, so memory does not
    grow with the number of similar pairs. Float32 decides which rows and columns of a tile are
    computed exactly. Tiles within one group, as a dense blob has, are not computed at all: there,
    the closest is the closest of those compared.

    Args:
        vectors: shape (n, dimensions), no two equal.
        at_least: smallest inner product of two similar vectors.
        most: most pairs of tiles to compare, None for all.
    """
    n = len(vectors)
    least = least_millionths(at_least)
    doubtful = np.float32(at_least - 1 / UNITS - float32_error(vectors.shape[1]))
    groups, closest, best = np.arange(n), np.arange(n), np.zeros(n)
    order = np.arange(n)
    compared = left_out = 0
    for start in range(0, n, TILE):
        # Vectors of one group are put side by side, so that tiles within it can be left out.
        order[start:] = order[start:][np.argsort(groups[order[start:]], kind="stable")]
        rows = order[start : start + TILE]
        for other in range(start, n, TILE):
            columns = order[other : other + TILE]
            if n > TILE and _is_one_group(groups, rows, columns):
                continue
            if compared == most:
                left_out += 1
                continue
            compared += 1
            product = vectors[rows] @ vectors[columns].T
            if other == start:
                np.fill_diagonal(product, -1)
            if product.max() < doubtful:
                continue
            hit = product >= doubtful
            if other == start:  # float32 is not symmetric to its last bit
                hit |= hit.T
            i, j = rows[hit.any(axis=1)], columns[hit.any(axis=0)]
            near = millionths(on_grid(vectors[i]) @ on_grid(vectors[j]).T)
            if other == start:
                np.fill_diagonal(near, -1)
            _note_closest(near, i, j, least, closest, best)
            if other != start:
                _note_closest(near.T, j, i, least, closest, best)
            groups = _join_tile(groups, near >= least, i, j)
    return Joined(groups, closest, best / UNITS, left_out)


def _is_one_group(groups: Int64, rows: Int64, columns: Int64) -> bool:
    one = groups[rows[0]]
    return bool((groups[rows] == one).all() and (groups[columns] == one).all())


def _note_closest(
    near: Floats, rows: Int64, columns: Int64, least: float, closest: Int64, best: Floats
) -> None:
    """Write to `closest` and `best` what a tile has that is similar enough and closer."""
    at = near.argmax(axis=1)
    value = near[np.arange(len(rows)), at]
    better = (value >= least) & (value > best[rows])
    closest[rows[better]] = columns[at[better]]
    best[rows[better]] = value[better]


def _join_tile(groups: Int64, similar: Mask, rows: Int64, columns: Int64) -> Int64:
    """Return the groups after joining those of similar rows and columns of a tile.

    Each row and column is joined with the first one of another group, until none is left
    (Borůvka): each turn joins away at least half of the groups that are not done.
    """
    while True:
        ours, theirs = groups[rows], groups[columns]
        cross = similar & (ours[:, None] != theirs)
        i, j = np.flatnonzero(cross.any(axis=1)), np.flatnonzero(cross.any(axis=0))
        if not len(i):
            return groups
        left = np.concatenate([ours[i], ours[cross[:, j].argmax(axis=0)]])
        right = np.concatenate([theirs[cross[i].argmax(axis=1)], theirs[j]])
        groups = components(left, right, len(groups))[groups]


def _groups(vectors: Vectors) -> tuple[Int64, Int64, Int64]:
    """Return positions sorted by group of equal vectors, and start and size of each group."""
    rows = memoryview(np.ascontiguousarray(vectors).view(np.uint8).reshape(-1).data)
    width = vectors.shape[1] * vectors.itemsize
    cuts = range(0, len(rows) + 1, width)
    raw = b"".join([xxhash.xxh3_128_digest(rows[i:j]) for i, j in pairwise(cuts)])
    digests = np.frombuffer(raw, dtype="V16")
    _, first, group = np.unique(digests, return_index=True, return_inverse=True)
    group = np.argsort(np.argsort(first))[group]  # numbered by their first member
    members = np.argsort(group, kind="stable")
    counts = np.bincount(group, minlength=len(first))
    return members, np.cumsum(counts) - counts, counts
