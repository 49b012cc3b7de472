"""The last rounds of a run: plan the output files, have them written, collect their names."""

from __future__ import annotations

import difflib
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines import files
from pipelines.exchange.mail import (
    MEASURE,
    NOTE,
    PLAN,
    SPENT,
    Mail,
    Message,
    Round,
    message,
)
from pipelines.exchange.shards import (
    State,
    done_state,
    open_rows,
    part_schema,
    path_of,
    read_schema,
    read_table,
    write_schema,
    write_table,
)
from pipelines.ledger.entries import Tally
from pipelines.output.layout import KEY_ROWS, LEDGER_ROWS, OutputSchema, plan_schema, weigh_rows
from pipelines.output.writer import Finished, write_file
from pipelines.rows import ID, KEY, MissingColumn, Rows, merged_columns
from pipelines.rows.profile import Profile
from pipelines.rows.schema import merge_schemas

END = "end"
"""Address where the names of all files written meet."""


def report_shard(shelf: str, number: int, earlier: Sequence[str], state: State) -> Message:
    """Tell the planner what one finished shard holds and what all its segments did.

    Args:
        shelf: folder of the working shards.
        number: of the shard.
        earlier: names of the segments before the last.
        state: at the end of the last.
    """
    states = [*(done_state(shelf, number, segment) for segment in earlier), state]
    stored = {name: one.stored_rows for name, one in zip(earlier, states, strict=False)}
    tallies: dict[int, Tally] = {}
    before, after = Profile(), Profile()
    for one in states:
        _add(tallies, (asdict(tally) for tally in one.tallies))
        before.merge(one.before)
        after.merge(one.after)
    summary = {
        "number": number,
        "splits": _splits(state.sizes),
        "sizes": state.sizes,
        "ledger": state.records,
        "stored": {name: rows for name, rows in stored.items() if rows},
        "read": states[0].schemas,
        "missing": states[0].missing,
        "left": list(dict.fromkeys(write_schema(part_schema(part)) for part in state.parts)),
        "changed": sorted({name for one in states for name in one.changed}),
        "columns": vars(state.columns),
        "tallies": [asdict(tally) for tally in tallies.values()],
        "before": before.to_dict(),
        "after": after.to_dict(),
    }
    return message(PLAN, "shard", _json_table(summary))


def _splits(sizes: list[str]) -> dict[str, dict[str, int]]:
    """Return of each split: bytes in all, of the largest row, of the last row."""
    found: dict[str, dict[str, int]] = {}
    if sizes:
        table = pa.concat_tables([read_table(path) for path in sizes])
        for name in table["split"].unique().to_pylist():
            size = table.filter(pc.equal(table["split"], name))["bytes"].to_numpy()
            figures = {"bytes": size.sum(), "largest": size.max(), "last": size[-1]}
            found[name] = {key: int(value) for key, value in figures.items()}
    return found


def _add(tallies: dict[int, Tally], others: Iterable[dict[str, Any]]) -> None:
    for other in others:
        tally = Tally(**other)
        tallies.setdefault(tally.step, Tally(tally.step, tally.op)).add(tally)


def finish_rounds(finished: Finished, shard_bytes: int) -> tuple[Round, ...]:
    """Return the rounds plan → write → end of a recipe."""
    work = finished.work

    def plan(address: str, mail: Mail) -> Iterator[Message]:
        return plan_output(finished, mail, shard_bytes)

    def write(address: str, mail: Mail) -> Iterator[Message]:
        for order in _json_rows(mail["order"]):
            yield message(END, "written", _json_table(write_file(finished, order)))

    def end(address: str, mail: Mail) -> Iterator[Message]:
        tables = [mail["written"]] if "written" in mail else []
        written = [row for table in tables for row in _json_rows(table)]
        written.sort(key=lambda w: str(w["file"]))
        files.write_bytes_atomically(f"{work}/written.json", json.dumps(written).encode())
        return iter(())

    return (
        Round(("shard", NOTE, SPENT, MEASURE), plan),
        Round(("order",), write),
        Round(("written", "nothing"), end),
    )


