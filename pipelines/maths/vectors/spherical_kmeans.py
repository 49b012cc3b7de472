"""Prototypes of unit vectors: the centroids of spherical k-means, and the distance to them."""

from math import log

import numpy as np

from pipelines.maths.arrays import Floats, Int64, Vectors
from pipelines.maths.vectors.centers import nearest_centers
from pipelines.maths.vectors.unit_vectors import on_grid, train_centroids

MOST_CLUSTERS = 16_384
SAMPLE_PER_CLUSTER = 256
"""Rows of the sample a centroid is trained on, as far as the sample goes."""
_MOST_SAMPLED = 1 << 16
_SEEDED_FROM = 1 << 14
"""Rows of the sample that starting points are chosen from."""
_PASSES = 10
_PLACES = 6


def sample_for(clusters: int) -> int:
    """Return the number of rows that centroids are trained on: at least four per centroid."""
    return min(_MOST_SAMPLED, clusters * SAMPLE_PER_CLUSTER)


def train_prototypes(sample: Vectors, clusters: int, seed: int) -> Vectors:
    """Return the centroids of spherical k-means on a sample, shape (clusters, dimensions).

    For `semantic_dedup` any small cells will do, but clusters should be those that are really
    there: so the starting points are chosen with care, and there are more passes, and more rows per
    centroid. About 13 seconds for 300 clusters of 65,536 vectors of 256 numbers. Where the sample
    has no more than `clusters` vectors, all of them are returned.
    """
    start = None
    if len(sample) > clusters:
        start = seeding(sample[:_SEEDED_FROM], clusters, np.random.default_rng(seed))
    return train_centroids(
        sample, clusters, seed, passes=_PASSES, sample_per_cell=SAMPLE_PER_CLUSTER, start=start
    )


def seeding(vectors: Vectors, clusters: int, lot: np.random.Generator) -> Vectors:
    """Return `clusters` of some unit vectors that lie apart: greedy k-means++.

    Each next one is drawn with the squared distance to those before as its weight, the best of
    2 + ln(clusters) draws (Arthur & Vassilvitskii 2007, k-means++: the advantages of careful
    seeding, section 5). After k-means on 100 and 500 made blobs that overlap a little, 96 % had a
    centroid of their own; 91 to 92 % with one draw each time, 91 % from random vectors (10 seeds).
    """
    draws = 2 + int(log(clusters))
    chosen = [int(lot.integers(len(vectors)))]
    points = on_grid(vectors)
    gap = _gaps(points, chosen)[:, 0]
    while len(chosen) < clusters:
        heap = np.cumsum(gap)
        drawn = np.searchsorted(heap, lot.random(draws) * heap[-1], side="right")
        drawn = np.minimum(drawn, len(vectors) - 1)  # if all are equal, the last will do
        gaps = np.minimum(_gaps(points, drawn), gap[:, None])
        best = int(gaps.sum(axis=0).argmin())
        gap = gaps[:, best]
        chosen.append(int(drawn[best]))
    return vectors[chosen]


def nearest_prototype(vectors: Vectors, prototypes: Vectors) -> tuple[Int64, Floats]:
    """Return the number of the nearest prototype of each vector, and the cosine distance to it.

    The distance is 1 - cosine, in [0, 2], to six decimals.
    """
    nearest, squared = nearest_centers(vectors, prototypes)
    return nearest, np.round(squared / 2.0, _PLACES)


def _gaps(points: Floats, drawn: Int64 | list[int]) -> Floats:
    """Return half of the squared distances of unit vectors on the grid to some of them."""
    return np.maximum(1.0 - points @ points[drawn].T, 0.0)
