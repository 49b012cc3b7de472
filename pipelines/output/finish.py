"""The last rounds of a run: plan the output files, have them written, collect their names."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from pipelines.errors import did_you_mean
from pipelines.exchange.mail import MEASURE, NOTE, PLAN, SPENT, Mail, Message, Round, message
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
from pipelines.ledger.counts import Note
from pipelines.ledger.entries import Tally
from pipelines.output.formats import FORMATS
from pipelines.output.layout import KEY_ROWS, LEDGER_ROWS, OutputSchema, plan_schema, weigh_rows
from pipelines.output.orders import DataOrder, KeysOrder, LedgerOrder, Order, ShardPart
from pipelines.output.summary import OutputSummary, write_summary, write_written
from pipelines.output.widened import widened_columns
from pipelines.output.writer import Finished, StoredBy, write_file
from pipelines.output.written import WrittenFile
from pipelines.rows import ID, KEY, Columns, MissingColumn, Rows, merged_columns
from pipelines.rows.merging import merge_schemas
from pipelines.rows.profile import Profile, ProfileCounts

END = "end"
"""Address where the names of all files written meet."""


@dataclass(frozen=True)
class SplitSize:
    """Bytes of the rows of one split in a shard."""

    bytes: int
    largest: int
    """Of the largest row."""
    last: int
    """Of the last row."""


@dataclass(frozen=True)
class ShardSummary:
    """What one finished shard holds and what all its segments did."""

    number: int
    splits: dict[str, SplitSize]
    sizes: tuple[str, ...]
    """Files of the key, split and bytes of each row."""
    ledger: int
    """Records."""
    stored: dict[str, int]
    """Rows of the keys stored, by the name of the segment."""
    read: tuple[str, ...]
    """Schemas of what was read."""
    missing: tuple[str, ...]
    """Columns that steps name and no record of the shard has."""
    left: tuple[str, ...]
    """Schemas of the rows that are left."""
    changed: tuple[str, ...]
    """Columns that steps added, removed or gave another type."""
    columns: Columns
    tallies: tuple[Tally, ...]
    before: ProfileCounts
    after: ProfileCounts


_SHARD, _WRITTEN = TypeAdapter(ShardSummary), TypeAdapter(WrittenFile)
_ORDER: TypeAdapter[Order] = TypeAdapter(Order)


def report_shard(shelf: str, number: int, earlier: Sequence[str], state: State) -> Message:
    """Tell the planner what one finished shard holds and what all its segments did.

    Args:
        shelf: folder of the working shards.
        number: of the shard.
        earlier: names of the segments before the last.
        state: at the end of the last.
    """
    states = [*(done_state(shelf, number, segment) for segment in earlier), state]
    stored = {
        name: one.stored_rows - after.forgotten_rows
        for name, (one, after) in zip(earlier, pairwise(states), strict=True)
    }
    tallies: dict[int, Tally] = {}
    before, after = Profile(), Profile()
    for one in states:
        _add(tallies, one.tallies)
        before.merge(one.before)
        after.merge(one.after)
    summary = ShardSummary(
        number=number,
        splits=_splits(state.sizes),
        sizes=tuple(state.sizes),
        ledger=state.records,
        stored={name: rows for name, rows in stored.items() if rows},
        read=tuple(states[0].schemas),
        missing=tuple(states[0].missing),
        left=tuple(dict.fromkeys(write_schema(part_schema(part)) for part in state.parts)),
        changed=tuple(sorted({name for one in states for name in one.changed})),
        columns=state.columns,
        tallies=tuple(tallies.values()),
        before=before.counts(),
        after=after.counts(),
    )
    return message(PLAN, "shard", _json_table(_SHARD.dump_json(summary)))


def _splits(sizes: Iterable[str]) -> dict[str, SplitSize]:
    """Return what each split of a shard weighs."""
    tables = [read_table(path) for path in sizes]
    if not tables:
        return {}
    table, found = pa.concat_tables(tables), {}
    for name in table["split"].unique().to_pylist():
        size = table.filter(pc.equal(table["split"], name))["bytes"].to_numpy()
        found[name] = SplitSize(int(size.sum()), int(size.max()), int(size[-1]))
    return found


def _add(tallies: dict[int, Tally], others: Iterable[Tally]) -> None:
    for other in others:
        tallies.setdefault(other.step, Tally(other.step, other.op)).add(other)


def finish_rounds(finished: Finished, shard_bytes: int, form: str = "arrow") -> tuple[Round, ...]:
    """Return the rounds plan → write → end of a recipe.

    Args:
        finished: where the rows lie.
        shard_bytes: target size of a file of rows.
        form: name of the format of the files of rows.
    """

    def plan(address: str, mail: Mail) -> Iterator[Message]:
        return plan_output(finished, mail, shard_bytes, form)

    def write(address: str, mail: Mail) -> Iterator[Message]:
        for told in _json_rows(mail["order"]):
            written = write_file(finished, _ORDER.validate_json(told))
            yield message(END, "written", _json_table(_WRITTEN.dump_json(written)))

    def end(address: str, mail: Mail) -> Iterator[Message]:
        written = _json_rows(mail["written"]) if "written" in mail else []
        write_written(finished.work, map(_WRITTEN.validate_json, written))
        return iter(())

    return (
        Round(("shard", NOTE, SPENT, MEASURE), plan),
        Round(("order",), write),
        Round(("written", "nothing"), end),
    )


def plan_output(
    finished: Finished, mail: Mail, shard_bytes: int, form: str = "arrow"
) -> Iterator[Message]:
    """Lay out all shards' rows in files and order each file to be written."""
    shards = [_SHARD.validate_json(told) for told in _json_rows(mail["shard"])]
    shards.sort(key=lambda shard: shard.number)
    before, after = Profile(), Profile()
    for shard in shards:
        before.merge(shard.before)
        after.merge(shard.after)
    if before.rows:
        _check_named(shards)
    columns = merged_columns(shard.columns for shard in shards)
    unlabelled = before.take_unlabelled()
    after.take_unlabelled()
    output = plan_schema(
        _schemas(shards, "read"),
        _schemas(shards, "left"),
        {name for shard in shards for name in shard.changed},
        columns,
        after.labels,
    )
    shards = [_weighed_again(finished, shard, output) for shard in shards]
    summary = OutputSummary(
        schema=write_schema(output.schema),
        columns=output.columns,
        classes=output.classes,
        shards=tuple(shard.number for shard in shards),
        tallies=_tallies(shards, mail),
        before=before.counts(),
        after=after.counts(),
        notes=(*_notes(mail), *_read_notes(shards, unlabelled)),
    )
    write_summary(finished.work, summary)
    orders: list[Order] = [*_data_orders(shards, shard_bytes, summary, form)]
    orders += _ledger_orders(shards)
    for stored in finished.stored:
        if any(shard.stored.get(stored.segment) for shard in shards):
            orders += _key_orders(shards, stored)
    for order in orders:
        yield message(f"write:{order.file}", "order", _json_table(_ORDER.dump_json(order)))
    yield message(END, "nothing")


