"""Lines of a file by byte range: a piece owns the lines that start in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from pipelines import files
from pipelines.maths.arrays import Int64
from pipelines.readers import compression
from pipelines.readers.reader import REST_LOST, Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, lost_at, rest_lost

_STEP = 1 << 20
_FOREVER = 1 << 62
_BOM = b"\xef\xbb\xbf"
LONGEST_LINE = 64 << 20
"""Bytes of a line that are read; a longer one is a record that cannot be read."""


@dataclass
class Block:
    """Consecutive whole lines of a file."""

    data: bytes
    """With the newlines; the last line of a file may lack one."""
    offset: int
    """Byte of the file, uncompressed, the first line starts at."""
    _newlines_before: Callable[[], int] = field(repr=False)
    gap: str | None = None
    """What is lost where the block stands for something that could not be read."""

    @cached_property
    def lines(self) -> list[bytes]:
        """The lines without their newlines; a byte order mark at the start is left out."""
        lines = self.data.split(b"\n")
        if not lines[-1]:
            lines.pop()
        if self.offset == 0 and lines:
            lines[0] = lines[0].removeprefix(_BOM)
        return lines

    @cached_property
    def offsets(self) -> Int64:
        """Byte of the file each line starts at, shape (lines,)."""
        lengths = np.fromiter(map(len, self.lines), dtype=np.int64, count=len(self.lines)) + 1
        if self.offset == 0 and self.data.startswith(_BOM):
            lengths[0] += len(_BOM)
        return self.offset + np.concatenate([[0], np.cumsum(lengths[:-1])]).astype(np.int64)

    def line_number(self, offset: int) -> int:
        """Return the number, from 1, of the line at a byte of the file."""
        return self._newlines_before() + self.data[: offset - self.offset].count(b"\n") + 1

    def where(self, offset: int) -> str:
        """Return `line 17, byte 2041`."""
        return f"line {self.line_number(offset)}, byte {offset}"


def blocks(piece: Piece, size: ChunkSize) -> Iterator[Block]:
    """Yield the lines that start in the piece, in blocks of about `size.bytes`.

    What stands for a line that is too long, or for what cannot be read of a stream that goes on
    after it, is a block of its own, with a `gap`.

    Raises:
        Unreadable: the file cannot be read on; all whole lines before were yielded.
    """
    kind = compression.compression_of(piece.path)
    stop = piece.stop if kind is None else _FOREVER
    # One byte early: a line starts in the piece if a newline, or nothing, stands before it.
    start, skip = (piece.start - 1, True) if piece.start else (0, False)
    lines = _Lines(start, _Newlines(piece))
    parts = _parts(piece, kind, start, min(_STEP, size.bytes))
    failed: OSError | None = None
    while lines.offset < stop:
        part, failed = _next(parts)
        ended = part is None and failed is None
        if ended and kind is None and lines.end < stop:
            failed = OSError(f"the file ends here; it had {stop:,} bytes when it was listed")
        if failed is not None and piece.start and isinstance(failed, _MISSING):
            return  # the piece at the start of the file says so
        if isinstance(part, compression.Gap):
            yield from lines.cut(stop, whole=False)
            yield lines.gap(f"{REST_LOST} up to the next stream in it: {part}")
            continue
        if skip and part is not None:
            cut = part.find(b"\n") + 1
            lines.offset += cut or len(part)
            part, skip = part[cut:], not cut
            if lines.offset >= stop:
                return
            if skip:
                continue
        if part:
            lines.add(part)
        if part is None or lines.long or (lines.held >= size.bytes and b"\n" in part):
            yield from lines.cut(stop, whole=ended and failed is None)
        elif lines.end >= stop and b"\n" in part:
            yield from lines.cut(stop, whole=False)
        if part is None:
            break
    if failed is not None and lines.offset < stop:
        raise Unreadable(max(lines.offset, piece.start), _in_words(failed)) from failed


class _Lines:
    """The bytes from the first line that was not yielded yet."""

    def __init__(self, offset: int, before: _Newlines) -> None:
        self.offset, self.held = offset, 0
        self._parts: list[bytes] = []
        self._lost = 0  # bytes of a line too long to hold that were let go
        self._newlines, self._before = 0, before

    @property
    def end(self) -> int:
        """Byte of the file after what was read."""
        return self.offset + self._lost + self.held

    @property
    def long(self) -> bool:
        """Whether more is held than a line may have."""
        return self.held > LONGEST_LINE or bool(self._lost)

    def add(self, part: bytes) -> None:
        """Hold what follows."""
        self._parts.append(part)
        self.held += len(part)

    def cut(self, stop: int, *, whole: bool) -> Iterator[Block]:
        """Yield the whole lines that start before `stop`; the last needs no newline if `whole`."""
        data = b"".join(self._parts)
        if self._lost:
            yield from self._after_long(data, whole)
            return
        end = len(data) if whole else data.rfind(b"\n") + 1
        if self.offset + end >= stop:
            end = min(end, data.find(b"\n", max(0, stop - 1 - self.offset)) + 1 or end)
        self._keep(data[end:])
        if end > LONGEST_LINE:
            yield from self._lines_of(data[:end])
        elif end:
            yield self._block(data[:end], end)
        elif self.held > LONGEST_LINE:
            self._lost = self.held
            self._keep(b"")

    def _lines_of(self, data: bytes) -> Iterator[Block]:
        """Yield whole lines of which some may be too long."""
        start = at = 0
        while at < len(data):
            stop = data.find(b"\n", at) + 1 or len(data)
            if stop - at > LONGEST_LINE:
                if at > start:
                    yield self._block(data[start:at], at - start)
                yield self._too_long(stop - at)
                start = stop
            at = stop
        if at > start:
            yield self._block(data[start:], at - start)

    def _too_long(self, length: int) -> Block:
        said = f"a line of {length:,} bytes; at most {LONGEST_LINE:,} are read"
        return replace(self._block(b"\xff\n", length), gap=said)

    def _after_long(self, data: bytes, whole: bool) -> Iterator[Block]:
        end = data.find(b"\n") + 1
        self._lost += end or len(data)
        self._keep(data[end:] if end else b"")
        if end or whole:
            lost, self._lost = self._lost, 0
            yield self._too_long(lost)

    def gap(self, said: str) -> Block:
        """Return what stands for the rest of a line and what followed it, and let go of it."""
        lost, self._lost = self._lost + self.held, 0
        self._keep(b"")
        # One byte more, which no line has: what follows must not stand at the same byte.
        return replace(self._block(b"\xff\n", lost + 1), gap=said)

    def _keep(self, data: bytes) -> None:
        self._parts, self.held = [data] if data else [], len(data)

    def _block(self, data: bytes, length: int) -> Block:
        """Return a block that stands for `length` bytes of the file, and move past them."""
        newlines, before = self._newlines, self._before
        block = Block(data, self.offset, before.plus(newlines))
        self._newlines += data.count(b"\n")
        self.offset += length
        return block


_MISSING = (FileNotFoundError, PermissionError)


def _next(
    parts: Iterator[bytes | compression.Gap],
) -> tuple[bytes | compression.Gap | None, OSError | None]:
    """Return the next part, or None and, where reading failed, why."""
    try:
        return next(parts, None), None
    except files.TRANSIENT:
        raise
    except OSError as error:
        return None, error


def _parts(
    piece: Piece, kind: str | None, start: int, step: int
) -> Iterator[bytes | compression.Gap]:
    with files.open_input(piece.path) as file:
        if kind is not None:
            yield from compression.decompressed(file, kind)
            return
        if start:
            file.seek(start)
        while part := file.read(step):
            yield part


def _in_words(error: OSError) -> str:
    return str(error.strerror or error)


@dataclass
class _Newlines:
    """Counts the newlines before a piece, once, when a bad record asks for its line number."""

    piece: Piece

    @cached_property
    def count(self) -> int:
        if self.piece.start == 0:
            return 0
        left, count = self.piece.start, 0
        with files.open_input(self.piece.path) as file:
            while left and (part := file.read(min(left, _STEP))):
                count += part.count(b"\n")
                left -= len(part)
        # A line that runs into the piece ends inside it, before the first line of the piece.
        return count + (not self._starts_a_line())

    def _starts_a_line(self) -> bool:
        at = self.piece.start
        return files.read_bytes(self.piece.path, at - 1, at) == b"\n"

    def plus(self, newlines: int) -> Callable[[], int]:
        return lambda: self.count + newlines


def chunks_of(
    piece: Piece, size: ChunkSize, parse: Callable[[Block], Iterator[Chunk]]
) -> Iterator[Chunk]:
    """Yield the chunks of each block, and a bad record where the file cannot be read on."""
    try:
        for block in blocks(piece, size):
            yield from [gap_chunk(piece, block)] if block.gap else parse(block)
    except Unreadable as error:
        yield rest_lost(piece, error.position, f"byte {error.position}", str(error))


def gap_chunk(piece: Piece, block: Block) -> Chunk:
    """Return the chunk of a block that stands for something that could not be read."""
    return lost_at(piece, block.offset, block.where(block.offset), block.gap or "")


def invalid_utf8(line: bytes) -> str | None:
    """Say where a line is not UTF-8; None if it is."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        value = line[error.start]
        return f"invalid UTF-8: byte 0x{value:02x} at byte {error.start} of the record"
    return None
