"""Delimited text: CSV and TSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.listings import File
from pipelines.readers import compression
from pipelines.readers.formats.csv_lines import Dialect, HeldLines, header
from pipelines.readers.formats.csv_records import csv_records
from pipelines.readers.line_blocks import blocks
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Records, rest_lost
from pipelines.readers.source import Source
from pipelines.rows import Columns


class Csv(Source):
    """CSV or TSV, plain or compressed, with a header line; values stay text.

    A quoted field may hold newlines, so a file cannot be split. Empty lines are no records; an
    empty field is the empty string. A stray quote loses its own line: a record over several lines
    that is broken, longer than 16 MiB, or made of lines that are each like the other records of the
    file is lost with its first line, and the lines after it are read on their own. Each line lost
    is a quarantined row.
    """

    unit: ClassVar[str] = "byte"
    suffixes: ClassVar[tuple[str, ...]] = compression.with_compressed(".csv", ".tsv")

    format: Literal["csv"] = "csv"
    """Delimited text."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Character between fields; a tab for .tsv files and a comma for others."""
    quote: str | None = Field(default='"', min_length=1, max_length=1)
    """Character around fields that hold a delimiter, a newline or itself doubled; null for none."""
    header: tuple[str, ...] | None = None
    """Names of the columns, where the files have no header line."""

    def expanded(self, file: File) -> int:
        """Return about how many bytes the file holds once decompressed."""
        return compression.expanded_size(file)

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the records of a whole file."""
        lines = HeldLines(blocks(piece, size))
        dialect = Dialect(self.delimiter or _delimiter(piece.name), self.quote)
        names = list(self.header or ()) or header(lines, dialect, piece.name)
        columns = Columns()
        if names:
            schema = pa.schema([(name, pa.string()) for name in names])
            columns = self.check(schema, piece.name, required)
        batch = _Batch(names)
        for offset, line, row in csv_records(lines, dialect, len(names)):
            batch.rows.append(lines.gaps.pop(offset, row))
            batch.offsets.append(offset)
            batch.lines.append(line)
            if len(batch.rows) >= size.rows or offset - batch.offsets[0] >= size.bytes:
                yield batch.chunk(piece, columns, required)
                batch = _Batch(names)
        if batch.rows:
            yield batch.chunk(piece, columns, required)
        if lines.failed is not None:
            at = lines.failed.position
            yield rest_lost(piece, at, f"byte {at}", str(lines.failed))


def _delimiter(name: str) -> str:
    return "\t" if ".tsv" in name.lower().rpartition("/")[2] else ","


class _Batch:
    """Records of a chunk in the making; a lost one stands there as what is wrong with it."""

    def __init__(self, header: list[str]) -> None:
        self.header = header
        self.rows: list[list[str] | str] = []
        self.offsets: list[int] = []
        self.lines: list[int] = []

    def chunk(self, piece: Piece, columns: Columns, required: Sequence[str]) -> Chunk:
        """Return the chunk of all records."""
        errors = {i: row for i, row in enumerate(self.rows) if isinstance(row, str)}
        blank = [""] * len(self.header)
        rows = [blank if isinstance(row, str) else row for row in self.rows]
        arrays = [
            _column(name, [row[i] for row in rows], errors) for i, name in enumerate(self.header)
        ]
        table = pa.table(arrays, names=self.header)
        offsets = np.asarray(self.offsets, dtype=np.int64)
        return Records(table, offsets, self._where).chunk(piece, columns, required, errors)

    def _where(self, i: int) -> str:
        return f"line {self.lines[i] + 1}, byte {self.offsets[i]}"


def _column(name: str, values: list[str], errors: dict[int, str]) -> pa.Array:
    """Return a column; values that are not UTF-8 are null and noted as errors."""
    try:
        return pa.array(values, pa.string())
    except UnicodeEncodeError:
        for at, value in enumerate(values):
            if not _encodes(value):
                errors.setdefault(at, _invalid(name, value))
        return pa.array([v if _encodes(v) else None for v in values], pa.string())


def _encodes(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _invalid(name: str, value: str) -> str:
    raw = value.encode(errors="surrogateescape")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{raw[error.start]:02x} at byte {error.start} of column {name!r}"
        return f"invalid UTF-8: {byte}"
    return f"invalid UTF-8 in column {name!r}"
