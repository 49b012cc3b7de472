"""The table by which a selection ranks rows, and the columns it is made of."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from pipelines.maths.arrays import Floats, Int64, UInt64
from pipelines.maths.select.budget import order_of
from pipelines.rows import KEY, MissingColumn, Rows, as_numbers

NULL_GROUP = np.uint64(0)
"""Number of the group of rows whose group is null."""
UNGROUPED = np.uint64(0xFFFFFFFFFFFFFFFF)
"""Number of the group of all rows where there are no groups."""


def ranking_table(
    rows: Rows,
    hashes: UInt64,
    scores: npt.ArrayLike | None,
    groups: UInt64 | None,
    weights: Int64 | None,
) -> pa.Table:
    """Return one line per row: `_key`, `order`, `hash`, `weight` and `group`.

    Args:
        rows: the batch.
        hashes: seeded hashes of the row ids, which decide between equal scores.
        scores: one float64 per row; the highest are kept, NaN comes last; None for a random order.
        groups: one number per row, as from `group_numbers`; None if all rows are one group.
        weights: what each row takes of the budget; None for 1.
    """
    n = len(rows)
    return pa.table(
        {
            KEY: rows.keys,
            "order": np.zeros(n, np.uint64) if scores is None else order_of(scores),
            "hash": hashes,
            "weight": np.ones(n, np.int64) if weights is None else weights.astype(np.int64),
            "group": np.full(n, UNGROUPED) if groups is None else groups.astype(np.uint64),
        }
    )


def group_numbers(values: pa.Array) -> UInt64:
    """Return a number for each string, the same wherever it stands; null has NULL_GROUP.

    The chance that any two of a million different strings share their number is 3 in 10 million.
    """
    encoded = values.dictionary_encode(null_encoding="encode")
    numbers = [
        NULL_GROUP if value is None else xxhash.xxh3_64_intdigest(value.encode())
        for value in encoded.dictionary.to_pylist()
    ]
    return np.asarray(np.array(numbers, np.uint64)[encoded.indices.to_numpy()])


def numbers_of(rows: Rows, name: str, role: str) -> Floats:
    """Return a column of numbers as float64, NaN for null.

    Raises:
        MissingColumn: no such column, or it does not hold numbers.
    """
    values = rows.column(name, role)
    numbers = as_numbers(values)
    if numbers is None:
        raise MissingColumn(f"{role} {name!r} holds {values.type}; it takes numbers")
    return numbers
