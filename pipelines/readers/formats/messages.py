"""Headers of the messages in an Arrow file: what is known of a record batch before it is read.

A header is a flatbuffer, whose layout is that of Message.fbs in the Arrow format; what an Arrow
file has at its end, that of File.fbs.
"""

import mmap
import struct
import tempfile
from dataclasses import dataclass

import pyarrow as pa

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
"""Kinds of messages that a stream has."""
MAGIC = b"ARROW1"
STREAM_STARTS = 8
"""Byte of an Arrow file at which a stream starts."""
_NEW = 0xFFFFFFFF
"""Stands before the length of a header since Arrow 0.15."""
_LARGEST_HEADER = 1 << 28
_WINDOW = 1 << 10
"""Bytes that are read for a header; few are longer."""
_IN_MEMORY = 1 << 28
"""Bytes of a body that are held in memory; a larger one lies in a file of ours."""
_STEP = 1 << 20


@dataclass(frozen=True)
class Message:
    """What the header of a message says."""

    kind: int
    start: int
    """Byte of the file that it starts at."""
    stop: int
    """Byte after its body."""
    rows: int = 0
    """Rows of a record batch."""
    unpacked: int = 0
    """Bytes that its compressed buffers say they unpack to."""


def message_at(file: pa.NativeFile, at: int) -> Message | None:
    """Return the message that starts at a byte of the file, None where the stream ends.

    Raises:
        ArrowInvalid: there is no message, or its header is damaged.
    """
    file.seek(at)
    head = file.read(_WINDOW)
    if len(head) < 4:
        if at < file.size():  # as it was when it was opened
            raise pa.ArrowInvalid(f"the file ends before byte {at + 4:,}")
        return None
    marker, length = struct.unpack_from("<Ii", head.ljust(8, b"\0"))
    start = at + 8 if marker == _NEW else at + 4
    length = length if marker == _NEW else marker
    if length == 0:
        return None
    if not 0 < length <= _LARGEST_HEADER:
        raise pa.ArrowInvalid(f"no header of a message at byte {at:,}")
    data = head[start - at : start - at + length]
    if len(data) < length:
        file.seek(start)
        data = file.read(length)
    try:
        return _message(file, data, at, start + length)
    except struct.error as error:
        raise pa.ArrowInvalid(f"the header at byte {at:,} is damaged: {error}") from error


def _message(file: pa.NativeFile, data: bytes, at: int, body: int) -> Message:
    root = _offset(data, 0)
    (kind,) = _values(data, root, 1, "<B") or (0,)
    (length,) = _values(data, root, 3, "<q") or (0,)
    header = _table(data, root, 2)
    if kind not in (SCHEMA, DICTIONARY, BATCH) or header is None or length < 0:
        raise pa.ArrowInvalid(f"no message of a stream at byte {at:,}")
    batch = {BATCH: header, DICTIONARY: _table(data, header, 1)}.get(kind)
    if batch is None:
        return Message(kind, at, body + length)
    (rows,) = _values(data, batch, 0, "<q") or (0,)
    return Message(kind, at, body + length, rows, _unpacked(file, data, batch, body))


def _unpacked(file: pa.NativeFile, data: bytes, batch: int, body: int) -> int:
    """Return how many bytes the buffers of a compressed record batch hold once unpacked."""
    buffers = _table(data, batch, 2)
    if buffers is None or _table(data, batch, 3) is None:
        return 0
    total = 0
    for i in range(min(_offset(data, buffers), len(data) // 16)):
        offset, length = struct.unpack_from("<qq", data, buffers + 4 + 16 * i)
        if length >= 8 and offset >= 0:
            file.seek(body + offset)
            (size,) = struct.unpack("<q", file.read(8).ljust(8, b"\0"))
            total += length if size < 0 else size
    return total


def batches_told(file: pa.NativeFile) -> int:
    """Return how many record batches an Arrow file has, as told at its end.

    Raises:
        ArrowInvalid: the end of the file is damaged.
    """
    tail = len(MAGIC) + 4
    file.seek(max(0, file.size() - tail))
    (length,) = struct.unpack_from("<i", file.read(tail).ljust(tail, b"\0"))
    if not 0 < length <= file.size() - tail:
        raise pa.ArrowInvalid("the end of the file is damaged")
    file.seek(file.size() - tail - length)
    data = file.read(length)
    try:
        batches = _table(data, _offset(data, 0), 3)
        return 0 if batches is None else _offset(data, batches)
    except struct.error as error:
        raise pa.ArrowInvalid(f"the end of the file is damaged: {error}") from error


class Fed:
    """A stream for Arrow's reader of the messages that are fed to it and of no others."""

    closed = False

    def __init__(self, file: pa.NativeFile, schema: Message) -> None:
        self.file = file
        self._parts = [(schema.start, schema.stop)]

    def feed(self, message: Message) -> None:
        """Let the reader read a message."""
        self._parts.append((message.start, message.stop))

    def forget(self, message: Message) -> None:
        """Drop what was not read of a message, so that the next one is read from its start."""
        self._parts = [part for part in self._parts if part[1] != message.stop]

    def read(self, size: int) -> bytes | memoryview:
        """Return the next bytes."""
        if not self._parts or size <= 0:
            return b""
        start, stop = self._parts.pop(0)
        self.file.seek(start)
        size = min(size, stop - start)
        data = self.file.read(size) if size <= _IN_MEMORY else self._on_disk(size)
        if data and start + len(data) < stop:
            self._parts.insert(0, (start + len(data), stop))
        return data

    def _on_disk(self, size: int) -> memoryview:
        """Return bytes that are many from a copy of ours, which nobody else can cut short."""
        with tempfile.TemporaryFile() as copy:
            while size and (part := self.file.read(min(size, _STEP))):
                copy.write(part)
                size -= len(part)
            copy.flush()
            return memoryview(mmap.mmap(copy.fileno(), 0, access=mmap.ACCESS_READ))

    def close(self) -> None:
        """Leave the file open: it is closed by who opened it."""


def _offset(data: bytes, at: int) -> int:
    (offset,) = struct.unpack_from("<I", data, at)
    return int(offset)


def _place(data: bytes, table: int, number: int) -> int | None:
    """Return where a field of a flatbuffer table stands, None where it is left out."""
    (back,) = struct.unpack_from("<i", data, table)
    if table - back < 0:
        raise struct.error("a table without fields")
    (size,) = struct.unpack_from("<H", data, table - back)
    if 4 + 2 * number >= size:
        return None
    (offset,) = struct.unpack_from("<H", data, table - back + 4 + 2 * number)
    return table + offset if offset else None


def _values(data: bytes, table: int, number: int, form: str) -> tuple[int, ...] | None:
    place = _place(data, table, number)
    return None if place is None else struct.unpack_from(form, data, place)


def _table(data: bytes, table: int, number: int) -> int | None:
    """Return where the table or vector stands that a field points to."""
    place = _place(data, table, number)
    return None if place is None else place + _offset(data, place)
