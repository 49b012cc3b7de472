"""Parquet files."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipelines import files, listings
from pipelines.readers.parquet_pages import VALUES_OF_NO_BYTES, column_of_group
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, rest_lost, rows_lost
from pipelines.readers.source import Source
from pipelines.readers.tables import chunks, named, rows_for

_BUFFER = 1 << 20
"""Bytes of a column that are read at once."""
_EXPANDED = 1 << 28
"""Bytes that a column of one batch may have where its pages hold each value once."""


class Parquet(Source):
    """Parquet files, read by row group; a piece owns the row groups that start in it.

    A row group is read front to back in chunks; where it is damaged, each of its remaining rows is
    bad. HF features in the schema's metadata come along.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    format: Literal["parquet"] = "parquet"
    """Parquet."""

    def splittable(self, file: listings.File) -> bool:
        """Tell whether the file can be split; of remote files it is assumed, unopened."""
        if files.is_remote(file.path):
            return True
        try:
            return int(pq.read_metadata(file.path).num_row_groups) > 1
        except (OSError, pa.ArrowException):
            return False  # reading it says what is wrong

    def piece_at(self, whole: Piece, position: int) -> Piece:
        """Return the piece of the row group that holds row `position`."""
        with _open(whole.path) as file:
            for group, first in _groups(file.metadata):
                if first <= position < first + file.metadata.row_group(group).num_rows:
                    at = _start(file.metadata, group)
                    return Piece(whole.file, whole.path, whole.name, at, at + 1)
        return whole

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the rows of the row groups that start in the piece."""
        try:
            file = _open(piece.path)
            named(file.schema_arrow)
            _check_rows(file.metadata, _size(piece.path))
        except files.TRANSIENT:
            raise
        except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
            if piece.start == 0:  # one record for the file, however it was split
                yield rest_lost(piece, 0, "the file", str(error))
            return
        with file:
            columns = self.check(file.schema_arrow, piece.name, required)
            for group, first in _groups(file.metadata):
                if not piece.start <= _start(file.metadata, group) < piece.stop:
                    continue
                row, stop = first, first + file.metadata.row_group(group).num_rows
                try:
                    for batch in _batches(piece.path, file, group, size):
                        if row + batch.num_rows > stop:
                            raise Unreadable(
                                group, f"it has more rows than the {stop - first:,} told"
                            )
                        yield from chunks(batch, row, piece, columns, required, size)
                        row += batch.num_rows
                    if row < stop:
                        raise Unreadable(group, "it ends before its last row")
                except Unreadable as error:
                    said = f"row group {group} cannot be read: {error}"
                    if stop - row > 8 * _size(piece.path):  # too many to tell of each
                        yield rest_lost(piece, row, f"from row {row} on", said)
                    else:
                        yield from rows_lost(piece, range(row, stop), said, size)


def _open(path: str, as_dictionaries: Sequence[str] = ()) -> pq.ParquetFile:
    return pq.ParquetFile(
        files.open_table(path),
        pre_buffer=files.is_remote(path),
        buffer_size=_BUFFER,
        read_dictionary=list(as_dictionaries),
    )


def _size(path: str) -> int:
    with files.open_table(path) as source:
        return int(source.size())


def _check_rows(metadata: Any, size: int) -> None:
    """Refuse a file that claims more rows than it can hold."""
    rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
    for group, count in enumerate(rows):
        if not 0 <= count <= max(VALUES_OF_NO_BYTES, 8 * size):
            raise pa.ArrowInvalid(f"row group {group} claims {count:,} rows in {size:,} bytes")
    if sum(rows) != metadata.num_rows:
        raise pa.ArrowInvalid(f"{metadata.num_rows:,} rows are told, {sum(rows):,} in row groups")


def _groups(metadata: Any) -> Iterator[tuple[int, int]]:
    """Yield the number and the first row of each row group."""
    first = 0
    for group in range(metadata.num_row_groups):
        yield group, first
        first += metadata.row_group(group).num_rows


def _start(metadata: Any, group: int) -> int:
    """Return the byte of the file the row group's first column starts at."""
    if not metadata.row_group(group).num_columns:
        return 0
    column = metadata.row_group(group).column(0)
    offsets = (column.dictionary_page_offset, column.data_page_offset)
    return min((int(offset) for offset in offsets if offset), default=0)


def _batches(
    path: str, file: pq.ParquetFile, group: int, size: ChunkSize
) -> Iterator[pa.RecordBatch]:
    try:
        about = file.metadata.row_group(group)
        rows = rows_for(size, about.num_rows, about.total_byte_size)
        rows, bombs = _bounded(path, file, group, rows)
        reader = _open(path, bombs) if bombs else file
        yield from reader.iter_batches(batch_size=rows, row_groups=[group], use_threads=False)
    except files.TRANSIENT:
        raise
    except (OSError, pa.ArrowException, IndexError) as error:  # columns that are told and lack
        raise Unreadable(group, str(error)) from error


def _bounded(path: str, file: pq.ParquetFile, group: int, rows: int) -> tuple[int, list[str]]:
    """Return how many rows are read at once, and the columns that stay dictionaries meanwhile.

    A large value of a dictionary may stand for a million rows in a few bytes. Headers of remote
    pages are not read: each would be a request.
    """
    if files.is_remote(path):
        return rows, []
    bombs = []
    with files.open_table(path) as raw:
        for i in range(file.metadata.num_columns):
            chunk, column = file.metadata.row_group(group).column(i), file.schema.column(i)
            pages = column_of_group(raw, chunk)
            if chunk.physical_type == "FIXED_LEN_BYTE_ARRAY":
                rows = min(rows, _EXPANDED // max(1, column.length) + 1)
            if chunk.physical_type != "BYTE_ARRAY":
                continue
            rows = min(rows, _EXPANDED // max(1, pages.prefixed) + 1)
            values = pages.values if column.max_repetition_level else min(rows, pages.values)
            # Few dictionaries are so large that it is worth a look at their longest value.
            large = values * pages.dictionary > _EXPANDED
            if large and values * _longest(path, group, chunk.path_in_schema) > _EXPANDED:
                bombs.append(chunk.path_in_schema)
    return rows, bombs


def _longest(path: str, group: int, column: str) -> int:
    """Return the bytes of the longest value of a column's dictionary."""
    with _open(path, [column]) as file:
        batches = file.iter_batches(1, row_groups=[group], columns=[column], use_threads=False)
        values = next(batches).column(0)
    while not pa.types.is_dictionary(values.type):
        values = values.field(0) if pa.types.is_struct(values.type) else values.values
    return pc.max(pc.binary_length(values.dictionary)).as_py() or 0
