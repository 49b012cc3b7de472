"""Run one segment of a recipe on one working shard."""

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from pipelines.engine.pulse import beat
from pipelines.engine.row_steps import run_step
from pipelines.engine.segments import Segment
from pipelines.exchange.shards import (
    PartsWriter,
    State,
    done_state,
    member,
    open_rows,
    path_of,
    read_table,
    save_state,
    write_schema,
    write_table,
)
from pipelines.ledger.books import Books
from pipelines.ledger.entries import dropped_records, survivors, unreadable
from pipelines.output.layout import weigh_rows
from pipelines.readers.reader import Chunk
from pipelines.rows import ID, KEY, Columns, Rows, merged_columns
from pipelines.rows.chance import Chance
from pipelines.rows.facts import without_facts
from pipelines.rows.plain import plain
from pipelines.rows.profile import Profile
from pipelines.steps.corpus import Corpus


@dataclass
class SegmentRun:
    """One segment on one shard: call `start` for the first segment, `resume` for later ones."""

    work: str
    number: int
    segment: Segment
    seed: int
    books: Books
    columns: Columns = field(default_factory=Columns)
    before: Profile = field(default_factory=Profile)
    after: Profile = field(default_factory=Profile)
    schemas: dict[str, pa.Schema] = field(default_factory=dict)
    """Schemas of all chunks read, with their facts, by how `write_schema` writes them."""
    changed: set[str] = field(default_factory=set)
    signed: list[pa.Table] = field(default_factory=list)
    sizes: list[pa.Table] = field(default_factory=list)
    keep_signed: bool = False
    """Whether signatures are written, for other runs that share the folder."""
    store_keys: bool = False
    """Whether dedup steps store keys, for later runs that are held against this one."""
    forgotten: pa.Table | None = None
    """Keys of the rows whose stored keys the corpus step before withdrew."""
    attempt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    """Part of the names of all files this run writes."""

    def start(self, chunks: Iterable[Chunk], columns: Callable[[list[str]], Columns]) -> State:
        """Run the first segment on what a reader yields."""
        return self._run(self._read(iter(chunks), columns), None)

    def resume(self, verdicts: pa.Table, edits: pa.Table | None = None) -> State:
        """Run a later segment on the rows that the corpus step before it leaves, as edited."""
        assert self.segment.follows is not None, "the first segment is started"
        assert self.segment.previous is not None
        state = done_state(self.work, self.number, self.segment.previous)
        self.columns = state.columns
        rows = self._survive(verdicts, *self.segment.follows)
        if self.store_keys:
            self.forgotten = pa.table({KEY: self.segment.follows[1].forgotten(verdicts)})
        if self.segment.follows[1].edits:
            rows = self._edited(rows, edits, *self.segment.follows)
        return self._run(rows, state)

    def _read(
        self, chunks: Iterator[Chunk], columns: Callable[[list[str]], Columns]
    ) -> Iterator[Rows]:
        tally = self.books.tally(0, "read")
        while True:
            with self.books.timed(tally):
                beat(0, "read", self.number)
                chunk = next(chunks, None)
                if chunk is None:
                    return
                tally.entered += chunk.table.num_rows + len(chunk.bad)
                tally.kept += chunk.table.num_rows
                if chunk.bad:
                    self.books.quarantine(tally, unreadable(chunk.bad, self.books.places))
                table = plain(chunk.table.combine_chunks())
                self.schemas.setdefault(write_schema(table.schema), table.schema)
                table = without_facts(table)
                # A batch without a column that has a role is not a shard without it.
                mine = columns([name for name in table.column_names if name not in (KEY, ID)])
                self.columns = merged_columns([self.columns, mine])
                rows = Rows(self._with_named(table), self.columns)
                self.before.add(rows)
            if len(rows):
                yield rows

    def _with_named(self, table: pa.Table) -> pa.Table:
        """Add the columns that none of these records has: others may, wherever batches are cut."""
        for name in self.segment.named:
            if name not in table.column_names:
                table = table.append_column(name, pa.nulls(len(table)))
        return table

    def _survive(self, verdicts: pa.Table, number: int, step: Corpus) -> Iterator[Rows]:
        """Yield the rows that a corpus step keeps; each verdict must find its row."""
        tally = self.books.tally(number, step.op)
        verdicts = verdicts.sort_by(KEY)
        doomed = verdicts[KEY].to_numpy()
        assert self.segment.previous is not None
        for rows in open_rows(self.work, self.number, self.segment.previous):
            out = member(rows.keys, doomed)
            if out.any():
                mine = verdicts.filter(pa.array(member(doomed, rows.keys[out])))
                ids = rows.ids.filter(pa.array(out))
                self.books.drop(tally, dropped_records(mine, ids, number, step.op))
                tally.lost.count(rows, out)
                rows = rows.filter(~out)
            tally.kept += len(rows)
            yield rows
        if tally.dropped != len(doomed):
            raise RuntimeError(
                f"step {number} ({step.op}) sent shard {self.number} verdicts on {len(doomed)} "
                f"rows; {tally.dropped} of them are there"
            )

    def _edited(
        self, batches: Iterator[Rows], edits: pa.Table | None, number: int, step: Corpus
    ) -> Iterator[Rows]:
        """Yield the rows that are left, changed where a corpus step has edits for them."""
        tally, chance = self.books.tally(number, step.op), Chance(self.seed, number)
        edits = pa.table({KEY: pa.array([], pa.int64())}) if edits is None else edits.sort_by(KEY)
        wanted = edits[KEY].to_numpy()

        def edit(rows: Rows) -> Rows:
            mine = edits.filter(pa.array(member(wanted, rows.keys)))
            changed = step.edit(rows, mine, chance)
            if changed.keys.tolist() != rows.keys.tolist():
                raise RuntimeError(f"{step.op} edited {len(rows)} rows and returned others")
            return changed

        for rows in batches:
            before = rows.table.schema
            concerned = member(rows.keys, wanted)
            if concerned.any():
                with self.books.timed(tally):
                    left, changed = self.books.attempt(rows.filter(concerned), tally, edit)
                tally.kept -= int(concerned.sum()) - len(left)
                tally.edited += len(left)
                tables = [rows.filter(~concerned).table]
                if changed is not None:
                    tables.append(changed.table)
                merged = pa.concat_tables(tables, promote_options="permissive")
                rows = Rows(merged.sort_by(KEY).combine_chunks(), rows.columns)
            for name, kind in step.edited_types().items():  # in every batch, wherever it is cut
                if name not in rows.table.column_names:
                    rows = rows.replace(name, pa.nulls(len(rows), kind))
            self.changed |= differing(before, rows.table.schema)
            yield rows

    def _run(self, batches: Iterator[Rows], previous: State | None) -> State:
        """Pass all batches through the steps and write what is left of them."""
        alive = [np.empty(0, np.int64)]
        state = State(self.columns)
        with PartsWriter(self._path("rows")) as writer, PartsWriter(self._path("keys")) as keys:
            for rows in batches:
                left = self._leave(self._apply(rows))
                state.rows += len(left)
                if self.store_keys and len(left):
                    state.stored_rows += self._store(left, keys)
                if self.segment.rewrites:
                    writer.write(left.table)
                else:
                    alive.append(left.keys)
        state.columns, state.parts, state.stored = self.columns, writer.parts, keys.parts
        if previous is not None and not self.segment.rewrites:
            state.parts = previous.parts
            keys = pa.table({KEY: np.concatenate(alive)})
            state.alive = write_table(self._path("alive.arrow"), keys)
        self._save(state, previous)
        return state

    def _beat(self, number: int, op: str, rows: Rows) -> None:
        """Tell the driver, where one watches, which rows a step goes on to."""
        if len(rows):
            beat(number, op, self.number, int(rows.keys[0]), int(rows.keys[-1]))

    def _apply(self, rows: Rows) -> Rows:
        """Return the rows that leave the row steps; note which columns changed."""
        for number, step in self.segment.row_steps:
            self._beat(number, step.op, rows)
            before = rows.table.schema
            first_copy = self.segment.first_copies.get(number, 0)
            rows = run_step(rows, step, Chance(self.seed, number), self.books, first_copy)
            if len(rows):
                self.changed |= differing(before, rows.table.schema)
        return rows

    def _leave(self, rows: Rows) -> Rows:
        """Sign the rows for the corpus step, or enter them as the output."""
        if not len(rows):
            return rows
        if self.segment.corpus is not None:
            return self.sign(rows, *self.segment.corpus)
        self.after.add(rows)
        self.books.ledger += survivors(rows)
        self.sizes.append(weigh_rows(rows))
        return rows

    def sign(self, rows: Rows, number: int, step: Corpus) -> Rows:
        """Compute the signatures of a batch while its views are warm."""
        self._beat(number, step.op, rows)
        tally, chance = self.books.tally(number, step.op), Chance(self.seed, number)
        tally.entered += len(rows)
        with self.books.timed(tally):
            rows, signed = self.books.attempt(rows, tally, lambda r: step.sign(r, chance))
        if signed is not None:
            self.signed.append(signed)
        return rows

    def _store(self, rows: Rows, keys: PartsWriter) -> int:
        """Write what later runs need to be held against these rows; returns how many."""
        if self.segment.corpus is None or not self.segment.corpus[1].stores:
            return 0
        number, step = self.segment.corpus
        with self.books.timed(self.books.tally(number, step.op)):
            stored = step.stored(rows, Chance(self.seed, number))
            keys.write(stored.append_column(KEY, pa.array(rows.keys)))
        return len(rows)

    def sign_again(self, state: State) -> None:
        """Bring back the signatures of a segment that is done."""
        if self.segment.corpus is None:
            return
        if state.signed:
            self.signed = [read_table(state.signed)]
            return
        for rows in open_rows(self.work, self.number, self.segment.name):
            self.sign(rows, *self.segment.corpus)

    def _save(self, state: State, previous: State | None) -> None:
        state.schemas = list(self.schemas)
        seen = {name for schema in self.schemas.values() for name in schema.names}
        state.missing = [] if previous else [n for n in self.segment.named if n not in seen]
        state.changed = sorted(self.changed)
        state.tallies = list(self.books.tallies.values())
        state.before, state.after = self.before.counts(), self.after.counts()
        if previous is not None:
            state.ledger, state.records = list(previous.ledger), previous.records
        if self.books.ledger:
            records = pa.concat_tables(self.books.ledger)
            state.ledger.append(write_table(self._path("ledger.arrow"), records))
            state.records += len(records)
        if self.keep_signed and self.signed:
            state.signed = write_table(self._path("signed.arrow"), pa.concat_tables(self.signed))
        if self.forgotten is not None and len(self.forgotten):
            state.forgotten_rows = len(self.forgotten)
            state.forgotten = write_table(self._path("forgotten.arrow"), self.forgotten)
        if self.sizes:
            state.sizes = [write_table(self._path("sizes.arrow"), pa.concat_tables(self.sizes))]
        save_state(self.work, self.number, self.segment.name, state)

    def _path(self, name: str) -> str:
        return path_of(self.work, self.number, f"{self.segment.name}-{self.attempt}-{name}")


def differing(one: pa.Schema, other: pa.Schema) -> set[str]:
    """Return the columns that only one of two schemas has, or that differ in type."""
    kinds, others = ({f.name: f.type for f in schema} for schema in (one, other))
    names = (kinds.keys() | others.keys()) - {KEY, ID}
    return {name for name in names if kinds.get(name) != others.get(name)}
