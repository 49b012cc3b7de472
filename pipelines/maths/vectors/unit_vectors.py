"""Which vectors are worth a comparison, and their exact similarity: cells of k-means by FAISS."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isqrt

import numpy as np

from pipelines.maths.arrays import Floats, Grid, Int64, Vectors

EXACT_UP_TO = 20_000
"""Most rows that are compared all with all."""
CELLS_PER_ROOT = 3
"""Cells per unit of the square root of the rows: then it costs about as much to find the cell of a
row as to compare the rows of a cell."""
MOST_CELLS = 16_384
SAMPLE_PER_CELL = 32
"""Rows of the sample a centroid is trained on, as far as the sample goes."""
_TRAINING_PASSES = 6
_SPARE_PROBES = 4
TILE = 1024
"""Vectors compared with as many others at a time: 4 or 8 MiB of products."""
_GRID = 2.0**26
"""Unit vectors are rounded to multiples of 2^-26, an error of 10^-8: then all partial sums of a
product fit the 53 bits of a float64, and no BLAS, block or batch can change its last bit."""
UNITS = 1e6
"""Similarity is judged and told to six decimals: in whole millionths."""


def plan_cells(rows: int) -> int:
    """Return the number of cells for a corpus: 1 where comparing all with all is cheap."""
    return 1 if rows <= EXACT_UP_TO else min(MOST_CELLS, CELLS_PER_ROOT * isqrt(rows))


def train_centroids(
    sample: Vectors,
    cells: int,
    seed: int,
    *,
    passes: int = _TRAINING_PASSES,
    sample_per_cell: int = SAMPLE_PER_CELL,
    start: Vectors | None = None,
) -> Vectors:
    """Return the centroids of spherical k-means on a sample, shape (cells, dimensions).

    FAISS finds the nearest centroids, exact arithmetic settles what is close, and sums on the grid
    are exact: the same sample gives the same centroids on any machine, by any number of threads. A
    centroid without vectors stays where it is. Where the sample has no more than `cells` vectors,
    all of them are returned.

    Args:
        sample: unit vectors, shape (n, dimensions).
        cells: centroids to find.
        seed: decides which vectors are used, and where to start if no start is given.
        passes: of k-means.
        sample_per_cell: most vectors a centroid is trained on.
        start: centroids to start from; vectors drawn from the sample if left out.
    """
    if len(sample) <= cells:
        return sample
    drawn = np.random.default_rng(seed).permutation(len(sample))[: cells * sample_per_cell]
    vectors = sample[drawn]
    centroids = vectors[:cells] if start is None else start
    for _ in range(passes):
        centroids = _means(vectors, assign_cells(vectors, centroids, 1)[:, 0], centroids)
    return centroids


def _means(vectors: Vectors, cells: Int64, before: Vectors) -> Vectors:
    """Return the mean direction of the vectors of each cell; the old one of an empty cell."""
    order = np.argsort(cells, kind="stable")
    taken, starts = np.unique(cells[order], return_index=True)
    centroids = before.copy()
    for cell, members in zip(taken, np.split(order, starts[1:]), strict=True):
        total = on_grid(vectors[members]).sum(axis=0)
        if length := np.sqrt((total * total).sum()):
            centroids[cell] = total / length
    return centroids


def fit_centroids(sample: Vectors, cells: int, seed: int) -> Vectors:
    """Return `cells` centroids, shape (cells, dimensions); one alone is the mean direction."""
    if cells > 1:
        return train_centroids(sample, cells, seed)
    total = on_grid(sample).sum(axis=0, keepdims=True)
    length = np.sqrt((total * total).sum())
    return np.asarray(total / (length or 1.0), dtype=np.float32)


@contextmanager
def one_thread() -> Iterator[None]:
    """Let FAISS use one thread: how threads share a sum would show in its last bits."""
    import faiss

    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(threads)


def margin_of(at_least: float) -> float:
    """Return how much farther than the nearest cell others are still worth a comparison.

    Two vectors of inner product `at_least` differ by d = sqrt(2 - 2 · at_least). With this margin
    they miss each other only if more than half of that difference points from one centroid to the
    other. So cells of quite another topic are left out (closure assignment: Chen et al. 2021,
    SPANN, https://arxiv.org/abs/2111.08566).
    """
    return float(np.sqrt(2 - 2 * at_least + 1 / UNITS) / 2)  # 1 / UNITS: what rounding lets through


def assign_cells(
    vectors: Vectors, centroids: Vectors, probes: int, margin: float = np.inf
) -> Int64:
    """Return the cells nearest to each vector, nearest first, shape (rows, probes).

    Cells whose product with the vector is more than `margin` below that of the nearest are -1.
    FAISS proposes some more cells than wanted, in float32. Where a decision is closer than the
    error of float32, exact arithmetic settles it, so that it does not depend on the batch.
    """
    probes = min(probes, len(centroids))
    if len(centroids) == 1 or not len(vectors):
        return np.zeros((len(vectors), probes), dtype=np.int64)
    import faiss

    index = faiss.IndexFlatIP(centroids.shape[1])
    index.add(centroids)
    found, near = index.search(vectors, min(probes + _SPARE_PROBES, len(centroids)))
    product = found.astype(np.float64)
    error = 2 * float32_error(vectors.shape[1])
    close = (product[:, :-1] - product[:, 1:])[:, :probes] <= error
    on_edge = np.abs(product[:, :1] - product - margin)[:, :probes] <= error
    doubtful = np.flatnonzero(close.any(axis=1) | on_edge.any(axis=1))
    ours, theirs, cells = on_grid(vectors[doubtful]), on_grid(centroids), near[doubtful]
    exact = np.stack([(ours * theirs[of]).sum(axis=1) for of in cells.T], axis=1)
    order = np.lexsort((cells, -exact), axis=1)
    near[doubtful] = np.take_along_axis(cells, order, axis=1)
    product[doubtful] = np.take_along_axis(exact, order, axis=1)
    nearest: Int64 = np.where(product[:, :1] - product <= margin, near, -1)[:, :probes]
    return nearest


def similarities(left: Vectors, right: Vectors) -> Floats:
    """Return the inner product of each row of `left` with that of `right`, to six decimals."""
    found = np.empty(len(left))
    for start in range(0, len(left), TILE):
        tile = slice(start, start + TILE)
        found[tile] = (on_grid(left[tile]) * on_grid(right[tile])).sum(axis=1)
    return millionths(found) / UNITS


def similarity_grid(vectors: Vectors) -> Grid:
    """Return what multiplies each of some unit vectors with each of others, to six decimals."""
    exact = on_grid(vectors)
    return lambda left, right: millionths(exact[left] @ exact[right].T) / UNITS


def float32_error(dimensions: int) -> float:
    """Return the greatest error of an inner product of unit vectors in float32, in any order."""
    return dimensions * 2.0**-24 + 2.0**-24


def least_millionths(at_least: float) -> float:
    """Return the smallest product, in millionths, that is as similar as `at_least`."""
    return float(np.ceil(round(at_least * UNITS, 3)))


def on_grid(vectors: Vectors) -> Floats:
    """Return unit vectors in float64, rounded so that no product of two depends on its order."""
    return np.asarray(np.rint(vectors.astype(np.float64) * _GRID) / _GRID)


def millionths(products: Floats) -> Floats:
    """Turn products into whole millionths, in place."""
    products *= UNITS
    np.rint(products, out=products)
    return np.minimum(products, UNITS, out=products)
