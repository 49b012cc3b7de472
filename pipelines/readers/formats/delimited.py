"""Delimited text: CSV and TSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.errors import UserError
from pipelines.files import File
from pipelines.readers import compression
from pipelines.readers.line_blocks import Block, blocks
from pipelines.readers.reader import CHUNK_SIZE, REST_LOST, Chunk, ChunkSize, Piece
from pipelines.readers.records import Records, Unreadable, rest_lost
from pipelines.readers.source import Source
from pipelines.rows import Columns

_LONGEST_FIELD = 1 << 31


class Csv(Source):
    """CSV or TSV, plain or compressed, with a header line; values stay text.

    A quoted field may hold newlines, so a file cannot be split. Empty lines are no records; an
    empty field is the empty string.
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
        lines = _Lines(piece, size)
        reader = self._reader(lines, piece.name)
        header = list(self.header or ()) or self._header(reader, lines)
        columns = Columns()
        if header:
            schema = pa.schema([(name, pa.string()) for name in header])
            columns = self.check(schema, piece.name, required)
        batch = _Batch(header)
        for row in _records(reader, lines, batch):
            batch.add(row, lines)
            if len(batch.rows) >= size.rows or lines.next_offset - batch.start >= size.bytes:
                yield batch.chunk(piece, columns, required)
                batch = _Batch(header, lines.next_offset)
        if batch.rows:
            yield batch.chunk(piece, columns, required)
        if lines.failed is not None:
            at = lines.failed.position
            yield rest_lost(piece, at, f"byte {at}", str(lines.failed))

    def _reader(self, lines: Iterator[str], name: str) -> Iterator[list[str]]:
        csv.field_size_limit(_LONGEST_FIELD)
        tab = ".tsv" in name.lower().rpartition("/")[2]
        return csv.reader(
            lines,
            delimiter=self.delimiter or ("\t" if tab else ","),
            quotechar=self.quote,
            quoting=csv.QUOTE_MINIMAL if self.quote else csv.QUOTE_NONE,
            strict=True,
        )

    def _header(self, reader: Iterator[list[str]], lines: _Lines) -> list[str]:
        try:
            names = next((row for row in reader if row), [])
        except csv.Error as error:
            raise UserError(f"{lines.piece.name}: the header line is broken: {error}") from error
        for name in names:
            if not _encodes(name):
                raise UserError(f"{lines.piece.name}: the header line is not valid UTF-8")
        return [name or f"unnamed_{i}" for i, name in enumerate(names)]


class _Lines:
    """The lines of a file as `csv` wants them; knows where the record it reads began."""

    def __init__(self, piece: Piece, size: ChunkSize) -> None:
        self.piece = piece
        self.failed: Unreadable | None = None
        self.begin()
        self._blocks = blocks(piece, size)
        self._lines: Iterator[tuple[str, int]] = iter(())

    next_offset = 0
    """Byte the next line starts at."""
    line_count = 0
    """Lines read so far."""

    def begin(self) -> None:
        """Note that a record starts at the next line."""
        self.offset, self.line = self.next_offset, self.line_count

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        text, length = next(self._lines, ("", 0))
        while not length:
            self._lines = self._of_block()
            text, length = next(self._lines, ("", 0))
        self.next_offset += length
        self.line_count += 1
        return text

    def _of_block(self) -> Iterator[tuple[str, int]]:
        try:
            block: Block = next(self._blocks)
        except Unreadable as error:
            self.failed = error
            raise StopIteration from error
        lengths = np.diff([*block.offsets.tolist(), block.offset + len(block.data)]).tolist()
        start = "﻿" if block.offset == 0 else ""
        text = block.data.decode(errors="surrogateescape").removeprefix(start)
        return zip(io.StringIO(text, newline="\n"), lengths, strict=False)


def _records(
    reader: Iterator[list[str]], lines: _Lines, batch: _Batch
) -> Iterator[list[str] | csv.Error]:
    """Yield each record, or what is wrong with it; `lines` knows where it began."""
    while True:
        lines.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if lines.failed is not None:
                lines.failed = Unreadable(lines.offset, str(lines.failed))
                return
            yield error
            continue
        if row:
            yield row


class _Batch:
    """Rows of a chunk in the making."""

    def __init__(self, header: list[str], start: int = 0) -> None:
        self.header, self.start = header, start
        self.rows: list[list[str]] = []
        self.offsets: list[int] = []
        self.line_numbers: list[int] = []
        self.errors: dict[int, str] = {}
        self.rest_lost = False
        """Whether the last row is one that takes the rest of the file along."""

    def add(self, row: list[str] | csv.Error, lines: _Lines) -> None:
        """Add a record; one that does not fit the header is noted as bad."""
        if isinstance(row, csv.Error):
            unclosed = "unexpected end of data" in str(row)
            self.rest_lost = unclosed and lines.line_count > lines.line + 1
            lost = f"; a quote is never closed, so {REST_LOST}" if self.rest_lost else ""
            self._bad(f"broken quoting: {row}{lost}")
        elif len(row) != len(self.header):
            self._bad(f"{len(row)} fields, but the header has {len(self.header)}")
        else:
            self.rows.append(row)
        self.offsets.append(lines.offset)
        self.line_numbers.append(lines.line + 1)

    def _bad(self, error: str) -> None:
        self.errors[len(self.rows)] = error
        self.rows.append([""] * len(self.header))

    def chunk(self, piece: Piece, columns: Columns, required: Sequence[str]) -> Chunk:
        """Return the chunk of all rows added."""
        arrays = [self._column(i) for i in range(len(self.header))]
        table = pa.table(arrays, names=self.header)
        offsets = np.asarray(self.offsets, dtype=np.int64)
        made = Records(table, offsets, self._where).chunk(piece, columns, required, self.errors)
        if self.rest_lost:
            made.bad[-1] = replace(made.bad[-1], rest_lost=True)
        return made

    def _where(self, i: int) -> str:
        return f"line {self.line_numbers[i]}, byte {self.offsets[i]}"

    def _column(self, i: int) -> pa.Array:
        values = [row[i] for row in self.rows]
        try:
            return pa.array(values, pa.string())
        except UnicodeEncodeError:
            for at, value in enumerate(values):
                if not _encodes(value):
                    self.errors.setdefault(at, _invalid(self.header[i], value))
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
