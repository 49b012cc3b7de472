"""Which row of a group of duplicates is kept: decided by content, never by arrival."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.maths.arrays import Keys
from pipelines.rows import HOME, KEY, MissingColumn, Rows, as_numbers

Keep = Literal["longest", "earliest", "smallest_id"]
"""What decides among rows of equal quality: the length of the content in bytes, the place in the
input, or the id."""

QUALITY = "quality"
MERIT = "merit"
"""int64; what `keep` goes by: the length of the content in bytes, minus the key, or 0 for all."""
ROW_ID = "id"
EARLIER = "which an earlier run has"
"""Detail of a row that is dropped for one of an earlier run."""
NODE = [KEY, HOME, QUALITY, MERIT, ROW_ID]
"""Columns of a row that may be kept or dropped as a duplicate."""


def credentials(
    rows: Rows, prefer: str | None, keep: Keep = "longest", order: Sequence[str] = ()
) -> dict[str, pa.Array]:
    """Return the columns by which a keeper is chosen: quality, merit, id.

    Args:
        rows: the batch.
        prefer: column that gives the quality; None where all rows are of one quality.
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


def of_earlier_run(keepers: Keys) -> pa.Array:
    """Return the detail of rows dropped for some keepers: null, or that it is not of this run."""
    return pc.if_else(pa.array(keepers < 0), EARLIER, pa.scalar(None, pa.string()))


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


def keeper_order(groups: npt.NDArray[np.int64], table: pa.Table) -> npt.NDArray[np.int64]:
    """Return the order of rows by group, the keeper first within each.

    The keeper is a row of an earlier run (its key is negative), or else has the highest quality,
    then the greatest merit, then the smallest id; `_key` settles what is left, so that the order is
    total.
    """
    keyed = pa.table(
        [pa.array(groups), pa.array(table[KEY].to_numpy() < 0)]
        + [table[name] for name in (QUALITY, MERIT, ROW_ID, KEY)],
        names=["group", "earlier", QUALITY, MERIT, ROW_ID, KEY],
    )
    order: npt.NDArray[np.int64] = pc.sort_indices(
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
