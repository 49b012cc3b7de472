"""Pairs of similar unit vectors: exact within a cell, cells by FAISS k-means."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import xxhash

Vectors = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Int64 = npt.NDArray[np.int64]
Pairs = tuple[Int64, Int64, Floats]
"""Positions i < j and their similarity."""

EXACT_UP_TO = 20_000
"""Rows that are compared all with all."""
ROWS_A_CELL = 100
MOST_CELLS = 16_384
_SPARE_PROBES = 4
_BLOCK = 1 << 23
"""Products computed at a time: 64 MiB."""
_MOST_PAIRS = 1 << 22
_GRID = 2.0**26
"""Unit vectors are rounded to multiples of 2^-26, an error of 10^-8: then all partial sums of a
product fit the 53 bits of a float64, and no BLAS, block or batch can change its last bit."""


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
        niter=10,
        seed=seed & 0x7FFFFFFF,
        spherical=True,
        min_points_per_centroid=1,
        max_points_per_centroid=64,
    )
    means.train(sample)
    return np.asarray(means.centroids, dtype=np.float32)


def assign_cells(vectors: Vectors, centroids: Vectors, probes: int) -> Int64:
    """Return the cells nearest to each vector, nearest first, shape (rows, probes).

    FAISS proposes some more than wanted, in float32; which are nearest is settled in exact
    arithmetic, so that it does not depend on the batch.
    """
    probes = min(probes, len(centroids))
    if len(centroids) == 1 or not len(vectors):
        return np.zeros((len(vectors), probes), dtype=np.int64)
    import faiss

    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    near = index.search(vectors, min(probes + _SPARE_PROBES, len(centroids)))[1]
    ours, theirs = _on_grid(vectors), _on_grid(centroids)
    product = np.stack([(ours * theirs[cells]).sum(axis=1) for cells in near.T], axis=1)
    order = np.lexsort((near, -product), axis=1)[:, :probes]
    nearest: Int64 = np.take_along_axis(near, order, axis=1)
    return nearest


def similar_pairs(vectors: Vectors, at_least: float) -> Pairs:
    """Return pairs i < j of inner product `at_least` or more, and that to six decimals.

    All of them, unless they pass four million: then those of a maximum spanning forest, which
    joins the same rows through their most similar neighbours. Equal vectors are compared once, so a
    text that stands in the corpus a million times costs no more than one.
    """
    members, starts, counts = _groups(vectors)
    first = members[starts]
    left, right, similarity = _distinct_pairs(_on_grid(vectors[first]), at_least)
    repeated = np.flatnonzero(counts > 1)
    total = int((counts[left] * counts[right]).sum() + (counts[repeated] ** 2).sum())
    if total <= 2 * _MOST_PAIRS:
        left, right = np.concatenate([left, repeated]), np.concatenate([right, repeated])
        similarity = np.concatenate([similarity, np.ones(len(repeated))])
        pair, nth = _within(counts[left] * counts[right])
        there, here = np.divmod(nth, counts[left][pair])
        i, j = members[starts[left][pair] + here], members[starts[right][pair] + there]
        once = (left[pair] != right[pair]) | (i < j)
        i, j, similarity = i[once], j[once], similarity[pair][once]
    else:  # the first of equal vectors stands for all
        copies = np.setdiff1d(np.arange(len(members)), starts, assume_unique=True)
        group = np.repeat(np.arange(len(counts)), counts)[copies]
        i, j = np.append(first[left], first[group]), np.append(first[right], members[copies])
        similarity = np.append(similarity, np.ones(len(copies)))
    if len(i) > _MOST_PAIRS:
        return spanning_forest(i, j, similarity, len(vectors))
    return np.minimum(i, j), np.maximum(i, j), similarity


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


def _within(counts: Int64) -> tuple[Int64, Int64]:
    """Return for consecutive runs of the given lengths: the run, and the place in the run."""
    run = np.repeat(np.arange(len(counts)), counts)
    return run, np.arange(len(run)) - np.repeat(np.cumsum(counts) - counts, counts)


def _distinct_pairs(vectors: Floats, at_least: float) -> Pairs:
    """Return similar pairs of vectors on the grid, block by block of the upper triangle."""
    n = len(vectors)
    left, right, found = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    start = 0
    while start < n:
        stop = min(n, start + max(1, _BLOCK // (n - start)))
        product = vectors[start:stop] @ vectors[start:].T
        # Half of the sixth decimal is let through and judged after rounding.
        i, j = np.nonzero(product >= at_least - 1e-6)
        similarity = np.round(np.minimum(product[i, j], 1.0), 6)
        close = (j > i) & (similarity >= at_least)
        left = np.concatenate([left, i[close] + start])
        right = np.concatenate([right, j[close] + start])
        found = np.concatenate([found, similarity[close]])
        if len(left) > _MOST_PAIRS:
            left, right, found = spanning_forest(left, right, found, n)
        start = stop
    return left, right, found


def _on_grid(vectors: Vectors) -> Floats:
    return np.asarray(np.rint(vectors.astype(np.float64) * _GRID) / _GRID)


def spanning_forest(left: Int64, right: Int64, similarity: Floats, nodes: int) -> Pairs:
    """Return the edges of a maximum spanning forest: same components, at most nodes - 1 edges."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    # Weights stay away from 0, which would mean no edge.
    graph = coo_array((2.0 - similarity, (left, right)), shape=(nodes, nodes))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    i, j = tree.row.astype(np.int64), tree.col.astype(np.int64)
    return np.minimum(i, j), np.maximum(i, j), np.round(2.0 - tree.data, 6)
