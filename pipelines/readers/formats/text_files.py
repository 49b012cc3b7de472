"""Plain text files: one row per file, line or paragraph."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, pairwise
from typing import BinaryIO, ClassVar, Literal

import numpy as np
import pyarrow as pa

from pipelines import files, listings
from pipelines.maths.arrays import Int64
from pipelines.readers import compression, folders
from pipelines.readers.line_blocks import LONGEST_LINE, Block, blocks, chunks_of, invalid_utf8
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import Records, Unreadable, lost_at, rest_lost
from pipelines.readers.source import Source
from pipelines.rows import Columns


class Text(Source):
    """Plain UTF-8 text files, or compressed ones; the column is called `text`.

    Blank lines are no records, whether rows are lines or the paragraphs between them.
    """

    unit: ClassVar[str] = "byte"
    suffixes: ClassVar[tuple[str, ...]] = compression.with_compressed(".txt", ".text", ".md")

    format: Literal["text"] = "text"
    """Plain text."""
    rows: Literal["file", "line", "paragraph"] = "file"
    """What makes a row; paragraphs are set apart by blank lines."""

    @property
    def one_row_per_file(self) -> bool:
        """Whether the listing is one table with one row per file."""
        return self.rows == "file"

    def splittable(self, file: listings.File) -> bool:
        """Tell whether the rows are lines of a plain file."""
        return self.rows == "line" and compression.compression_of(file.path) is None

    def expanded(self, file: listings.File) -> int:
        """Return about how many bytes the file holds once decompressed."""
        return compression.expanded_size(file)

    def piece_at(self, whole: Piece, position: int) -> Piece:
        """Return the piece that holds the row at `position`."""
        if self.rows != "line" or compression.compression_of(whole.path) is not None:
            return whole
        return Piece(whole.file, whole.path, whole.name, position, position + 1)

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the rows of a piece."""
        self.check(pa.schema([(self._name, pa.string())]), piece.name, required)
        if self.rows == "file":
            return self.read_pieces([piece], required, size)
        if self.rows == "line":
            return chunks_of(piece, size, lambda block: self._lines(piece, block, size))
        return self._paragraphs(piece, size)

    def read_pieces(
        self, pieces: Sequence[Piece], required: Sequence[str], size: ChunkSize
    ) -> Iterator[Chunk]:
        """Yield the rows of several pieces in order."""
        if self.rows != "file":
            yield from super().read_pieces(pieces, required, size)
            return
        for piece in pieces[:1]:
            self.check(pa.schema([(self._name, pa.string())]), piece.name, required)
        for group, contents, errors in folders.batches(pieces, size, _read_text):
            texts = pa.array([c or b"" for c in contents], pa.binary()).cast(pa.string())
            table = pa.table({self._name: texts})
            yield folders.chunk(table, group, Columns(text=self._name), errors)

    @property
    def _name(self) -> str:
        return self.text or "text"

    def _lines(self, piece: Piece, block: Block, size: ChunkSize) -> Iterator[Chunk]:
        index = [i for i, line in enumerate(block.lines) if line and not line.isspace()]
        lines = [block.lines[i].removesuffix(b"\r") for i in index]
        offsets = block.offsets[np.asarray(index, dtype=np.int64)]
        for start in range(0, len(lines), size.rows):
            part = slice(start, start + size.rows)
            yield self._chunk(piece, lines[part], offsets[part], block.where)

    def _paragraphs(self, piece: Piece, size: ChunkSize) -> Iterator[Chunk]:
        numbers = itertools.count(1)
        held: list[_Line] = []
        lost = False  # the lines up to the next blank one belong to a paragraph that is lost
        try:
            for block in blocks(piece, size):
                if block.gap:
                    at = held[0][0] if held else block.offset
                    yield lost_at(piece, at, f"line {next(numbers)}, byte {at}", block.gap)
                    held = []
                    continue
                known = len(held)
                held += zip(block.offsets.tolist(), numbers, block.lines, strict=False)
                new = enumerate(islice(held, known, None), known)
                blank = [i for i, line in new if not line[2] or line[2].isspace()]
                if blank:
                    first = blank[0] if lost else 0
                    cuts = [at - first for at in blank[:-1] if at >= first]
                    yield from self._cut(piece, held[first : blank[-1]], cuts, size)
                    held, lost = held[blank[-1] + 1 :], False
                if lost:
                    held = []
                elif sum(len(line) for _, _, line in held) > LONGEST_LINE:
                    at, number, _ = held[0]
                    said = f"a paragraph of more than {LONGEST_LINE:,} bytes"
                    yield lost_at(piece, at, f"line {number}, byte {at}", said)
                    held, lost = [], True
        except Unreadable as error:
            at = held[0][0] if held else error.position
            yield rest_lost(piece, at, f"byte {at}", str(error))
            return
        yield from self._cut(piece, held, [], size)

    def _cut(
        self, piece: Piece, lines: list[_Line], blank: list[int], size: ChunkSize
    ) -> Iterator[Chunk]:
        """Yield the paragraphs of lines between the blank ones."""
        spans = [(a + 1, b) for a, b in pairwise([-1, *blank, len(lines)]) if b > a + 1]
        for start in range(0, len(spans), size.rows):
            part = spans[start : start + size.rows]
            texts = [b"\n".join(line for _, _, line in lines[a:b]) for a, b in part]
            offsets = np.array([lines[a][0] for a, _ in part], dtype=np.int64)
            number = {lines[a][0]: lines[a][1] for a, _ in part}
            where = _where(number)
            yield self._chunk(piece, texts, offsets, where)

    def _chunk(
        self, piece: Piece, texts: list[bytes], offsets: Int64, where: Callable[[int], str]
    ) -> Chunk:
        array, errors = decode_texts(texts)
        table = pa.table({self._name: array})
        found = Records(table, offsets, lambda i: where(int(offsets[i])))
        return found.chunk(piece, Columns(text=self._name), (), errors)


_Line = tuple[int, int, bytes]
"""Offset, number from 1, and content of a line."""


def _where(number: dict[int, int]) -> Callable[[int], str]:
    return lambda at: f"line {number[at]}, byte {at}"


def decode_texts(texts: list[bytes]) -> tuple[pa.Array, dict[int, str]]:
    """Return texts as strings, null where one is not UTF-8, and what is wrong with those."""
    array = pa.array(texts, pa.binary())
    try:
        return array.cast(pa.string()), {}
    except pa.ArrowInvalid:
        wrong = {i: error for i, text in enumerate(texts) if (error := invalid_utf8(text))}
        kept = [None if i in wrong else text for i, text in enumerate(texts)]
        return pa.array(kept, pa.binary()).cast(pa.string()), wrong


def _portions(file: BinaryIO) -> Iterator[bytes]:
    while part := file.read(1 << 20):
        yield part


def _read_text(piece: Piece) -> bytes:
    kind, parts, held = compression.compression_of(piece.path), [], 0
    with files.open_input(piece.path) as file:
        for part in compression.decompressed(file, kind) if kind else _portions(file):
            if isinstance(part, compression.Gap):
                raise folders.BadFile(str(part))
            parts.append(part)
            held += len(part)
            if held > LONGEST_LINE:
                raise folders.BadFile(f"more than {LONGEST_LINE:,} bytes of text in one file")
    data = b"".join(parts)
    error = invalid_utf8(data)
    if error is not None:
        raise folders.BadFile(error)
    return data.removeprefix(b"\xef\xbb\xbf")
