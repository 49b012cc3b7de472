"""Recall of a search, measured on a sample: some vectors are compared with all of the corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.exchange.mail import message, open_mail
from pipelines.maths.arrays import Keys, Mask, Vectors
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
"""Rows of the sample: one missed in a thousand shows, at 0.5 GFLOP per million numbers."""


@dataclass(frozen=True)
class Queries:
    """Rows that are compared with all rows, as shards read them from a file."""

    vectors: Vectors
    """Shape (queries, dimensions)."""
    nodes: pa.Table
    """Columns NODE of the rows."""

    @property
    def keys(self) -> Keys:
        """The keys of the rows."""
        keys: Keys = self.nodes[KEY].to_numpy()
        return keys

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the queries as arrays of a file."""
        packed = np.frombuffer(message("", "asked", self.nodes)[1], np.uint8)
        return {"queries": self.vectors, "asked": packed}

    @classmethod
    def of(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Queries | None:
        """Return the queries of a file, None where it has none."""
        if "asked" not in arrays:
            return None
        return cls(arrays["queries"], open_mail([arrays["asked"].tobytes()])["asked"])


def have_a_better(queries: Queries, vectors: Vectors, nodes: pa.Table, at_least: float) -> Mask:
    """Tell which queries have a similar row that would be kept instead of them.

    A search that compares all with all drops these, whatever else it finds. All products are
    computed in float32, and where that cannot decide, in exact arithmetic.

    Args:
        queries: the rows asked about.
        vectors: shape (rows, dimensions).
        nodes: columns NODE of these rows; queries may be among them.
        at_least: smallest inner product of two similar vectors.
    """
    asked = queries.nodes
    found = np.zeros(len(asked), dtype=np.bool_)
    least = least_millionths(at_least)
    doubtful = np.float32(at_least - 1 / UNITS - float32_error(vectors.shape[1]))
    for start in range(0, len(vectors), TILE):
        near = vectors[start : start + TILE] @ queries.vectors.T >= doubtful
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
        exact = millionths(on_grid(vectors[start + rows]) @ on_grid(queries.vectors[open_]).T)
        found[open_] = ((exact >= least) & better[:, open_]).any(axis=0)
    return found
