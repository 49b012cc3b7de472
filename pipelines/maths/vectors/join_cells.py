"""Similar unit vectors among those that share a cell."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pipelines.maths.arrays import Int64, Vectors
from pipelines.maths.graph.components import components
from pipelines.maths.vectors.joins import Joined, join_tiles
from pipelines.maths.vectors.unit_vectors import (
    EXACT_UP_TO,
    SAMPLE_PER_CELL,
    TILE,
    assign_cells,
    margin_of,
    plan_cells,
    train_centroids,
)

_MOST_SPLITS = 2
"""How many times a cell is cut into smaller ones."""


@dataclass(frozen=True)
class Search:
    """How similar vectors are looked for in cells."""

    at_least: float
    """Smallest inner product of two similar vectors."""
    probes: int
    """Most cells a vector is compared in."""
    seed: int


def join_cells(vectors: Vectors, cells: Int64, search: Search, splits: int = 0) -> Joined:
    """Join vectors that share a cell.

    A cell in which more pairs are compared than among EXACT_UP_TO vectors is cut into cells of its
    own; after `_MOST_SPLITS` cuts, pairs are left out and counted.

    Args:
        vectors: shape (n, dimensions), no two equal.
        cells: up to `probes` cells of each vector, shape (n, probes); -1 is none.
        search: what is looked for.
        splits: how many times the cells have been cut.
    """
    n = len(vectors)
    closest, best, left_out = np.arange(n), np.zeros(n), 0
    joins: list[tuple[Int64, Int64]] = []
    for members in _members(cells):
        mine = vectors[members]
        parts = [join_tiles(mine, search.at_least, _tile_pairs(EXACT_UP_TO))]
        if parts[0].left_out and splits < _MOST_SPLITS:
            parts.append(join_cells(mine, _own_cells(mine, search), search, splits + 1))
        left_out += parts[-1].left_out
        for part in parts:
            better = np.flatnonzero(part.similarity > best[members])
            closest[members[better]] = members[part.closest[better]]
            best[members[better]] = part.similarity[better]
            joins.append((members, members[part.leaders()]))
    left, right = (np.concatenate(side) for side in zip(*joins, strict=True))
    return Joined(components(left, right, n), closest, best, left_out)


def _tile_pairs(rows: int) -> int:
    """Return how many pairs of tiles it takes to compare so many rows."""
    tiles = -(-rows // TILE)
    return tiles * (tiles + 1) // 2


def _members(cells: Int64) -> Iterator[Int64]:
    """Yield the ascending positions of the vectors of each cell."""
    row, probe = np.nonzero(cells >= 0)
    cell = cells[row, probe]
    order = np.argsort(cell, kind="stable")
    bounds = np.flatnonzero(np.diff(cell[order])) + 1
    yield from np.split(row[order], bounds)


def _own_cells(vectors: Vectors, search: Search) -> Int64:
    """Return the cells of vectors by centroids of their own."""
    cells = plan_cells(len(vectors))
    drawn = np.random.default_rng(search.seed).permutation(len(vectors))[: cells * SAMPLE_PER_CELL]
    centroids = train_centroids(vectors[drawn], cells, search.seed)
    return assign_cells(vectors, centroids, search.probes, margin_of(search.at_least))
