"""What the place of a file says of its rows: the split of its folder, columns of hive folders."""

from collections.abc import Iterable, Sequence
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import UserError
from pipelines.readers.reader import Chunk, Piece
from pipelines.readers.source import Source
from pipelines.rows import DEFAULT_SPLIT, KEY, SPLIT
from pipelines.rows.facts import OTHER_SPLIT, with_facts
from pipelines.rows.keys import file_of, position_of
from pipelines.rows.merging import is_text

SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "valid", "val", "dev"), "validation"),
    **dict.fromkeys(("test", "testing", "eval", "evaluation"), "test"),
}
"""Names by which a folder, or a value of the column `split`, means a split of the output."""
SPLIT_COLUMN = "split"
_NULL = "__HIVE_DEFAULT_PARTITION__"


def split_folders(names: Iterable[str]) -> dict[str, str]:
    """Return the split of each first folder, where all files lie in folders of splits.

    Else folders called `train` and `test` may be two classes of many, and there is no split.
    """
    firsts = {name.split("/")[0] if "/" in name else "" for name in names}
    known = {first: SPLITS.get(first.lower(), "") for first in firsts}
    return known if all(known.values()) else {}


def hive_columns(name: str) -> dict[str, str | None]:
    """Return the columns that folders called `column=value` give the rows of a file."""
    pairs = (folder.split("=", 1) for folder in name.split("/")[:-1] if "=" in folder[1:])
    return {unquote(key): None if value == _NULL else unquote(value) for key, value in pairs}


def without_placed_roles(
    read: Source, pieces: Sequence[Piece], required: Sequence[str]
) -> tuple[Source, Sequence[str]]:
    """Return a reader, and what it requires, that leave out the roles that folders fill."""
    if not any("=" in piece.name for piece in pieces):
        return read, required
    given = set.intersection(*(set(hive_columns(piece.name)) for piece in pieces))
    filled = [role for role in ("text", "label", "id") if (getattr(read, role) or role) in given]
    if not filled:
        return read, required
    return (
        read.model_copy(update=dict.fromkeys(filled, None)),
        [role for role in required if role not in filled],
    )


def placed(chunk: Chunk, read: Source, pieces: Sequence[Piece]) -> Chunk:
    """Return a chunk of some pieces with the columns that their places give, and `_split`."""
    table, names = chunk.table, chunk.table.column_names
    if SPLIT in names:  # it decides which files rows go into
        raise UserError(
            f"the input has a column {SPLIT!r}, which curate keeps for itself: rename it"
        )
    keys = table[KEY].to_numpy()
    at = position_of(keys) if read.one_row_per_file else file_of(keys)
    given = {piece.start if read.one_row_per_file else piece.file: piece for piece in pieces}
    numbers, place = np.unique(at, return_inverse=True)
    mine = [given[number] for number in numbers.tolist()]
    found = [hive_columns(piece.name) for piece in mine]
    for name in dict.fromkeys(name for columns in found for name in columns):
        if name not in names:
            values = pa.array([columns.get(name) for columns in found], pa.string())
            table = table.append_column(name, values.take(pa.array(place)))
    if any(piece.split for piece in mine):
        splits = pa.array([piece.split or DEFAULT_SPLIT for piece in mine], pa.string())
        table = table.append_column(SPLIT, splits.take(pa.array(place)))
    elif read.splits == "auto" and SPLIT_COLUMN in names:
        table = _by_column(table)
    return Chunk(table, chunk.bad)


def _by_column(table: pa.Table) -> pa.Table:
    """Return rows with the split that the column `split` names; the others are for training."""
    values = table[SPLIT_COLUMN]
    if not is_text(values.type):
        return table
    values = values.cast(pa.string())
    place = pc.index_in(pc.utf8_lower(values), pa.array(list(SPLITS), pa.string()))
    if place.null_count == len(place):
        return table
    splits = pa.array(list(SPLITS.values()), pa.string()).take(place)
    if pc.any(pc.and_(splits.is_null(), values.is_valid())).as_py():
        table = with_facts(table, {SPLIT_COLUMN: frozenset({OTHER_SPLIT})})
    return table.append_column(SPLIT, pc.fill_null(splits, DEFAULT_SPLIT))
