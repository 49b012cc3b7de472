"""Pairs of similar unit vectors: exact within a cell, cells by FAISS k-means."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]
Int64 = npt.NDArray[np.int64]

EXACT_UP_TO = 20_000
"""Rows that are compared all with all."""
ROWS_A_CELL = 100
MOST_CELLS = 16_384
_BLOCK = 1024
_SLACK = 1e-4
_MOST_PAIRS = 1 << 22


def plan_cells(rows: int) -> int:
    """Return the number of cells for a corpus: 1 where comparing all with all is cheap."""
    return 1 if rows <= EXACT_UP_TO else min(MOST_CELLS, rows // ROWS_A_CELL)


def train_centroids(sample: Vectors, cells: int, seed: int) -> Vectors:
    """Return the centroids of spherical k-means on a sample, shape (cells, dimensions)."""
    if cells == 1 or len(sample) <= cells:
        return sample[:1] if cells == 1 else sample
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
    """Return the cells nearest to each vector, nearest first, shape (rows, probes)."""
    import faiss

    if len(centroids) == 1:
        return np.zeros((len(vectors), 1), dtype=np.int64)
    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    nearest: Int64 = index.search(vectors, min(probes, len(centroids)))[1]
    return nearest


def similar_pairs(vectors: Vectors, at_least: float) -> tuple[Int64, Int64, npt.NDArray[np.float64]]:
    """Return pairs i < j of inner product `at_least` or more, and their similarities.

    All of them, unless they pass four million: then those of a maximum spanning forest, which
    joins the same rows through their most similar neighbours. Similarities are recomputed in
    float64, pair by pair, and rounded to six decimals, so that they do not depend on the blocks.
    """
    import faiss

    empty = np.empty(0, np.int64)
    if len(vectors) < 2:
        return empty, empty, np.empty(0)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    left, right, found = empty, empty, np.empty(0)
    for start in range(0, len(vectors), _BLOCK):
        block = vectors[start : start + _BLOCK]
        limits, _, there = index.range_search(block, at_least - _SLACK)
        here = start + np.repeat(np.arange(len(block)), np.diff(limits).astype(np.int64))
        later = here < there
        i, j = here[later], there[later]
        similarity = _exact(vectors, i, j)
        close = similarity >= at_least
        left = np.concatenate([left, i[close]])
        right = np.concatenate([right, j[close]])
        found = np.concatenate([found, similarity[close]])
        if len(left) > _MOST_PAIRS:
            left, right, found = spanning_forest(left, right, found, len(vectors))
    return left, right, found


def _exact(vectors: Vectors, left: Int64, right: Int64) -> npt.NDArray[np.float64]:
    similarity = np.empty(len(left))
    for start in range(0, len(left), _BLOCK * 16):
        part = slice(start, start + _BLOCK * 16)
        a, b = vectors[left[part]].astype(np.float64), vectors[right[part]]
        similarity[part] = (a * b).sum(axis=1)
    rounded: npt.NDArray[np.float64] = np.round(np.minimum(similarity, 1.0), 6)
    return rounded


def spanning_forest(
    left: Int64, right: Int64, similarity: npt.NDArray[np.float64], nodes: int
) -> tuple[Int64, Int64, npt.NDArray[np.float64]]:
    """Return the edges of a maximum spanning forest: same components, at most nodes - 1 edges."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    graph = coo_array((2.0 - similarity, (left, right)), shape=(nodes, nodes))
    tree = minimum_spanning_tree(graph.tocsr()).tocoo()
    i, j = tree.row.astype(np.int64), tree.col.astype(np.int64)
    return np.minimum(i, j), np.maximum(i, j), np.round(2.0 - tree.data, 6)
