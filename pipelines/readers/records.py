"""Parsed records on their way into a chunk: keys, ids, and what makes a record bad."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.maths.arrays import Int64, Keys
from pipelines.readers.reader import REST_LOST, Bad, Chunk, ChunkSize, Piece
from pipelines.rows import ID, KEY, Columns, keys
from pipelines.rows.facts import Facts, with_facts
from pipelines.rows.texts import texts_of


@dataclass(frozen=True)
class Records:
    """Parsed records of one piece on their way into a chunk."""

    table: pa.Table
    positions: Int64
    """Position of each row in its file."""
    where: Callable[[int], str]
    """Says in words where row i of the table stands; called for bad rows only."""

    def chunk(
        self,
        piece: Piece,
        columns: Columns,
        required: Sequence[str],
        errors: dict[int, str] | None = None,
    ) -> Chunk:
        """Return the usable rows with `_key` and `_id`, the others as bad.

        `errors` says of rows already known to be bad, by index, what is wrong.
        """
        table = self.table
        wrong = {**unusable(table, columns, required), **(errors or {})}
        at = keys.pack(piece.file, self.positions)
        bad = bad_records(piece, self.positions, wrong, self.where)
        positions = self.positions
        if wrong:
            keep = np.ones(table.num_rows, dtype=bool)
            keep[list(wrong)] = False
            table, at, positions = table.filter(pa.array(keep)), at[keep], positions[keep]
        return Chunk(with_keys(table, at, place_ids(piece.name, positions), columns.id), bad)


def bad_records(
    piece: Piece, positions: Int64, errors: dict[int, str], where: Callable[[int], str]
) -> list[Bad]:
    """Return the records that `errors` names by index, in order."""
    at = keys.pack(piece.file, positions)
    return [Bad(int(at[i]), piece.name, where(i), errors[i]) for i in sorted(errors)]


def with_keys(
    table: pa.Table,
    at: Keys,
    places: pa.Array,
    id_column: str | None,
    facts: Facts | None = None,
) -> pa.Table:
    """Return the table with `_key` and `_id` set; a row without an id is called by its place.

    The schema carries the facts of the values, and those of `facts`: see `pipelines.rows.facts`.
    """
    table = with_facts(table, facts)
    names: list[str] = table.column_names
    ids: pa.Array | pa.ChunkedArray = places
    for name in ("id", ID) if id_column == ID else (id_column,):
        if name in names:
            ids = pc.coalesce(texts_of(table[name]), ids)
    if ID in names:
        table = table.drop_columns([ID])
    return table.append_column(KEY, pa.array(at)).append_column(ID, ids)


def place_ids(name: str, positions: Int64) -> pa.Array:
    """Return `<name>#<position>` for each position."""
    return pc.binary_join_element_wise(name, pa.array(positions).cast(pa.string()), "#")


def unusable(table: pa.Table, columns: Columns, required: Sequence[str]) -> dict[int, str]:
    """Return what is wrong with the rows that lack a required value, by row index."""
    wrong: dict[int, str] = {}
    for role in required:
        name = cast("str | None", getattr(columns, role))
        if name is None:
            continue
        column = table[name]
        if role == "image":
            wrong |= _unusable_images(column, name)
        elif column.null_count or pt.is_dictionary(column.type):
            wrong |= dict.fromkeys(_where(column.is_null()), f"{role} {name!r} is null")
    return wrong


def _unusable_images(column: pa.ChunkedArray, name: str) -> dict[int, str]:
    data = pc.struct_field(column, "bytes") if pt.is_struct(column.type) else column
    null = column.is_null().to_numpy() | data.is_null().to_numpy()
    wrong = dict.fromkeys(np.flatnonzero(null).tolist(), f"image {name!r} is null")
    if pt.is_null(data.type):
        return wrong
    wrong |= dict.fromkeys(
        _where(pc.equal(pc.binary_length(data), 0)), f"image {name!r} has zero bytes"
    )
    if pt.is_struct(column.type) and column.type.get_field_index("path") >= 0 and null.any():
        paths = pc.struct_field(column, "path").to_pylist()
        for i in np.flatnonzero(null).tolist():
            if paths[i] is not None:
                wrong[i] = f"image {name!r} has no bytes, only the path {paths[i]!r}: embed it"
    return wrong


def _where(mask: pa.ChunkedArray) -> list[int]:
    return np.flatnonzero(mask.fill_null(False).to_numpy()).tolist()


class Unreadable(Exception):
    """Reading stopped: the records from `position` on are lost."""

    def __init__(self, position: int, error: str) -> None:
        super().__init__(error)
        self.position = position


def lost_at(piece: Piece, position: int, where: str, error: str) -> Chunk:
    """Return a chunk of one record that could not be read."""
    key = int(keys.pack(piece.file, [position])[0])
    return Chunk(_no_rows(), [Bad(key, piece.name, where, error, rest_lost=REST_LOST in error)])


def rest_lost(piece: Piece, position: int, where: str, error: str) -> Chunk:
    """Return a chunk that says only that a file cannot be read from `position` on."""
    return lost_at(piece, position, where, f"{REST_LOST}: {error}")


def rows_lost(piece: Piece, rows: range, error: str, size: ChunkSize) -> Iterator[Chunk]:
    """Yield a bad record for each of the rows of a part of a file that cannot be read."""
    for start in range(0, len(rows), size.rows):
        part = rows[start : start + size.rows]
        at = keys.pack(piece.file, part).tolist()
        bad = [Bad(k, piece.name, f"row {r}", error) for k, r in zip(at, part, strict=True)]
        yield Chunk(_no_rows(), bad)


def _no_rows() -> pa.Table:
    return pa.table({KEY: pa.array([], pa.int64()), ID: pa.array([], pa.string())})
