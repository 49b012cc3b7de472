"""Which row of a group of duplicates is kept: never decided by the order in which rows arrive."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.maths.arrays import Int64, Keys
from pipelines.rows import HOME, KEY, MissingColumn, Rows, as_numbers
from pipelines.rows.keys import of_earlier_run

Keep = Literal["longest", "earliest", "smallest_id"]
"""What decides between rows of equal quality: the length of the content in bytes, the place in the
input, or the id."""

QUALITY = "quality"
MERIT = "merit"
"""int64; what `keep` decides by: the length of the content in bytes, minus the key, or always 0."""
ROW_ID = "id"
EARLIER = "which an earlier run has"
"""Detail of a row that is dropped for one of an earlier run."""
NODE = [KEY, HOME, QUALITY, MERIT, ROW_ID]
"""Columns of a row that may be kept, or dropped as a duplicate."""


def keeper_columns(
    rows: Rows, prefer: str | None, keep: Keep = "longest", order: Sequence[str] = ()
) -> dict[str, pa.Array]:
    """Return the columns by which the row to keep is chosen: quality, merit, id.

    Args:
        rows: the batch.
        prefer: column that gives the quality; None if all rows have the same quality.
        keep: what the merit is: the length of the content in bytes, minus the key (so that what
            comes first in the input is kept), or 0 for all.
        order: values of `prefer`, best first, other values last; empty where `prefer` holds
            numbers, of which the highest is best.

    Raises:
        MissingColumn: no column `prefer`, or it does not hold what it is to be ordered by.
    """
    n = len(rows)
    if prefer is None:
        quality = pa.array(np.zeros(n))
    else:
        quality = _places(rows, prefer, order) if order else _numbers(rows, prefer)
    merit = pa.array(np.zeros(n, np.int64))
    if keep == "earliest":
        merit = pa.array(-rows.keys)
    elif keep == "longest" and (rows.columns.text or rows.columns.image):
        content = rows.text if rows.columns.text else rows.image_bytes
        merit = pc.fill_null(pc.binary_length(content), 0).cast(pa.int64())
    return {QUALITY: quality, MERIT: merit, ROW_ID: rows.ids}


def earlier_detail(keepers: Keys) -> pa.Array:
    """Return the detail of rows dropped for these kept ones: EARLIER, or null if of this run."""
    return pc.if_else(pa.array(of_earlier_run(keepers)), EARLIER, pa.scalar(None, pa.string()))


def _numbers(rows: Rows, prefer: str) -> pa.Array:
    """Return a column as float64; null and NaN rank below every number."""
    values = rows.column(prefer, "`prefer`")
    numbers = as_numbers(values)
    if numbers is None:
        raise MissingColumn(
            f"`prefer` column {prefer!r} holds {values.type}; it takes numbers, or give `order`, "
            "its values with the best first"
        )
    return pa.array(np.where(np.isnan(numbers), -np.inf, numbers))


def _places(rows: Rows, prefer: str, order: Sequence[str]) -> pa.Array:
    """Return minus the place of each value in `order`; what is not listed ranks below."""
    values = rows.strings(prefer, "`prefer`")
    place = pc.index_in(values, pa.array(order, pa.string())).cast(pa.float64())
    return pc.negate(pc.fill_null(place, np.inf))


def keeper_order(groups: Int64, table: pa.Table) -> Int64:
    """Return the order of rows by group, the row to keep first within each.

    That is a row of an earlier run, or else the one with the highest quality, then the greatest
    merit, then the smallest id. Where all that is equal `_key` decides, so that there is one order.
    """
    keyed = pa.table(
        [pa.array(groups), pa.array(of_earlier_run(table[KEY].to_numpy()))]
        + [table[name] for name in (QUALITY, MERIT, ROW_ID, KEY)],
        names=["group", "earlier", QUALITY, MERIT, ROW_ID, KEY],
    )
    order: Int64 = pc.sort_indices(
        keyed,
        sort_keys=[
            ("group", "ascending"),
            ("earlier", "descending"),
            (QUALITY, "descending"),
            (MERIT, "descending"),
            (ROW_ID, "ascending"),
            (KEY, "ascending"),
        ],
    ).to_numpy()
    return order.astype(np.int64)
