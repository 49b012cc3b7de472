"""Recall of a search, measured on a sample: some vectors are compared with all of the corpus."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Mask, Vectors
from pipelines.maths.vectors.unit_vectors import (
    TILE,
    UNITS,
    float32_error,
    least_millionths,
    millionths,
    on_grid,
)
from pipelines.rows import KEY
from pipelines.steps.dedup.clusters.keepers import NODE, keeper_order

QUERIES = 1_000
"""Rows of the sample: one in a thousand missed shows, for 0.5 GFLOP a million numbers."""


def have_a_better(
    queries: Vectors, asked: pa.Table, vectors: Vectors, nodes: pa.Table, at_least: float
) -> Mask:
    """Tell which queries have a similar row that would be kept rather than they.

    A search that compares all with all drops these, whatever else it finds. All products are
    computed, in float32; where it cannot tell, in exact arithmetic.

    Args:
        queries: shape (queries, dimensions).
        asked: columns NODE of the queries.
        vectors: shape (rows, dimensions).
        nodes: columns NODE of these rows; queries may be among them.
        at_least: smallest inner product of two similar vectors.
    """
    found = np.zeros(len(queries), dtype=np.bool_)
    least = least_millionths(at_least)
    doubtful = np.float32(at_least - 1 / UNITS - float32_error(queries.shape[1]))
    for start in range(0, len(vectors), TILE):
        near = vectors[start : start + TILE] @ queries.T >= doubtful
        rows = np.flatnonzero(near.any(axis=1))
        if not len(rows):
            continue
        table = pa.concat_tables([nodes.select(NODE).take(pa.array(start + rows)), asked])
        rank = np.empty(len(table), dtype=np.int64)
        rank[keeper_order(np.zeros(len(table), np.int64), table)] = np.arange(len(table))
        keys = table[KEY].to_numpy()
        better = rank[: len(rows), None] < rank[len(rows) :]
        better &= keys[: len(rows), None] != keys[len(rows) :]
        open_ = np.flatnonzero((near[rows] & better).any(axis=0) & ~found)
        exact = millionths(on_grid(vectors[start + rows]) @ on_grid(queries[open_]).T)
        found[open_] = ((exact >= least) & better[:, open_]).any(axis=0)
    return found
