"""Lines of a file by byte range: a piece owns the lines that start in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from pipelines import files
from pipelines.maths.arrays import Int64
from pipelines.readers import compression
from pipelines.readers.reader import Chunk, ChunkSize, Piece
from pipelines.readers.records import Unreadable, rest_lost

_STEP = 1 << 20
_FOREVER = 1 << 62
_BOM = b"\xef\xbb\xbf"


@dataclass
class Block:
    """Consecutive whole lines of a file."""

    data: bytes
    """With the newlines; the last line of a file may lack one."""
    offset: int
    """Byte of the file, uncompressed, the first line starts at."""
    _newlines_before: Callable[[], int] = field(repr=False)

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

    Raises:
        Unreadable: the file cannot be read on; all whole lines before were yielded.
    """
    kind = compression.compression_of(piece.path)
    stop = piece.stop if kind is None else _FOREVER
    # One byte early: a line starts in the piece if a newline, or nothing, stands before it.
    offset, skip = (piece.start - 1, True) if piece.start else (0, False)
    newlines, before = 0, _Newlines(piece)
    rest: list[bytes] = []
    held = 0
    parts = _parts(piece, kind, offset, min(_STEP, size.bytes))
    failed: OSError | None = None
    while offset < stop:
        part, failed = _next(parts)
        if part is None and failed is None and kind is None and offset + held < stop:
            failed = OSError(f"the file ends here; it had {stop:,} bytes when it was listed")
        if failed is not None and piece.start and isinstance(failed, _MISSING):
            return  # the piece at the start of the file says so
        if skip and part is not None:
            cut = part.find(b"\n") + 1
            offset += cut or len(part)
            part, skip = part[cut:], not cut
            if offset >= stop:
                return
            if skip:
                continue
        if part:
            rest.append(part)
            held += len(part)
        enough = held >= size.bytes or offset + held >= stop
        if part is not None and not (enough and b"\n" in part):
            continue
        data = b"".join(rest)
        end = len(data) if part is None and failed is None else data.rfind(b"\n") + 1
        if offset + end >= stop:
            end = min(end, data.find(b"\n", stop - 1 - offset) + 1 or end)
        rest = [data[end:]]
        held = len(data) - end
        if end:
            block = Block(data[:end], offset, before.plus(newlines))
            yield block
            offset += end
            newlines += block.data.count(b"\n")
        if part is None:
            break
    if failed is not None and offset < stop:
        raise Unreadable(max(offset, piece.start), _in_words(failed)) from failed


_MISSING = (FileNotFoundError, PermissionError)


def _next(parts: Iterator[bytes]) -> tuple[bytes | None, OSError | None]:
    """Return the next part, or None and, where reading failed, why."""
    try:
        return next(parts, None), None
    except files.TRANSIENT:
        raise
    except OSError as error:
        return None, error


def _parts(piece: Piece, kind: str | None, start: int, step: int) -> Iterator[bytes]:
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
            yield from parse(block)
    except Unreadable as error:
        yield rest_lost(piece, error.position, f"byte {error.position}", str(error))


def invalid_utf8(line: bytes) -> str | None:
    """Say where a line is not UTF-8; None if it is."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        value = line[error.start]
        return f"invalid UTF-8: byte 0x{value:02x} at byte {error.start} of the record"
    return None
