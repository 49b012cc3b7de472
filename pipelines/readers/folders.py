"""Folders of files that are one table: one row per file, its position the row of the listing."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from pipelines import files
from pipelines.errors import UserError
from pipelines.readers.reader import Bad, Chunk, ChunkSize, Piece
from pipelines.readers.records import with_keys
from pipelines.rows import Columns, keys


class BadFile(UserError):
    """A file that was read but cannot be a row; says why."""


def batches(
    pieces: Sequence[Piece], size: ChunkSize, read: Callable[[Piece], bytes]
) -> Iterator[tuple[list[Piece], list[bytes | None], dict[int, str]]]:
    """Read files in groups of bounded size.

    Yields:
        The pieces of a group, their contents (None where bad), and what is wrong, by index.
    """
    group: list[Piece] = []
    contents: list[bytes | None] = []
    errors: dict[int, str] = {}
    held = 0
    for piece in pieces:
        try:
            data: bytes | None = read(piece)
        except files.TRANSIENT:
            raise
        except BadFile as error:
            data, errors[len(group)] = None, str(error)
        except OSError as error:
            data, errors[len(group)] = None, f"cannot be read: {error.strerror or error}"
        group.append(piece)
        contents.append(data)
        held += len(data or b"")
        if len(group) >= size.rows or held >= size.bytes:
            yield group, contents, errors
            group, contents, errors, held = [], [], {}, 0
    if group:
        yield group, contents, errors


def chunk(table: pa.Table, pieces: list[Piece], columns: Columns, errors: dict[int, str]) -> Chunk:
    """Return the chunk of a group: rows called by the names of their files."""
    at = keys.pack(pieces[0].file, [piece.start for piece in pieces])
    bad = [
        Bad(int(at[i]), pieces[i].name, "the file", error) for i, error in sorted(errors.items())
    ]
    names = pa.array([piece.name for piece in pieces], pa.string())
    if errors:
        keep = np.ones(len(pieces), dtype=bool)
        keep[list(errors)] = False
        table, at, names = table.filter(pa.array(keep)), at[keep], names.filter(pa.array(keep))
    return Chunk(with_keys(table, at, names, columns.id), bad)
