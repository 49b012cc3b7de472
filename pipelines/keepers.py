"""Which row of a group of duplicates is kept: decided by content, never by arrival."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rows import HOME, KEY, Rows

QUALITY = "quality"
LENGTH = "length"
ROW_ID = "id"
NODE = [KEY, HOME, QUALITY, LENGTH, ROW_ID]
"""Columns of a row that may be kept or dropped as a duplicate."""


def credentials(rows: Rows, prefer: str | None) -> dict[str, pa.Array]:
    """Return the columns by which a keeper is chosen: quality, length in bytes, id.

    Args:
        rows: the batch.
        prefer: numeric column of which the highest value is kept first; None for no such column.
    """
    if prefer is None:
        quality = pa.array(np.zeros(len(rows)))
    else:
        quality = pc.fill_null(rows.column(prefer, "`prefer`").cast(pa.float64()), -np.inf)
    content = rows.text if rows.columns.text else rows.image_bytes
    length = pc.fill_null(pc.binary_length(content), 0).cast(pa.int64())
    return {QUALITY: quality, LENGTH: length, ROW_ID: rows.ids}


def keeper_order(groups: npt.NDArray[np.int64], table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the order of rows by group, the keeper first within each.

    The keeper has the highest quality, then the greatest length, then the smallest id; `_key`
    settles what is left, so that the order is total.
    """
    keyed = pa.table(
        [pa.array(groups)] + [table[name] for name in (QUALITY, LENGTH, ROW_ID, KEY)],
        names=["group", QUALITY, LENGTH, ROW_ID, KEY],
    )
    order = pc.sort_indices(
        keyed,
        sort_keys=[
            ("group", "ascending"),
            (QUALITY, "descending"),
            (LENGTH, "descending"),
            (ROW_ID, "ascending"),
            (KEY, "ascending"),
        ],
    )
    return order.to_numpy().astype(np.int64)