def plan_output(finished: Finished, mail: Mail, shard_bytes: int) -> Iterator[Message]:
    """Lay out all shards' rows in files and order each file to be written."""
    work = finished.work
    shards = sorted(_json_rows(mail["shard"]), key=lambda s: int(s["number"]))
    tallies: dict[int, Tally] = {}
    before, after = Profile(), Profile()
    for shard in shards:
        _add(tallies, shard["tallies"])
        before.merge(shard["before"])
        after.merge(shard["after"])
    for row in mail[SPENT].to_pylist() if SPENT in mail else ():
        tallies[row["step"]].seconds += row["seconds"]
        tallies[row["step"]].shuffled += row["shuffled"]
    if MEASURE in mail:
        for row in (
            mail[MEASURE].sort_by([("step", "ascending"), ("name", "ascending")]).to_pylist()
        ):
            measured = tallies[row["step"]].measured
            measured[row["name"]] = measured.get(row["name"], 0.0) + row["value"]
    if before.rows:
        _check_named(shards)
    output = plan_schema(
        _schemas(shards, "read"),
        _schemas(shards, "left"),
        {name for shard in shards for name in shard["changed"]},
        merged_columns(shard["columns"] for shard in shards),
        after.labels,
    )
    for shard in shards:
        _weigh_again(finished, shard, output)
    notes = mail.get(NOTE, pa.table({"op": [], "note": [], "count": []}))
    notes = notes.group_by(["op", "note"]).aggregate([("count", "sum")])
    common = {
        "schema": write_schema(output.schema),
        "columns": vars(output.columns),
        "classes": output.classes,
    }
    orders = [*_data_orders(shards, shard_bytes, common), *_ledger_orders(shards)]
    for segment, folder in finished.stored:
        if any(shard["stored"].get(segment) for shard in shards):
            orders += _key_orders(shards, segment, folder)
    summary = {
        **common,
        "shards": [shard["number"] for shard in shards],
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


def _check_named(shards: list[dict[str, Any]]) -> None:
    """Refuse a recipe that names a column no record has: only now have all been seen."""
    for name in shards[0]["missing"]:
        if all(name in shard["missing"] for shard in shards):
            have = merge_schemas(_schemas(shards, "read")).names
            names = [n for n in have if n not in (KEY, ID)]
            near = difflib.get_close_matches(name, names, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise MissingColumn(
                f"a step names the column {name!r}, which no record has; there are: "
                f"{', '.join(names)}{meant}"
            )


def _schemas(shards: list[dict[str, Any]], name: str) -> list[pa.Schema]:
    return [read_schema(text) for shard in shards for text in shard[name]]


def _weigh_again(finished: Finished, shard: dict[str, Any], output: OutputSchema) -> None:
    """Weigh the rows of a shard as the text that some of their columns become.

    Which values were read as text already depends on where batches were cut; the layout must not.
    """
    if not any(output.clashes(schema.empty_table()) for schema in _schemas([shard], "left")):
        return
    parts = [
        weigh_rows(Rows(output.as_weighed(rows.table), rows.columns))
        for rows in open_rows(finished.shelf, shard["number"], finished.segment)
    ]
    path = path_of(finished.shelf, shard["number"], f"sizes-{uuid.uuid4().hex[:8]}.arrow")
    shard["sizes"] = [write_table(path, pa.concat_tables(parts))]
    shard["splits"] = _splits(shard["sizes"])


def _data_orders(
    shards: list[dict[str, Any]], target: int, common: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """Cut each split into files, none of them empty: a file has room for the largest row."""
    for split in sorted({name for shard in shards for name in shard["splits"]}):
        mine = [shard for shard in shards if split in shard["splits"]]
        room = max(target, *(shard["splits"][split]["largest"] for shard in mine))
        start, pieces = 0, []
        for shard in mine:
            size = shard["splits"][split]["bytes"]
            pieces.append((shard["number"], start, start + size, shard["sizes"]))
            start += size
        total = 1 + (start - mine[-1]["splits"][split]["last"]) // room
        for i in range(total):
            here = [p for p in pieces if p[1] < (i + 1) * room and p[2] > i * room]
            order = {"kind": "data", "split": split, "index": i, "pieces": here, "room": room}
            yield {"file": f"{split}/data-{i:05d}-of-{total:05d}.arrow", **order, **common}


def _ledger_orders(shards: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    counts = [(shard["number"], shard["ledger"]) for shard in shards]
    for i, total, pieces in _fixed(counts, LEDGER_ROWS):
        name = f"_curate/ledger/part-{i:05d}-of-{total:05d}.parquet"
        yield {"file": name, "kind": "ledger", "index": i, "pieces": pieces}


def _key_orders(
    shards: list[dict[str, Any]], segment: str, folder: str
) -> Iterator[dict[str, Any]]:
    """Cut the keys that one step stored into files of a fixed number of rows."""
    counts = [(shard["number"], shard["stored"].get(segment, 0)) for shard in shards]
    for i, total, pieces in _fixed(counts, KEY_ROWS):
        name = f"{folder}/part-{i:05d}-of-{total:05d}.parquet"
        yield {"file": name, "kind": "keys", "index": i, "pieces": pieces, "segment": segment}


def _fixed(
    counts: list[tuple[int, int]], rows: int
) -> Iterator[tuple[int, int, list[tuple[int, int, int]]]]:
    """Yield (number of the file, files, pieces) for files of `rows` rows over all shards.

    A piece is (number of the shard, its first row, the row behind its last), counted over all.
    """
    start, pieces = 0, []
    for number, count in counts:
        pieces.append((number, start, start + count))
        start += count
    total = max(1, -(-start // rows))
    for i in range(total):
        yield i, total, [p for p in pieces if p[1] < (i + 1) * rows and p[2] > i * rows]


def _json_table(value: dict[str, Any]) -> pa.Table:
    return pa.table({"json": [json.dumps(value)]})


def _json_rows(table: pa.Table) -> list[dict[str, Any]]:
    return [json.loads(text) for text in table["json"].to_pylist()]
