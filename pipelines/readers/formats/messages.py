"""Headers of the messages in an Arrow file: what is known of a record batch that is damaged.

An Arrow file holds a stream from its eighth byte on. pyarrow shows the header of each message as
a flatbuffer, whose layout is that of Message.fbs in the Arrow format.
"""

import struct

import pyarrow as pa

_STREAM_STARTS = 8
_HEADER = 2
"""Number of the field `header` in the table Message."""
_LENGTH = 0
"""Number of the field `length` in the table RecordBatch."""


def rows_of_batch(file: pa.NativeFile, number: int) -> int:
    """Return how many rows record batch `number` of an Arrow file has, by its header.

    Raises:
        ArrowInvalid: there is no such batch, or its header is damaged too.
    """
    file.seek(_STREAM_STARTS)
    reader = pa.ipc.MessageReader.open_stream(file)
    seen = 0
    for message in reader:
        if message.type != "record batch":
            continue
        if seen == number:
            return _rows(message.metadata.to_pybytes())
        seen += 1
    raise pa.ArrowInvalid(f"the file has no record batch {number}")


def _rows(message: bytes) -> int:
    try:
        (root,) = struct.unpack_from("<I", message)
        header = _field(message, root, _HEADER)
        (offset,) = struct.unpack_from("<I", message, header)
        (rows,) = struct.unpack_from("<q", message, _field(message, header + offset, _LENGTH))
    except struct.error as error:
        raise pa.ArrowInvalid(f"the header of a record batch is damaged: {error}") from error
    return int(rows)


def _field(data: bytes, table: int, number: int) -> int:
    """Return where a field of a flatbuffer table stands."""
    (back,) = struct.unpack_from("<i", data, table)
    (offset,) = struct.unpack_from("<H", data, table - back + 4 + 2 * number)
    return int(table + offset)
