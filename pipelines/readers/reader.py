"""What a reader gives: batches of rows with position keys, and the records it could not read."""

from dataclasses import dataclass

import pyarrow as pa

REST_LOST = "the rest of the file cannot be read"
"""Stands in the error of a record that speaks for all that follow it in its file."""


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that could not be read: where it stands and why."""

    key: int
    """Position key."""
    file: str
    """Name of the file, relative to the folder that was listed."""
    where: str
    """`line 17, byte 2041` or `row 17`."""
    error: str
    """What is wrong, in words, with what was found."""
    rest_lost: bool = False
    """Whether all records of the file from here on are lost too; nobody can tell how many."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of one file: the records that start at a byte in [start, stop)."""

    file: int
    """Number of the file in the sorted listing; the high bits of its rows' keys."""
    path: str
    """Where to open it: a local path or an fsspec URL."""
    name: str
    """Path relative to the folder that was listed; stands in ids and errors."""
    start: int
    stop: int
    """Byte range; all of the file is (0, size). Folders of files: rows of the listing."""
    split: str | None = None
    """Split of the output that the folder of the file means, None where it means none."""


@dataclass(frozen=True)
class Chunk:
    """Some thousand records: those that could be read, as a table, and those that could not.

    `table` has the user's columns untouched, `_key` (int64, ascending) and `_id` (string).
    """

    table: pa.Table
    bad: list[Bad]

    def __len__(self) -> int:
        """Return the number of records seen, good and bad."""
        return int(self.table.num_rows) + len(self.bad)


@dataclass(frozen=True)
class ChunkSize:
    """Bounds of a chunk; whichever is met first ends it. No result depends on them."""

    rows: int = 8192
    bytes: int = 4 << 20


CHUNK_SIZE = ChunkSize()
"""What suits row steps: enough rows to vectorise, few enough bytes for the caches."""
