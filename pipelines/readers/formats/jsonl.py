"""JSON lines: one record per line."""

import difflib
import json
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any, ClassVar, Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.listings import File
from pipelines.readers import compression
from pipelines.readers.line_blocks import Block, chunks_of, invalid_utf8
from pipelines.readers.reader import CHUNK_SIZE, Chunk, ChunkSize, Piece
from pipelines.readers.records import bad_records, place_ids, with_keys
from pipelines.readers.source import Source, check_reserved, check_types
from pipelines.readers.strangers import nested_field
from pipelines.rows import keys
from pipelines.rows.facts import MIXED, UNTYPED, Facts
from pipelines.rows.schema import column_of

_ROUNDED = 1 << 63
"""Integers of this size and above are read as doubles by orjson."""
_LONG = re.compile(rb"[0-9]{19}")
DEEPEST = 60
"""Lists and objects within each other that a record may have; Arrow files take little more."""


class Jsonl(Source):
    """JSON lines, plain or compressed (.gz, .zst, .bz2, .xz): one JSON object a line.

    Blank lines are no records. Values keep their JSON type: nothing is taken for a date; a column
    whose values have no common type becomes a string (JSON text where a value was not one).
    """

    unit: ClassVar[str] = "byte"
    suffixes: ClassVar[tuple[str, ...]] = compression.with_compressed(".jsonl", ".ndjson", ".json")

    format: Literal["jsonl"] = "jsonl"
    """JSON lines."""

    def splittable(self, file: File) -> bool:
        """Tell whether the file is plain: lines can be found from any byte."""
        return compression.compression_of(file.path) is None

    def expanded(self, file: File) -> int:
        """Return about how many bytes the file holds once decompressed."""
        return file.size * (1 if self.splittable(file) else compression.RATIO)

    def piece_at(self, whole: Piece, position: int) -> Piece:
        """Return the piece that holds the line at byte `position` and no other."""
        if compression.compression_of(whole.path) is not None:
            return whole
        return Piece(whole.file, whole.path, whole.name, position, position + 1)

    def read(
        self, piece: Piece, *, required: Sequence[str] = (), size: ChunkSize = CHUNK_SIZE
    ) -> Iterator[Chunk]:
        """Yield the records of the lines that start in the piece."""

        def parse(block: Block) -> Iterator[Chunk]:
            for start in range(0, len(block.lines), size.rows):
                yield self._chunk(piece, block, start, start + size.rows, required)

        return chunks_of(piece, size, parse)

    def _chunk(
        self, piece: Piece, block: Block, start: int, stop: int, required: Sequence[str]
    ) -> Chunk:
        lines, offsets = block.lines[start:stop], block.offsets[start:stop]
        index, records, errors = parse_lines(lines)
        if len(index) < len(lines):
            offsets = offsets[np.asarray(index, dtype=np.int64)]
        for role in required:
            _note_unusable(role, getattr(self, role) or role, records, errors)
        bad = bad_records(piece, offsets, errors, lambda i: block.where(int(offsets[i])))
        if errors:  # before any column is made: a bad record has no say in its type
            good = [i for i in range(len(records)) if i not in errors]
            offsets, records = offsets[good], [records[i] for i in good]
        table, facts = self._table(records, piece, required)
        if any(_may_be_rounded(table[name], name in facts) for name in table.column_names):
            mine = [lines[i] for i in index]
            mine = mine if not errors else [mine[i] for i in good]
            records = [_exactly(*one) for one in zip(mine, records, strict=True)]
            table, facts = self._table(records, piece, required)
        at, places = keys.pack(piece.file, offsets), place_ids(piece.name, offsets)
        return Chunk(with_keys(table, at, places, self.present(table.column_names).id, facts), bad)

    def _table(
        self, records: list[dict[str, Any]], piece: Piece, required: Sequence[str]
    ) -> tuple[pa.Table, Facts]:
        names = list(dict.fromkeys(chain.from_iterable(records)))
        check_reserved(names, self.id, piece.name)
        found = [column_of([record.get(name) for record in records]) for name in names]
        arrays = [array for array, _ in found]
        table = pa.table(arrays, names=names) if names else _no_columns(len(records))
        check_types(table.schema, self.present(names), required, piece.name)
        mixed = [name for name, (_, is_mixed) in zip(names, found, strict=True) if is_mixed]
        return table, {"": frozenset({UNTYPED}), **dict.fromkeys(mixed, frozenset({MIXED}))}


