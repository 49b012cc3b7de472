"""Record batches of files that have a schema, cut into chunks."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.readers.line_blocks import invalid_utf8
from pipelines.readers.reader import Chunk, ChunkSize, Piece
from pipelines.readers.records import Records
from pipelines.rows import Columns


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
    step = rows_for(size, batch.num_rows, batch.nbytes)
    for start in range(0, batch.num_rows, step):
        part = batch.slice(start, step)
        errors = damaged(part)
        at = first + start
        positions = np.arange(at, at + part.num_rows, dtype=np.int64)
        found = Records(pa.Table.from_batches([part]), positions, _row_from(at))
        yield found.chunk(piece, columns, required, errors)


def _row_from(first: int) -> Callable[[int], str]:
    return lambda i: f"row {first + i}"


def damaged(batch: pa.RecordBatch) -> dict[int, str]:
    """Return what is wrong with rows that Arrow itself calls invalid, by row index.

    Parquet and Arrow files may hold strings that are not UTF-8; readers do not look.
    """
    errors: dict[int, str] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            for i in range(len(column)):
                try:
                    column.slice(i, 1).validate(full=True)
                except pa.ArrowInvalid as error:
                    errors.setdefault(i, f"column {name!r}: {_about(column, i) or error}")
    return errors


def _about(column: pa.Array, i: int) -> str | None:
    if pt.is_string(column.type) or pt.is_large_string(column.type):
        return invalid_utf8(pc.cast(column.slice(i, 1), pa.large_binary())[0].as_py() or b"")
    return None
