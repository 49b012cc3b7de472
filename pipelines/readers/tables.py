"""Record batches of files that have a schema, cut into chunks."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.readers.line_blocks import invalid_utf8
from pipelines.readers.reader import Chunk, ChunkSize, Piece
from pipelines.readers.records import Records, rows_lost
from pipelines.rows import Columns

_UTF8 = "UTF8"
"""Stands in what Arrow says of strings that are not UTF-8."""


def rows_for(size: ChunkSize, rows: int, nbytes: int) -> int:
    """Return how many of `rows` rows of `nbytes` bytes in all make a chunk."""
    return max(1, min(size.rows, rows * size.bytes // max(1, nbytes)))


def chunks(
    batch: pa.RecordBatch,
    first: int,
    piece: Piece,
    columns: Columns,
    required: Sequence[str],
    size: ChunkSize,
) -> Iterator[Chunk]:
    """Yield the rows of a batch whose first row is number `first` of its file."""
    if said := _invalid(batch.validate):  # nothing may look into it, not even for its size
        yield from rows_lost(piece, range(first, first + batch.num_rows), said, size)
        return
    step = rows_for(size, batch.num_rows, batch.nbytes)
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        errors, at = damaged(part), first + start
        if isinstance(errors, str):
            yield from rows_lost(piece, range(at, at + part.num_rows), errors, size)
            continue
        positions = np.arange(at, at + part.num_rows, dtype=np.int64)
        found = Records(pa.Table.from_batches([part]), positions, _row_from(at))
        yield found.chunk(piece, columns, required, errors)


def _row_from(first: int) -> Callable[[int], str]:
    return lambda i: f"row {first + i}"


def named(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose names are known to be texts: pyarrow decodes them only when asked.

    Raises:
        UnicodeDecodeError: one of them is not UTF-8.
    """
    fields = list(schema)
    while fields:
        field = fields.pop()
        assert field.name is not None
        fields += [field.type.field(i) for i in range(field.type.num_fields)]
    return schema


def damaged(batch: pa.RecordBatch) -> dict[int, str] | str:
    """Return what is wrong with rows that Arrow itself calls invalid, by row index.

    Parquet and Arrow files may hold strings that are not UTF-8; readers do not look. Where a column
    is damaged otherwise, none of its values may be touched: then that is said of all rows.
    """
    errors: dict[int, str] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        said = _invalid(partial(column.validate, full=True))
        if said is None:
            continue
        if _UTF8 not in said:
            return f"column {name!r} is damaged: {said}"
        for i in range(len(column)):
            said = _invalid(partial(column.slice(i, 1).validate, full=True))
            if said is not None:
                errors.setdefault(i, f"column {name!r}: {_about(column, i) or said}")
    return errors


def _invalid(validate: Callable[[], None]) -> str | None:
    """Return what Arrow finds invalid, None where it finds nothing."""
    try:
        validate()
    except (pa.ArrowException, OSError) as error:
        return str(error)
    return None


def _about(column: pa.Array, i: int) -> str | None:
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        return invalid_utf8(pc.cast(column.slice(i, 1), pa.large_binary())[0].as_py() or b"")
    return None
