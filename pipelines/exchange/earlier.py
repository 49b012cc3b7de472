"""Rows of earlier runs, of which only the stored keys are known, beside the shards of this one.

A run that is held `against` an earlier one posts that run's keys (`pipelines.output.stored_keys`)
beside its own signatures. Rows of earlier runs have negative keys and live at homes of negative
numbers, one per file; they are never dropped, and never lose.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.maths.arrays import Keys
from pipelines.rows import KEY, Columns, Rows

_ROW_BITS = 32


def open_earlier(paths: Sequence[str], home: int, keys: Keys | None = None) -> Iterator[Rows]:
    """Yield the rows of the file of keys that lives at a negative home; only `keys` if given."""
    part = -home - 1
    with files.open_arrow(paths[part]) as source:
        stored = pq.read_table(source)
    rows = Rows(stored.append_column(KEY, pa.array(earlier_keys(part, len(stored)))), Columns())
    rows = rows if keys is None else rows.filter(np.isin(rows.keys, keys))
    if len(rows):
        yield rows


def earlier_keys(part: int, rows: int) -> Keys:
    """Return the keys of the rows of file number `part`: negative, ascending, no two alike."""
    last = -(np.int64(part) << _ROW_BITS) - 1
    keys: Keys = np.arange(last - rows + 1, last + 1, dtype=np.int64)
    return keys


def earlier_home(part: int) -> int:
    """Return the number of the home of file number `part`."""
    return -part - 1
