"""Working shards: where the rows of one read task lie on disk between segments.

A segment is a run of row steps that ends in a corpus step or in the output. Shard `n` keeps, under
`<work>/shards/<n>/`, for each segment its rows (one part per schema), the keys still alive where
rows were only filtered, its ledger records, and `<segment>.json`, which names those files and is
written last: a segment that has it is done and is not computed again. The name of a segment holds a
digest of all that its rows depend on, so that runs may share a work folder. No two attempts share a
file, so one that was given up but still writes does no harm.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from pydantic import TypeAdapter

from pipelines import files
from pipelines.ledger.entries import LEDGER_SCHEMA, Tally
from pipelines.maths.arrays import Keys
from pipelines.rows import KEY, Columns, Rows
from pipelines.rows.profile import ProfileCounts


@dataclass
class State:
    """What is known of a shard at the end of a segment."""

    columns: Columns
    schemas: list[str] = field(default_factory=list)
    """Schemas of the batches that entered the first segment, as `write_schema` returns them."""
    missing: list[str] = field(default_factory=list)
    """Columns that steps name and no batch had, in the first segment."""
    changed: list[str] = field(default_factory=list)
    """Columns that steps added, removed or gave another type, in this segment."""
    parts: list[str] = field(default_factory=list)
    alive: str | None = None
    """File of the keys of the rows that are left, None where it is all rows of `parts`."""
    rows: int = 0
    signed: str | None = None
    """File of the signatures for the corpus step that follows, where they are kept."""
    stored: list[str] = field(default_factory=list)
    """Files of the keys that the corpus step that follows stores for later runs, each with the
    `_key` of its row."""
    stored_rows: int = 0
    forgotten: str | None = None
    """File of the `_key` of rows whose stored keys the corpus step before withdrew."""
    forgotten_rows: int = 0
    sizes: list[str] = field(default_factory=list)
    """Files of the key, split and bytes of each row; in the last segment."""
    ledger: list[str] = field(default_factory=list)
    """Files of ledger records, those of earlier segments among them."""
    records: int = 0
    """Rows of those files."""
    tallies: list[Tally] = field(default_factory=list)
    before: ProfileCounts = field(default_factory=ProfileCounts)
    """Of the rows that entered the first segment."""
    after: ProfileCounts = field(default_factory=ProfileCounts)
    """Of the rows that left the last."""


_STATE = TypeAdapter(State)


def path_of(work: str, number: int, name: str) -> str:
    """Return the path of a file of shard `number`."""
    return f"{work}/shards/{number:09d}/{name}"


def save_state(work: str, number: int, segment: str, state: State) -> None:
    """Write the state that marks a segment as done."""
    data = _STATE.dump_json(state)
    files.write_bytes_atomically(path_of(work, number, f"{segment}.json"), data)


def load_state(work: str, number: int, segment: str) -> State | None:
    """Return the state of a shard at the end of a segment, None where that is not done."""
    path = path_of(work, number, f"{segment}.json")
    if not files.exists(path):
        return None
    return _STATE.validate_json(files.read_bytes(path))


def done_state(work: str, number: int, segment: str) -> State:
    """Return the state of a shard at the end of a segment that must be done."""
    state = load_state(work, number, segment)
    if state is None:
        raise FileNotFoundError(f"working shard {number} has no segment {segment}: {work}")
    return state


def open_rows(work: str, number: int, segment: str, keys: Keys | None = None) -> Iterator[Rows]:
    """Yield the rows of a shard at the end of a segment in key order; only `keys` if given."""
    state = done_state(work, number, segment)
    if state.alive is not None:
        alive = read_table(state.alive)[KEY].to_numpy()
        keys = alive if keys is None else np.intersect1d(keys, alive, assume_unique=True)
    for table in read_parts(state.parts):
        rows = Rows(table, state.columns)
        if keys is not None:
            rows = rows.filter(member(rows.keys, keys))
        if len(rows):
            yield rows


def write_schema(schema: pa.Schema) -> str:
    """Return a schema as text."""
    return base64.b64encode(schema.serialize().to_pybytes()).decode()


def read_schema(text: str) -> pa.Schema:
    """Return the schema that `write_schema` wrote."""
    return pa.ipc.read_schema(pa.py_buffer(base64.b64decode(text)))


def member(keys: Keys, wanted: Keys) -> np.ndarray:
    """Return which of `keys` are in the ascending array `wanted`."""
    if not len(wanted):
        return np.zeros(len(keys), dtype=np.bool_)
    at = np.minimum(np.searchsorted(wanted, keys), len(wanted) - 1)
    return np.asarray(wanted[at] == keys)


def read_parts(parts: list[str]) -> Iterator[pa.Table]:
    """Yield the batches of working files as tables."""
    for part in parts:
        with files.open_arrow(part) as source:
            reader = pa.ipc.open_file(source)
            for i in range(reader.num_record_batches):
                yield pa.Table.from_batches([reader.get_batch(i)])


def part_schema(path: str) -> pa.Schema:
    """Return the schema of a working file."""
    with files.open_arrow(path) as source:
        return pa.ipc.open_file(source).schema


def read_table(path: str) -> pa.Table:
    """Return a whole Arrow file as a table."""
    with files.open_arrow(path) as source:
        return pa.ipc.open_file(source).read_all()


def write_table(path: str, table: pa.Table) -> str:
    """Write one table as an Arrow file; returns its path."""
    with files.open_output(path) as sink, pa.ipc.new_file(sink, table.schema) as out:
        out.write_table(table)
    return path


class PartsWriter:
    """Writes the rows of a segment as they come: a new part whenever the schema changes."""

    def __init__(self, prefix: str) -> None:
        self.parts: list[str] = []
        self._prefix = prefix
        self._schema: pa.Schema | None = None
        self._open = ExitStack()
        self._out: Any = None

    def __enter__(self) -> PartsWriter:
        return self

    def __exit__(self, *error: object) -> None:
        """Finish the part that is open."""
        self._open.close()

    def write(self, table: pa.Table) -> None:
        """Append rows."""
        if not len(table):
            return
        if self._schema is None or not table.schema.equals(self._schema, check_metadata=True):
            self._open.close()
            path = f"{self._prefix}-{len(self.parts)}.arrow"
            sink = self._open.enter_context(files.open_output(path))
            self._out = self._open.enter_context(pa.ipc.new_file(sink, table.schema))
            self._schema = table.schema
            self.parts.append(path)
        self._out.write_table(table.combine_chunks())


def read_ledger(paths: list[str]) -> pa.Table:
    """Return the ledger records of some files as one table in key order."""
    tables = [read_table(path) for path in paths]
    return pa.concat_tables([LEDGER_SCHEMA.empty_table(), *tables]).sort_by("key")
