"""Write the output files: rows in key order, bytes that depend on the rows alone."""

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.exchange.shards import (
    done_state,
    member,
    open_rows,
    read_ledger,
    read_parts,
    read_schema,
    read_table,
)
from pipelines.ledger.entries import LEDGER_SCHEMA, fates_of
from pipelines.output.formats import FORMATS
from pipelines.output.layout import KEY_ROWS, LEDGER_ROWS, OutputSchema, assign
from pipelines.output.orders import DataOrder, KeysOrder, LedgerOrder, Order
from pipelines.output.written import WrittenFile
from pipelines.rows import KEY, whole

ROWS_PER_BATCH = 1000
"""Rows per record batch of the output, as `datasets` writes them."""


class _Hashed:
    """A writable file that hashes what passes through."""

    def __init__(self, sink: Any) -> None:
        self.sink, self.digest, self.closed = sink, hashlib.sha256(), False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        self.sink.write(data)
        return len(data)

    def flush(self) -> None:
        """Leave flushing to the file."""


@dataclass(frozen=True)
class StoredBy:
    """Where the keys lie that one step stored."""

    segment: str
    """Name of the segment before the step."""
    after: str
    """Name of the segment after the step, which knows whose keys the step withdrew."""
    folder: str
    """Folder of the output that gets them."""


@dataclass(frozen=True)
class Finished:
    """Where the rows of a run lie when all segments are done."""

    work: str
    """Folder of the run, in which the output is made."""
    shelf: str
    """Folder of the working shards: that of the run, or one that runs share."""
    segment: str
    """Name of the last segment."""
    stored: tuple["StoredBy", ...] = ()
    """The steps that stored keys."""


def write_file(finished: Finished, order: Order) -> WrittenFile:
    """Write one output file; returns its name, what is in it and its sha256."""
    work = finished.work
    folder, _, _ = order.file.rpartition("/")
    place = f"{work}/out/{order.file}"
    at_once = files.is_object_store(work)  # an object is there when it is whole, and not before
    temporary = place if at_once else f"{work}/writing/{uuid.uuid4().hex}"
    with files.open_output(temporary) as raw:
        sink = _Hashed(raw)
        if isinstance(order, DataOrder):
            rows, fates = _write_data(finished, order, sink), None
        elif isinstance(order, LedgerOrder):
            rows, fates = _write_ledger(finished, order, sink)
        else:
            rows, fates = _write_keys(finished, order, sink), None
    if not at_once:
        files.make_dirs(f"{work}/out/{folder}")
        files.rename(temporary, place)
    return WrittenFile(file=order.file, rows=rows, sha256=sink.digest.hexdigest(), fates=fates)


def _write_data(finished: Finished, order: DataOrder, sink: _Hashed) -> int:
    output = OutputSchema(read_schema(order.schema), order.columns, order.classes)
    batches = rebatch(_rows_of_file(finished, order, output))
    return FORMATS[order.format](format=order.format).write(
        batches, output.schema, cast("BinaryIO", sink)
    )


def _rows_of_file(finished: Finished, order: DataOrder, output: OutputSchema) -> Iterator[pa.Table]:
    for part in order.parts:
        sizes = pa.concat_tables([read_table(path) for path in part.sizes])
        keys, file = assign(sizes, order.split, part.start, order.room)
        mine = keys[file == order.index]
        for rows in open_rows(finished.shelf, part.shard, finished.segment, mine):
            yield output.conform(rows.table)


def rebatch(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Cut a stream of tables into batches of ROWS_PER_BATCH rows, wherever its cuts were."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        if count >= ROWS_PER_BATCH:
            merged = pa.concat_tables(waiting)
            full = count // ROWS_PER_BATCH * ROWS_PER_BATCH
            for start in range(0, full, ROWS_PER_BATCH):
                yield _settled(merged.slice(start, ROWS_PER_BATCH))
            waiting, count = [merged.slice(full)], count - full
    if count:
        yield _settled(pa.concat_tables(waiting))


def _settled(table: pa.Table) -> pa.RecordBatch:
    """Return rows as one batch whose bytes are those of the values, not of their history."""
    arrays = [_without_residue(whole(column)) for column in table.columns]
    return pa.record_batch(arrays, schema=table.schema)


def _without_residue(values: pa.Array) -> pa.Array:
    """Copy values, so that what lies under nulls and beyond the end is zeros."""
    if not pa.types.is_struct(values.type):
        return values.take(pa.array(np.arange(len(values))))
    children = [_without_residue(child) for child in values.flatten()]
    nulls = values.is_null()
    return pa.StructArray.from_arrays(children, fields=list(values.type), mask=nulls)


def _write_keys(finished: Finished, order: KeysOrder, sink: _Hashed) -> int:
    """Write one file of the keys that a dedup step stored."""
    first, last = order.index * KEY_ROWS, (order.index + 1) * KEY_ROWS
    parts = []
    for part in order.parts:
        start = part.start
        for table in _stored_keys(finished.shelf, part.shard, order):
            parts.append(_between(table, start, first, last))
            start += len(table)
    table = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    pq.write_table(table, pa.PythonFile(sink, "w"), compression="zstd")
    return len(table)


def _stored_keys(shelf: str, shard: int, order: KeysOrder) -> Iterator[pa.Table]:
    """Yield what a step stored of a shard, but for the rows that it withdrew."""
    withdrawn = done_state(shelf, shard, order.after).forgotten
    gone = None if withdrawn is None else np.sort(read_table(withdrawn)[KEY].to_numpy())
    for table in read_parts(done_state(shelf, shard, order.segment).stored):
        if gone is not None:
            table = table.filter(pa.array(~member(table[KEY].to_numpy(), gone)))
        yield table.drop_columns([KEY])


def _write_ledger(
    finished: Finished, order: LedgerOrder, sink: _Hashed
) -> tuple[int, dict[str, int]]:
    """Write one ledger file; a row entered twice is a fault of ours and stops the run."""
    parts = [LEDGER_SCHEMA.empty_table()]
    first, last = order.index * LEDGER_ROWS, (order.index + 1) * LEDGER_ROWS
    for part in order.parts:
        table = read_ledger(done_state(finished.shelf, part.shard, finished.segment).ledger)
        parts.append(_between(table, part.start, first, last))
    table = pa.concat_tables(parts).combine_chunks()
    keys = table["key"].to_numpy()
    wrong = np.flatnonzero(np.diff(keys) <= 0)
    if wrong.size:
        raise RuntimeError(f"the ledger has two records of row {table['id'][int(wrong[0])]}")
    pq.write_table(table, pa.PythonFile(sink, "w"), compression="zstd")
    return len(table), fates_of(table)


def _between(table: pa.Table, start: int, first: int, last: int) -> pa.Table:
    """Return the rows of a table that are number `first` to `last`; its first is number `start`."""
    return table.slice(max(0, first - start), max(0, last - max(start, first)))
