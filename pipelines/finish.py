"""The last rounds of a run: plan the output files, write them, collect what was written."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.keys import Keys
from pipelines.layout import LEDGER_ROWS, OutputSchema, assign, plan_schema
from pipelines.ledger import LEDGER_SCHEMA, Tally
from pipelines.mail import NOTE, PLAN, Mail, Message, Round, message
from pipelines.profile import Profile
from pipelines.rows import Columns
from pipelines.shard import State, load_state, open_rows, path_of, read_ledger, read_table

END = "end"
"""Address where the names of all files written meet."""

ROWS_A_BATCH = 1000
"""Rows a record batch of the output, as `datasets` writes them."""


def report_shard(work: str, number: int, segment: int, state: State) -> Message:
    """Tell the planner what one finished shard holds."""
    sizes = read_table(path_of(work, number, f"s{segment}.sizes.arrow")) if state.rows else None
    splits: dict[str, list[int]] = {}
    if sizes is not None:
        totals = sizes.group_by("split").aggregate([("bytes", "sum"), ("bytes", "count")])
        for row in totals.to_pylist():
            splits[row["split"]] = [row["bytes_sum"], row["bytes_count"]]
    schemas = []
    for part in state.parts:
        with files.open_arrow(part) as source:
            schemas.append(pa.ipc.open_file(source).schema.serialize().to_pybytes())
    summary = {
        "number": number,
        "splits": splits,
        "ledger": len(read_ledger(state.ledger)),
        "schemas": [base64.b64encode(s).decode() for s in schemas],
        "columns": vars(state.columns),
    }
    return message(PLAN, "shard", _json_table(summary))


def finish_rounds(work: str, segments: int, shard_bytes: int) -> tuple[Round, ...]:
    """Return the rounds plan → write → end of a recipe with that many segments."""

    def plan(address: str, mail: Mail) -> Iterator[Message]:
        return plan_output(work, segments, mail, shard_bytes)

    def write(address: str, mail: Mail) -> Iterator[Message]:
        for order in _json_rows(mail["order"]):
            yield message(END, "written", _json_table(_write(work, segments - 1, order)))

    def end(address: str, mail: Mail) -> Iterator[Message]:
        written = sorted(_json_rows(mail["written"]), key=lambda w: str(w["file"]))
        files.write_bytes_atomically(f"{work}/written.json", json.dumps(written).encode())
        return iter(())

    return (
        Round(("shard", NOTE), plan),
        Round(("order",), write),
        Round(("written", "nothing"), end),
    )


def plan_output(work: str, segments: int, mail: Mail, shard_bytes: int) -> Iterator[Message]:
    """Lay out all shards' rows in files and order each file to be written."""
    shards = sorted(_json_rows(mail["shard"]), key=lambda s: int(s["number"]))
    tallies, before, after = _add_up(work, segments, [s["number"] for s in shards])
    schemas = [
        pa.ipc.read_schema(pa.py_buffer(base64.b64decode(raw)))
        for shard in shards
        for raw in shard["schemas"]
    ]
    columns = next((s["columns"] for s in shards if s["schemas"]), shards[0]["columns"])
    output = plan_schema(schemas, Columns(**columns), after.labels)
    notes = mail.get(NOTE, pa.table({"op": [], "note": [], "count": []}))
    notes = notes.group_by(["op", "note"]).aggregate([("count", "sum")])
    common = {
        "schema": base64.b64encode(output.schema.serialize().to_pybytes()).decode(),
        "columns": columns,
        "classes": output.classes,
        "shard_bytes": shard_bytes,
    }
    orders = [*_data_orders(shards, shard_bytes, common), *_ledger_orders(shards)]
    summary = {
        **common,
        "steps": [vars(tallies[number]) for number in sorted(tallies)],
        "before": before.to_dict(),
        "after": after.to_dict(),
        "notes": sorted(notes.to_pylist(), key=str),
        "files": [order["file"] for order in orders],
    }
    files.write_bytes_atomically(f"{work}/summary.json", json.dumps(summary).encode())
    for order in orders:
        yield message(f"write:{order['file']}", "order", _json_table(order))
    yield message(END, "nothing")


def _add_up(
    work: str, segments: int, numbers: list[int]
) -> tuple[dict[int, Tally], Profile, Profile]:
    """Add the tallies and profiles of all segments of all shards."""
    tallies: dict[int, Tally] = {}
    before, after = Profile(), Profile()
    for number in numbers:
        for segment in range(segments):
            state = load_state(work, number, segment)
            if state is None:
                raise FileNotFoundError(f"shard {number} has no segment {segment} in {work}")
            for tally in state.tallies:
                tallies.setdefault(tally.step, Tally(tally.step, tally.op)).add(tally)
            before.merge(state.before)
            after.merge(state.after)
    return tallies, before, after


