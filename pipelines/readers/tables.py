"""Record batches of files that have a schema, cut into chunks."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.errors import UserError
from pipelines.readers.line_blocks import LONGEST_LINE, invalid_utf8
from pipelines.readers.reader import Chunk, ChunkSize, Piece
from pipelines.readers.records import Records, rows_lost
from pipelines.rows import Columns
from pipelines.rows.plain import as_raw, plain, plain_type, row_bytes

LARGEST_ROW = LONGEST_LINE
"""Bytes of a row that are read, each value written out; a larger one is a record too large."""


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
    """Yield the rows of a batch whose first row is number `first` of its file, in plain types."""
    return _Cut(piece, columns, required, size).whole(batch, first)


@dataclass(frozen=True)
class _Cut:
    """How batches of one piece become chunks."""

    piece: Piece
    columns: Columns
    required: Sequence[str]
    size: ChunkSize

    def whole(self, batch: pa.RecordBatch, first: int) -> Iterator[Chunk]:
        """Yield the rows of a batch in parts of bounded size."""
        strange = [i for i, kind in enumerate(batch.schema.types) if plain_type(kind) != kind]
        # Nothing may look into what is damaged, not even for its size.
        said = invalid(batch.validate) or broken(batch.select(strange))
        if said is not None:
            yield from self._lost(batch, first, said)
            return
        step = rows_for(self.size, batch.num_rows, batch.nbytes)
        for start in range(0, batch.num_rows, step):
            part, at = batch.slice(start, step), first + start
            if part.nbytes > LARGEST_ROW:
                said = broken(part)
                yield from self._lost(part, at, said) if said else self._by_size(part, at, part)
            elif strange:
                yield from self._by_size(part, at, part.select(strange))
            else:
                yield from self._usable(part, at)

    def _by_size(self, part: pa.RecordBatch, first: int, sized: pa.RecordBatch) -> Iterator[Chunk]:
        """Yield rows by what some columns take once written out; one that is too large is bad."""
        sizes = [row_bytes(as_raw(column)) for column in sized.columns]
        ends = np.cumsum(np.sum(sizes, axis=0))
        start, before = 0, 0.0
        while start < part.num_rows:
            fit = int(np.searchsorted(ends, before + self.size.bytes, side="right"))
            stop = max(start + 1, fit)
            taken, before = ends[stop - 1] - before, ends[stop - 1]
            at, rows = first + start, part.slice(start, stop - start)
            if taken > max(self.size.bytes, LARGEST_ROW):
                said = f"a row of about {taken:,.0f} bytes; at most {LARGEST_ROW:,} are read"
                yield from self._lost(rows, at, said)
            else:
                yield from self._usable(rows, at)
            start = stop

    def _usable(self, part: pa.RecordBatch, first: int) -> Iterator[Chunk]:
        """Yield the rows of a part, those that Arrow cannot handle as bad, each by itself."""
        try:
            table = plain(pa.Table.from_batches([part]))
            errors = damaged(table)
            if isinstance(errors, str):
                yield from self._lost(part, first, errors)
                return
            positions = np.arange(first, first + part.num_rows, dtype=np.int64)
            found = Records(table, positions, _row_from(first))
            yield found.chunk(self.piece, self.columns, self.required, errors)
        except UserError:
            raise
        except (ValueError, OverflowError, pa.ArrowException) as error:
            if part.num_rows == 1 or isinstance(error, NotImplementedError):
                yield from self._lost(part, first, f"a value that cannot be read: {error}")
                return
            half = part.num_rows // 2
            yield from self._usable(part.slice(0, half), first)
            yield from self._usable(part.slice(half), first + half)

    def _lost(self, part: pa.RecordBatch, first: int, said: str) -> Iterator[Chunk]:
        return rows_lost(self.piece, range(first, first + part.num_rows), said, self.size)


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


def broken(batch: pa.RecordBatch) -> str | None:
    """Return what is wrong with the structure of some columns, whatever their texts hold."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if said := _broken(column):
            return f"column {name!r} is damaged: {said}"
    return None


def _broken(column: pa.Array) -> str | None:
    return invalid(lambda: as_raw(column).validate(full=True))


def damaged(table: pa.Table) -> dict[int, str] | str:
    """Return what is wrong with rows that Arrow itself calls invalid, by row index.

    Parquet and Arrow files may hold strings that are not UTF-8; readers do not look. Where a column
    is damaged otherwise, none of its values may be touched: then that is said of all rows.
    """
    errors: dict[int, str] = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        if invalid(partial(column.validate, full=True)) is None:
            continue
        whole = column.combine_chunks()
        if said := _broken(whole):
            return f"column {name!r} is damaged: {said}"
        for i in range(len(whole)):
            said = invalid(partial(whole.take(pa.array([i])).validate, full=True))
            if said is not None:
                errors.setdefault(i, f"column {name!r}: {_about(whole, i) or said}")
    return errors


def invalid(validate: Callable[[], None]) -> str | None:
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
