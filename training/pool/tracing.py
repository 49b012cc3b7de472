"""Trace curated rows back to the raw rows they were made from."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.arrays import BoolArray, IntArray
from training.pool.features import Features
from training.pool.shards import ShardRows

ENOUGH = 0.99
"""Share of curated rows that must be traced for arms built on curation's decisions."""


def trace(
    raw: ShardRows,
    curated: ShardRows,
    x: dict[str, IntArray],
    features: Features,
    kept: dict[str, BoolArray],
) -> tuple[IntArray | None, str]:
    """Count the curated rows made from each kept raw row; None and the reason if they can't be.

    By id or parent id; where no row shares an id, by equal content (ignoring case and space in
    text), so that sets of other tools, which rarely keep ids, can be traced if they only filter.
    """
    raw_ids = raw.ids.filter(pa.array(kept["raw"]))
    if raw_ids.null_count == 0 and pc.count_distinct(raw_ids).as_py() == len(raw_ids):
        known = pc.if_else(pc.is_in(curated.ids, value_set=raw_ids), curated.ids, curated.parents)
        where = pc.index_in(known.filter(pa.array(kept["curated"])), value_set=raw_ids)
        found = where.drop_null().to_numpy()
    else:
        found = np.array([], dtype=np.int64)
    wanted = int(kept["curated"].sum())
    if len(found) < ENOUGH * wanted:
        copies = _by_key(
            features.keys[x["raw"][kept["raw"]]], features.keys[x["curated"][kept["curated"]]]
        )
        traced = int(copies.sum())
    else:
        copies = np.bincount(found, minlength=len(raw_ids)).astype(np.int64)
        traced = len(found)
    if traced < ENOUGH * wanted:
        return None, f"only {traced:,} of {wanted:,} curated rows can be traced to a raw row"
    return copies, ""


def _by_key(raw: npt.NDArray[np.uint64], curated: npt.NDArray[np.uint64]) -> IntArray:
    """Give the curated rows of each content to its raw rows, one each, the rest to the first."""
    keys, inverse, sizes = np.unique(raw, return_inverse=True, return_counts=True)
    found = np.searchsorted(keys, curated)
    hit = (found < len(keys)) & (keys[np.minimum(found, len(keys) - 1)] == curated)
    wanted = np.bincount(found[hit], minlength=len(keys))
    order = np.argsort(inverse, kind="stable")
    starts = np.repeat(np.cumsum(sizes) - sizes, sizes)
    rank = np.empty(len(raw), dtype=np.int64)
    rank[order] = np.arange(len(raw)) - starts
    copies = (rank < wanted[inverse]).astype(np.int64)
    copies += np.where(rank == 0, np.maximum(wanted[inverse] - sizes[inverse], 0), 0)
    return copies
