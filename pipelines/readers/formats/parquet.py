"""Parquet files."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, rest_lost, rows_lost
from pipelines.readers.source import Source
from pipelines.readers.tables import chunks, named, rows_for

_BUFFER = 1 << 20
"""Bytes of a column that are read at once."""


class Parquet(Source):
    """Parquet files, read by row group; a piece owns the row groups that start in it.

    A row group is read front to back in chunks; where it is damaged, each of its remaining rows is
    bad. HF features in the schema's metadata come along.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    format: Literal["parquet"] = "parquet"
    """Parquet."""

    def splittable(self, file: files.File) -> bool:
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
                    for batch in _batches(file, group, size):
                        yield from chunks(batch, row, piece, columns, required, size)
                        row += batch.num_rows
                except Unreadable as error:
                    said = f"row group {group} cannot be read: {error}"
                    yield from rows_lost(piece, range(row, stop), said, size)


def _open(path: str) -> pq.ParquetFile:
    return pq.ParquetFile(
        files.open_table(path), pre_buffer=files.is_remote(path), buffer_size=_BUFFER
    )


def _groups(metadata: Any) -> Iterator[tuple[int, int]]:
    """Yield the number and the first row of each row group."""
    first = 0
    for group in range(metadata.num_row_groups):
        yield group, first
        first += metadata.row_group(group).num_rows


def _start(metadata: Any, group: int) -> int:
    """Return the byte of the file the row group's first column starts at."""
    column = metadata.row_group(group).column(0)
    offsets = (column.dictionary_page_offset, column.data_page_offset)
    return min((int(offset) for offset in offsets if offset), default=0)


def _batches(file: pq.ParquetFile, group: int, size: ChunkSize) -> Iterator[pa.RecordBatch]:
    about = file.metadata.row_group(group)
    rows = rows_for(size, about.num_rows, about.total_byte_size)
    try:
        yield from file.iter_batches(batch_size=rows, row_groups=[group], use_threads=False)
    except files.TRANSIENT:
        raise
    except (OSError, pa.ArrowException) as error:
        raise Unreadable(group, str(error)) from error
