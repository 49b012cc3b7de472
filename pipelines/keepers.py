"""Which row of a group of duplicates is kept: decided by content, never by arrival."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rows import HOME, KEY, MissingColumn, Rows

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

    Raises:
        MissingColumn: no column `prefer`, or it does not hold numbers.
    """
    n = len(rows)
    quality = pa.array(np.zeros(n)) if prefer is None else _numbers(rows, prefer)
    length = pa.array(np.zeros(n, np.int64))
    if rows.columns.text or rows.columns.image:
        content = rows.text if rows.columns.text else rows.image_bytes
        length = pc.fill_null(pc.binary_length(content), 0).cast(pa.int64())
    return {QUALITY: quality, LENGTH: length, ROW_ID: rows.ids}


def _numbers(rows: Rows, prefer: str) -> pa.Array:
    """Return a column as float64; null and NaN rank below every number."""
    values = rows.column(prefer, "`prefer`")
    kind = values.type
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    if not (numeric or pa.types.is_boolean(kind) or pa.types.is_null(kind)):
        raise MissingColumn(f"`prefer` column {prefer!r} holds {kind}; it takes numbers")
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return pa.array(np.where(np.isnan(numbers), -np.inf, numbers))


def keeper_order(groups: npt.NDArray[np.int64], table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the order of rows by group, the keeper first within each.

    The keeper has the highest quality, then the greatest length, then the smallest id; `_key`
    settles what is left, so that the order is total.
    """
    keyed = pa.table(
        [pa.array(groups)] + [table[name] for name in (QUALITY, LENGTH, ROW_ID, KEY)],
        names=["group", QUALITY, LENGTH, ROW_ID, KEY],
    )
    order: npt.NDArray[np.int64] = pc.sort_indices(
        keyed,
        sort_keys=[
            ("group", "ascending"),
            (QUALITY, "descending"),
            (LENGTH, "descending"),
            (ROW_ID, "ascending"),
            (KEY, "ascending"),
        ],
    ).to_numpy()
    return order.astype(np.int64)
