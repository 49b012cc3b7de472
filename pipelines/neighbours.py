"""Similar unit vectors: exact within a cell, cells by FAISS k-means."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import xxhash

from pipelines.components import components

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

EXACT_UP_TO = 20_000
"""Rows that are compared all with all."""
ROWS_A_CELL = 100
MOST_CELLS = 16_384
SAMPLE_A_CELL = 32
"""Rows of the sample a centroid is trained on, as far as the sample goes."""
_TRAINING_PASSES = 6
_SPARE_PROBES = 4
_TILE = 1024
"""Vectors compared with as many others at a time: 8 MiB of products."""
_GRID = 2.0**26
"""Unit vectors are rounded to multiples of 2^-26, an error of 10^-8: then all partial sums of a
product fit the 53 bits of a float64, and no BLAS, block or batch can change its last bit."""
_UNITS = 1e6
"""Similarity is judged and told to six decimals: in whole millionths."""


@dataclass(frozen=True)
class Joined:
    """Vectors joined by similar pairs; each array has one value a vector."""

    group: Int64
    """Number of the connected component."""
    closest: Int64
    """Position of the most similar other vector that it was compared with; its own where none is
    similar enough."""
    similarity: Floats
    """Similarity to the closest, to six decimals; 0 where none is similar enough."""


def plan_cells(rows: int) -> int:
    """Return the number of cells for a corpus: 1 where comparing all with all is cheap."""
    return 1 if rows <= EXACT_UP_TO else min(MOST_CELLS, rows // ROWS_A_CELL)


def train_centroids(sample: Vectors, cells: int, seed: int) -> Vectors:
    """Return the centroids of spherical k-means on a sample, shape (cells, dimensions)."""
    if len(sample) <= cells:
        return sample
    import faiss

    means = faiss.Kmeans(
        sample.shape[1],
        cells,
        niter=_TRAINING_PASSES,
        seed=seed & 0x7FFFFFFF,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=SAMPLE_A_CELL,
    )
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)  # how sums are cut among threads shows in their last bits
    try:
        means.train(sample)
    finally:
        faiss.omp_set_num_threads(threads)
    return np.asarray(means.centroids, dtype=np.float32)


def margin_of(at_least: float) -> float:
    """Return how much farther than the nearest cell others are still worth a comparison.

    Two vectors of inner product `at_least` differ by d = sqrt(2 - 2 · at_least); only where the
    difference points by more than half of its length from one centroid to the other can they part
    at this margin. That leaves out cells of another topic altogether (closure assignment: Chen et
    al. 2021, SPANN, https://arxiv.org/abs/2111.08566).
    """
    return float(np.sqrt(2 - 2 * at_least + 1 / _UNITS) / 2)  # with what rounding lets through


def assign_cells(
    vectors: Vectors, centroids: Vectors, probes: int, margin: float = np.inf
) -> Int64:
    """Return the cells nearest to each vector, nearest first, shape (rows, probes).

    Cells whose product with the vector is more than `margin` below that of the nearest are -1.
    FAISS proposes some more than wanted, in float32. Where what decides is closer than its
    rounding, it is settled in exact arithmetic, so that it does not depend on the batch.
    """
    probes = min(probes, len(centroids))
    if len(centroids) == 1 or not len(vectors):
        return np.zeros((len(vectors), probes), dtype=np.int64)
    import faiss

    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    found, near = index.search(vectors, min(probes + _SPARE_PROBES, len(centroids)))
    product = found.astype(np.float64)
    # Twice the greatest error of a float32 inner product of unit vectors, d · 2^-24.
    error = vectors.shape[1] * 2.0**-23
    close = (product[:, :-1] - product[:, 1:])[:, :probes] <= error
    on_edge = np.abs(product[:, :1] - product - margin)[:, :probes] <= error
    doubtful = np.flatnonzero(close.any(axis=1) | on_edge.any(axis=1))
    ours, theirs, cells = _on_grid(vectors[doubtful]), _on_grid(centroids), near[doubtful]
    exact = np.stack([(ours * theirs[of]).sum(axis=1) for of in cells.T], axis=1)
    order = np.lexsort((cells, -exact), axis=1)
    near[doubtful] = np.take_along_axis(cells, order, axis=1)
    product[doubtful] = np.take_along_axis(exact, order, axis=1)
    nearest: Int64 = np.where(product[:, :1] - product <= margin, near, -1)[:, :probes]
    return nearest


def join_similar(vectors: Vectors, at_least: float) -> Joined:
    """Return the components of the pairs of inner product `at_least` or more, and closest pairs.

    Products are computed tile by tile and none is stored, so memory does not grow with the number
    of similar pairs. Equal vectors are compared once, and tiles of one group, as a dense blob has,
    not at all: of such a group the closest is the closest of those compared.
    """
    members, starts, counts = _groups(vectors)
    first = members[starts]
    distinct = _join_distinct(vectors[first], at_least)
    of = np.empty(len(vectors), dtype=np.int64)
    of[members] = np.repeat(np.arange(len(counts)), counts)
    closest, similarity = first[distinct.closest], distinct.similarity
    repeated = counts > 1  # the closest of equal vectors are their first, and of that the second
    closest[repeated], similarity[repeated] = members[starts[repeated] + 1], 1.0
    is_copy = np.ones(len(vectors), dtype=np.bool_)
    is_copy[first] = False
    return Joined(
        distinct.group[of],
        np.where(is_copy, first[of], closest[of]),
        np.where(is_copy, 1.0, similarity[of]),
    )


def similarities(left: Vectors, right: Vectors) -> Floats:
    """Return the inner product of each row of `left` with that of `right`, to six decimals."""
    found = np.empty(len(left))
    for start in range(0, len(left), _TILE):
        tile = slice(start, start + _TILE)
        found[tile] = (_on_grid(left[tile]) * _on_grid(right[tile])).sum(axis=1)
    return _millionths(found) / _UNITS


def _join_distinct(vectors: Vectors, at_least: float) -> Joined:
    """Join vectors of which no two are equal, tile by tile of the upper triangle."""
    n = len(vectors)
    least = np.ceil(round(at_least * _UNITS, 3))
    groups, closest, best = np.arange(n), np.arange(n), np.zeros(n)
    order = np.arange(n)
    for start in range(0, n, _TILE):
        # What belongs together comes to lie together, so that tiles of one group can be left out.
        order[start:] = order[start:][np.argsort(groups[order[start:]], kind="stable")]
        rows = order[start : start + _TILE]
        ours = _on_grid(vectors[rows])
        for other in range(start, n, _TILE):
            columns = order[other : other + _TILE]
            if n > _TILE and _is_one_group(groups, rows, columns):
                continue
            theirs = ours if other == start else _on_grid(vectors[columns])
            near = _millionths(ours @ theirs.T)
            if other == start:
                np.fill_diagonal(near, -1)
            if near.max() < least:
                continue
            _note_closest(near, rows, columns, least, closest, best)
            if other != start:
                _note_closest(near.T, columns, rows, least, closest, best)
            groups = _join_tile(groups, near >= least, rows, columns)
    return Joined(groups, closest, best / _UNITS)


def _is_one_group(groups: Int64, rows: Int64, columns: Int64) -> bool:
    one = groups[rows[0]]
    return bool((groups[rows] == one).all() and (groups[columns] == one).all())


def _note_closest(
    near: Floats, rows: Int64, columns: Int64, least: float, closest: Int64, best: Floats
) -> None:
    """Write to `closest` and `best` what a tile has that is similar enough and closer."""
    value = near.max(axis=1)
    better = np.flatnonzero((value >= least) & (value > best[rows]))
    closest[rows[better]] = columns[near[better].argmax(axis=1)]
    best[rows[better]] = value[better]


def _join_tile(groups: Int64, similar: Mask, rows: Int64, columns: Int64) -> Int64:
    """Return the groups after joining those of similar rows and columns of a tile.

    Each row and column is joined with the first one of another group, until none is left
    (Borůvka): at each turn at least half of the groups that are not done go.
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


def _on_grid(vectors: Vectors) -> Floats:
    return np.asarray(np.rint(vectors.astype(np.float64) * _GRID) / _GRID)


def _millionths(products: Floats) -> Floats:
    """Turn products into whole millionths, in place."""
    products *= _UNITS
    np.rint(products, out=products)
    return np.minimum(products, _UNITS, out=products)