def _data_orders(
    shards: list[dict[str, Any]], target: int, common: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    for split in sorted({name for shard in shards for name in shard["splits"]}):
        start, pieces = 0, []
        for shard in shards:
            size, _ = shard["splits"].get(split, (0, 0))
            pieces.append((shard["number"], start, start + size))
            start += size
        total = max(1, -(-start // target))
        for i in range(total):
            mine = [p for p in pieces if p[1] < (i + 1) * target and p[2] > i * target]
            name = f"{split}/data-{i:05d}-of-{total:05d}.arrow"
            yield {"file": name, "kind": "data", "split": split, "index": i, "pieces": mine, **common}


def _ledger_orders(shards: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    start, pieces = 0, []
    for shard in shards:
        pieces.append((shard["number"], start, start + shard["ledger"]))
        start += shard["ledger"]
    total = max(1, -(-start // LEDGER_ROWS))
    for i in range(total):
        mine = [p for p in pieces if p[1] < (i + 1) * LEDGER_ROWS and p[2] > i * LEDGER_ROWS]
        name = f"_curate/ledger/part-{i:05d}-of-{total:05d}.parquet"
        yield {"file": name, "kind": "ledger", "index": i, "pieces": mine}


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


def _write(work: str, segment: int, order: dict[str, Any]) -> dict[str, Any]:
    """Write one output file; returns its name, rows and sha256."""
    path = f"{work}/out/{order['file']}"
    with files.open_output(path) as raw:
        sink = _Hashed(raw)
        write = _write_data if order["kind"] == "data" else _write_ledger
        rows = write(work, segment, order, sink)
    return {"file": order["file"], "rows": rows, "sha256": sink.digest.hexdigest()}


def _write_data(work: str, segment: int, order: dict[str, Any], sink: _Hashed) -> int:
    schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(order["schema"])))
    classes = tuple(order["classes"]) if order["classes"] else None
    output = OutputSchema(schema, Columns(**order["columns"]), classes)
    rows = 0
    with pa.ipc.new_stream(pa.PythonFile(sink, "w"), schema) as stream:
        for batch in _rebatch(_rows_of_file(work, segment, order, output)):
            stream.write_table(batch, max_chunksize=ROWS_A_BATCH)
            rows += len(batch)
    return rows


def _rows_of_file(
    work: str, segment: int, order: dict[str, Any], output: OutputSchema
) -> Iterator[pa.Table]:
    for number, start, _ in order["pieces"]:
        sizes = read_table(path_of(work, number, f"s{segment}.sizes.arrow"))
        keys, file = assign(sizes, order["split"], start, order["shard_bytes"])
        wanted: Keys = keys[file == order["index"]]
        for rows in open_rows(work, number, segment, wanted):
            yield output.conform(rows.table)


def _rebatch(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
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
                yield merged.slice(start, ROWS_A_BATCH).combine_chunks()
            waiting, count = [merged.slice(full)], count - full
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _write_ledger(work: str, segment: int, order: dict[str, Any], sink: _Hashed) -> int:
    """Write one ledger file; a row entered twice is a fault of ours and stops the run."""
    parts = []
    first, last = order["index"] * LEDGER_ROWS, (order["index"] + 1) * LEDGER_ROWS
    for number, start, _ in order["pieces"]:
        state = load_state(work, number, segment)
        if state is None:
            raise FileNotFoundError(f"shard {number} has no segment {segment} in {work}")
        table = read_ledger(state.ledger)
        parts.append(table.slice(max(0, first - start), max(0, last - max(start, first))))
    table = pa.concat_tables([LEDGER_SCHEMA.empty_table(), *parts]).combine_chunks()
    keys = table["key"].to_numpy()
    twice = np.flatnonzero(np.diff(keys) == 0)
    if twice.size:
        raise RuntimeError(f"the ledger has two records of row {table['id'][int(twice[0])]}")
    pq.write_table(table, pa.PythonFile(sink, "w"), compression="zstd")
    return len(table)


def _json_table(value: dict[str, Any]) -> pa.Table:
    return pa.table({"json": [json.dumps(value)]})


def _json_rows(table: pa.Table) -> list[dict[str, Any]]:
    return [json.loads(text) for text in table["json"].to_pylist()]