def _tallies(shards: Sequence[ShardSummary], mail: Mail) -> tuple[Tally, ...]:
    """Return what each step did in all shards, what its rounds cost, and what it measured."""
    tallies: dict[int, Tally] = {}
    for shard in shards:
        _add(tallies, shard.tallies)
    for row in mail[SPENT].to_pylist() if SPENT in mail else ():
        tallies[row["step"]].seconds += row["seconds"]
        tallies[row["step"]].shuffled += row["shuffled"]
    if MEASURE in mail:
        figures = mail[MEASURE].sort_by([("step", "ascending"), ("name", "ascending")])
        for row in figures.to_pylist():
            measured = tallies[row["step"]].measured
            measured[row["name"]] = measured.get(row["name"], 0.0) + row["value"]
    return tuple(tallies[number] for number in sorted(tallies))


def _notes(mail: Mail) -> tuple[Note, ...]:
    found: dict[tuple[Any, ...], int] = {}
    for row in mail[NOTE].to_pylist() if NOTE in mail else ():
        one = (row["op"], row["note"], row.get("step"), row.get("warning"))
        found[one] = found.get(one, 0) + row["count"]
    notes = [
        Note(op=op, note=said, count=count, step=step, warning=warning)
        for (op, said, step, warning), count in found.items()
    ]
    return tuple(sorted(notes, key=lambda note: (note.op, note.note)))


