"""Write the output files: rows in key order, bytes that depend on the rows alone."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.exchange.shards import (
    done_state,
    open_rows,
    read_ledger,
    read_parts,
    read_schema,
    read_table,
)
from pipelines.ledger.entries import LEDGER_SCHEMA, fates_of
from pipelines.output.layout import KEY_ROWS, LEDGER_ROWS, OutputSchema, assign
from pipelines.rows import Columns, whole

ROWS_A_BATCH = 1000
"""Rows a record batch of the output, as `datasets` writes them."""


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
class Finished:
    """Where the rows of a run lie when all segments are done."""

    work: str
    """Folder of the run, in which the output is made."""
    shelf: str
    """Folder of the working shards: that of the run, or one that runs share."""
    segment: str
    """Name of the last segment."""
    stored: tuple[tuple[str, str], ...] = ()
    """Names of the segments whose corpus steps stored keys, and the output folder of each."""


def write_file(finished: Finished, order: dict[str, Any]) -> dict[str, Any]:
    """Write one output file; returns its name, what is in it and its sha256."""
    name, work = order["file"], finished.work
    temporary = f"{work}/writing/{uuid.uuid4().hex}"
    with files.open_output(temporary) as raw:
        sink = _Hashed(raw)
        write = {"data": _write_data, "ledger": _write_ledger, "keys": _write_keys}[order["kind"]]
        about = write(finished, order, sink)
    folder, _, _ = name.rpartition("/")
    files.make_dirs(f"{work}/out/{folder}")
    files.rename(temporary, f"{work}/out/{name}")
    return {"file": name, **about, "sha256": sink.digest.hexdigest()}


def _write_data(finished: Finished, order: dict[str, Any], sink: _Hashed) -> dict[str, Any]:
    schema = read_schema(order["schema"])
    classes = tuple(order["classes"]) if order["classes"] else None
    output = OutputSchema(schema, Columns(**order["columns"]), classes)
    rows = 0
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), schema) as stream:
        for batch in rebatch(_rows_of_file(finished, order, output)):
            stream.write_batch(batch)
            rows += len(batch)
    return {"rows": rows}


def _rows_of_file(
    finished: Finished, order: dict[str, Any], output: OutputSchema
) -> Iterator[pa.Table]:
    for number, start, _, paths in order["pieces"]:
        sizes = pa.concat_tables([read_table(path) for path in paths])
        keys, file = assign(sizes, order["split"], start, order["room"])
        mine = keys[file == order["index"]]
        for rows in open_rows(finished.shelf, number, finished.segment, mine):
            yield output.conform(rows.table)


def rebatch(tables: Iterable[pa.Table]) -> Iterator[pa.RecordBatch]:
    """Cut a stream of tables into batches of ROWS_A_BATCH rows, wherever its cuts were."""
    waiting: list[pa.Table] = []
    count = 0
    for table in tables:
        waiting.append(table)
        count += len(table)
        if count >= ROWS_A_BATCH:
            merged = pa.concat_tables(waiting)
            full = count // ROWS_A_BATCH * ROWS_A_BATCH
            for start in range(0, full, ROWS_A_BATCH):
                yield _settled(merged.slice(start, ROWS_A_BATCH))
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


def _write_keys(finished: Finished, order: dict[str, Any], sink: _Hashed) -> dict[str, Any]:
    """Write one file of the keys that a dedup step stored."""
    first, last = order["index"] * KEY_ROWS, (order["index"] + 1) * KEY_ROWS
    parts = []
    for number, start, _ in order["pieces"]:
        for table in read_parts(done_state(finished.shelf, number, order["segment"]).stored):
            parts.append(table.slice(max(0, first - start), max(0, last - max(start, first))))
            start += len(table)
    table = pa.concat_tables(parts, promote_options="permissive").combine_chunks()
    pq.write_table(table, pa.PythonFile(sink, "w"), compression="zstd")
    return {"rows": len(table)}


def _write_ledger(finished: Finished, order: dict[str, Any], sink: _Hashed) -> dict[str, Any]:
    """Write one ledger file; a row entered twice is a fault of ours and stops the run."""
    parts = [LEDGER_SCHEMA.empty_table()]
    first, last = order["index"] * LEDGER_ROWS, (order["index"] + 1) * LEDGER_ROWS
    for number, start, _ in order["pieces"]:
        table = read_ledger(done_state(finished.shelf, number, finished.segment).ledger)
        parts.append(table.slice(max(0, first - start), max(0, last - max(start, first))))
    table = pa.concat_tables(parts).combine_chunks()
    keys = table["key"].to_numpy()
    wrong = np.flatnonzero(np.diff(keys) <= 0)
    if wrong.size:
        raise RuntimeError(f"the ledger has two records of row {table['id'][int(wrong[0])]}")
    pq.write_table(table, pa.PythonFile(sink, "w"), compression="zstd")
    return {"rows": len(table), "fates": fates_of(table)}