def _note_unusable(
    role: str, name: str, records: list[dict[str, Any]], errors: dict[int, str]
) -> None:
    """Note the records without a usable value for a role; a text must be a string."""
    kinds = set(map(type, [record.get(name) for record in records]))
    if type(None) not in kinds and (role != "text" or kinds <= {str}):
        return
    for i, record in enumerate(records):
        value = record.get(name)
        if i in errors:
            continue
        if name not in record:
            errors[i] = _missing(role, name, list(record))
        elif value is None:
            errors[i] = f"{role} {name!r} is null"
        elif role == "text" and type(value) is not str:
            shown = orjson.dumps(value)[:60].decode(errors="replace")
            errors[i] = f"text {name!r} is no string but {_kind(value)}: {shown}"


def _missing(role: str, name: str, have: list[str]) -> str:
    if said := nested_field(role, name, have):
        return said
    close = difflib.get_close_matches(name, have, n=1)
    meant = f"; did you mean `read: {{{role}: {close[0]}}}`?" if close else ""
    return f"no {role} {name!r}; the record has: {', '.join(have[:12]) or 'nothing'}{meant}"


def _may_be_rounded(column: pa.ChunkedArray | pa.Array, mixed: bool = False) -> bool:
    """Tell whether a column may hold an integer that orjson read as the nearest double.

    In a `mixed` one, which is text, such a number would have an exponent.
    """
    kind = column.type
    if pa.types.is_floating(kind):
        largest = pc.max(pc.abs(column)).as_py()
        return largest is not None and largest >= _ROUNDED
    if pa.types.is_string(kind):
        return mixed and bool(pc.any(pc.match_substring(column, "e+")).as_py())
    if pa.types.is_struct(kind):
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        return any(_may_be_rounded(part) for chunk in chunks for part in chunk.flatten())
    return pa.types.is_list(kind) and _may_be_rounded(pc.list_flatten(column))


def _exactly(line: bytes, record: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a line with its long integers as they stand there."""
    return dict(json.loads(line)) if _LONG.search(line) else record


def _no_columns(rows: int) -> pa.Table:
    """Return a table of `rows` rows without a column."""
    return pa.table({"": pa.nulls(rows)}).select([])


def parse_lines(lines: list[bytes]) -> tuple[list[int], list[dict[str, Any]], dict[int, str]]:
    """Parse the lines that are not blank.

    Returns:
        Indices of those lines, their objects (empty where a line is bad), and what is wrong with
        the bad ones, by index into the objects.
    """
    index = [i for i, line in enumerate(lines) if line and not line.isspace()]
    errors: dict[int, str] = {}
    try:
        records = [orjson.loads(lines[i]) for i in index]
    except orjson.JSONDecodeError:
        records = []
        for i in index:
            try:
                records.append(orjson.loads(lines[i]))
            except orjson.JSONDecodeError as error:
                errors[len(records)] = _broken_json(lines[i], error)
                records.append({})
    for i, record in enumerate(records):
        line = lines[index[i]]
        if type(record) is not dict:
            errors[i] = f"{_kind(record)}, not an object: {line[:60]!r}"
            records[i] = {}
        elif line.count(b"[") + line.count(b"{") > DEEPEST and (depth := _depth(record)) > DEEPEST:
            errors[i] = f"nested {depth} levels deep; at most {DEEPEST} can be stored"
            records[i] = {}
    return index, records, errors


def _depth(value: Any) -> int:
    """Return how many lists and objects lie within each other."""
    depth, level = 0, [value]
    while level := [one for one in level if type(one) in (list, dict)]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if type(one) is dict else one)]
    return depth


def _broken_json(line: bytes, error: orjson.JSONDecodeError) -> str:
    return invalid_utf8(line) or f"broken JSON at character {error.pos} of the line: {error.msg}"


def _kind(value: Any) -> str:
    names = {
        dict: "an object",
        list: "a list",
        str: "a string",
        bool: "a boolean",
        type(None): "null",
    }
    return "null" if value is None else names.get(type(value), "a number")