def _read_notes(shards: Sequence[ShardSummary], unlabelled: int) -> Iterator[Note]:
    """Yield what is to be told of the rows that were read."""
    yield from widened_columns(merge_schemas(_schemas(shards, "read")))
    if unlabelled:
        told = {"op": "read", "note": "rows whose label is empty: stored without one"}
        yield Note.model_validate({**told, "count_sum": unlabelled})


def _check_named(shards: Sequence[ShardSummary]) -> None:
    """Refuse a recipe that names a column no record has: only now have all been seen."""
    for name in shards[0].missing:
        if all(name in shard.missing for shard in shards):
            have = merge_schemas(_schemas(shards, "read")).names
            names = [n for n in have if n not in (KEY, ID)]
            raise MissingColumn(
                f"a step names the column {name!r}, which no record has; there are: "
                f"{', '.join(names)}{did_you_mean(name, names)}"
            )


def _schemas(shards: Sequence[ShardSummary], name: str) -> list[pa.Schema]:
    return [read_schema(text) for shard in shards for text in getattr(shard, name)]


def _weighed_again(finished: Finished, shard: ShardSummary, output: OutputSchema) -> ShardSummary:
    """Weigh the rows of a shard as the text that some of their columns become.

    Which values were read as text already depends on where batches were cut; the layout must not.
    """
    if not any(output.clashes(schema.empty_table()) for schema in _schemas([shard], "left")):
        return shard
    parts = [
        weigh_rows(Rows(output.as_weighed(rows.table), rows.columns))
        for rows in open_rows(finished.shelf, shard.number, finished.segment)
    ]
    path = path_of(finished.shelf, shard.number, f"sizes-{uuid.uuid4().hex[:8]}.arrow")
    sizes = (write_table(path, pa.concat_tables(parts)),)
    return replace(shard, sizes=sizes, splits=_splits(sizes))


def _data_orders(
    shards: Sequence[ShardSummary], target: int, summary: OutputSummary, form: str
) -> Iterator[DataOrder]:
    """Cut each split into files, none of them empty: a file has room for the largest row."""
    for split in sorted({name for shard in shards for name in shard.splits}):
        mine = [shard for shard in shards if split in shard.splits]
        room = max(target, *(shard.splits[split].largest for shard in mine))
        start, parts = 0, []
        for shard in mine:
            stop = start + shard.splits[split].bytes
            parts.append(ShardPart(shard.number, start, stop, shard.sizes))
            start = stop
        total = 1 + (start - mine[-1].splits[split].last) // room
        for i in range(total):
            yield DataOrder(
                file=f"{split}/data-{i:05d}-of-{total:05d}{FORMATS[form].suffix}",
                split=split,
                index=i,
                parts=tuple(part for part in parts if part.meets(i * room, (i + 1) * room)),
                room=room,
                schema=summary.schema,
                columns=summary.columns,
                classes=summary.classes,
                format=form,
            )


def _ledger_orders(shards: Sequence[ShardSummary]) -> Iterator[LedgerOrder]:
    counts = [(shard.number, shard.ledger) for shard in shards]
    for i, total, parts in _fixed(counts, LEDGER_ROWS):
        yield LedgerOrder(f"_curate/ledger/part-{i:05d}-of-{total:05d}.parquet", i, parts)


def _key_orders(shards: Sequence[ShardSummary], stored: StoredBy) -> Iterator[KeysOrder]:
    """Cut the keys that one step stored into files of a fixed number of rows."""
    counts = [(shard.number, shard.stored.get(stored.segment, 0)) for shard in shards]
    for i, total, parts in _fixed(counts, KEY_ROWS):
        file = f"{stored.folder}/part-{i:05d}-of-{total:05d}.parquet"
        yield KeysOrder(file, i, parts, stored.segment, stored.after)


def _fixed(
    counts: Iterable[tuple[int, int]], rows: int
) -> Iterator[tuple[int, int, tuple[ShardPart, ...]]]:
    """Yield (number of the file, files, parts) for files of `rows` rows over all shards."""
    start, parts = 0, []
    for number, count in counts:
        parts.append(ShardPart(number, start, start + count))
        start += count
    total = max(1, -(-start // rows))
    for i in range(total):
        yield i, total, tuple(part for part in parts if part.meets(i * rows, (i + 1) * rows))


def _json_table(value: bytes) -> pa.Table:
    return pa.table({"json": pa.array([value], pa.binary())})


def _json_rows(table: pa.Table) -> list[bytes]:
    return list(table["json"].to_pylist())
