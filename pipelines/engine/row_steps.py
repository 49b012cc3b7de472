"""Apply one row step to one batch and enter in the books what it did."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import UserError
from pipelines.ledger.books import Books
from pipelines.ledger.entries import Tally, failed, judged
from pipelines.maths.arrays import Keys
from pipelines.rows import DEFAULT_SPLIT, ID, KEY, PARENT, SPLIT, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.keys import MAX_COPIES, copy_of
from pipelines.steps.step import Derive, Filter, Map, Step


class ParentLost(RuntimeError):
    """A derived row whose original is gone: it goes too."""


def run_step(rows: Rows, step: Step, chance: Chance, books: Books, first_copy: int) -> Rows:
    """Return the rows that leave a step.

    Args:
        rows: the rows that enter it.
        step: a Map, Filter or Derive.
        chance: its randomness; `chance.step` is its number in the recipe.
        books: where dropped, quarantined and counted rows are entered.
        first_copy: number of the first copy a Derive makes; earlier ones took those below.
    """
    tally = books.tally(chance.step, step.op)
    tally.entered += len(rows)
    if not len(rows):
        return rows
    with books.timed(tally):
        if isinstance(step, Map):
            return _map(rows, step, chance, books)
        if isinstance(step, Filter):
            return _filter(rows, step, chance, books)
        if isinstance(step, Derive):
            return _derive(rows, step, chance, books, first_copy)
    raise TypeError(f"{type(step).__name__} is neither a Map, a Filter nor a Derive")


def _map(rows: Rows, step: Map, chance: Chance, books: Books) -> Rows:
    tally = books.tally(chance.step, step.op)
    left, changed = books.attempt(rows, tally, lambda r: step.apply(r, chance))
    if changed is not None:
        _check_length(step, len(changed), len(left))
        left = changed
    left = _without_copies(left, _lost(rows, left), tally, books)
    tally.kept += len(left)
    return left


def _filter(rows: Rows, step: Filter, chance: Chance, books: Books) -> Rows:
    tally = books.tally(chance.step, step.op)
    left, verdicts = books.attempt(rows, tally, lambda r: step.judge(r, chance))
    lost = _lost(rows, left)
    if verdicts is not None:
        _check_length(step, len(verdicts.code), len(left))
        if not verdicts.keep.all():
            books.drop(tally, judged(left, verdicts, chance.step, step.op))
            tally.lost.count(left, ~verdicts.keep)
            left = left.filter(verdicts.keep)
    left = _without_copies(left, lost, tally, books)
    tally.kept += len(left)
    return left


def _derive(rows: Rows, step: Derive, chance: Chance, books: Books, first_copy: int) -> Rows:
    """Add the rows derived from input rows, each behind its parent."""
    tally = books.tally(chance.step, step.op)
    if PARENT not in rows.table.column_names:
        rows = rows.replace(PARENT, pa.nulls(len(rows), pa.string()))
    entering = copy_of(rows.keys) == 0
    if SPLIT in rows.table.column_names:
        entering &= pc.equal(rows.table[SPLIT], DEFAULT_SPLIT).to_numpy()
    originals = rows.filter(entering)
    parents, copies = books.attempt(
        originals, tally, lambda r: [step.derive(r, c, chance) for c in range(step.copies)]
    )
    lost = _lost(originals, parents)
    rows = _without_copies(rows.filter(~np.isin(rows.keys, lost)), lost, tally, books)
    tally.kept += len(rows)
    tables = [rows.table]
    for copy, made in enumerate(copies or []):
        _check_length(step, len(made), len(parents))
        tables.append(_name_derived(made, parents.keys, parents.ids, first_copy + copy))
        tally.derived += len(made)
    merged = pa.concat_tables(tables, promote_options="permissive").sort_by(KEY)
    return Rows(merged.combine_chunks(), rows.columns)


def _check_length(step: Step, made: int, given: int) -> None:
    """Stop a step that does not answer for each row: the step is at fault, not the data."""
    if made != given:
        raise RuntimeError(f"{step.op} made {made} rows or verdicts out of {given} rows")


def _lost(before: Rows, after: Rows) -> Keys:
    """Return the keys of the rows that were quarantined."""
    if len(before) == len(after):
        return np.empty(0, np.int64)
    return np.setdiff1d(before.keys, after.keys, assume_unique=True)


def _without_copies(rows: Rows, lost: Keys, tally: Tally, books: Books) -> Rows:
    """Quarantine the rows derived from lost ones: a copy does not outlive its original."""
    orphans = np.isin(rows.keys & ~np.int64(MAX_COPIES), lost)
    if not orphans.any():
        return rows
    why = ParentLost("the row it was derived from is quarantined")
    culprits = [(int(i), why) for i in np.flatnonzero(orphans)]
    books.quarantine(tally, failed(rows, culprits, tally.step, tally.op, books.places))
    return rows.filter(~orphans)


def _name_derived(made: Rows, parents: Keys, parent_ids: pa.Array, copy: int) -> pa.Table:
    """Give derived rows their key, id and parent."""
    ids = pc.binary_join_element_wise(parent_ids, str(copy), "~")
    named = made.replace(KEY, pa.array(parents + copy)).replace(ID, ids)
    named = named.replace(PARENT, parent_ids)
    own = made.columns.id
    kind = None if own is None else made.table.schema.field(own).type
    if own is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        named = named.replace(own, ids.cast(kind))
    return named.table


def first_copies(steps: tuple[Step, ...]) -> dict[int, int]:
    """Return the number of the first copy of each Derive, by step number counted from 1."""
    first: dict[int, int] = {}
    taken = 1
    for number, step in enumerate(steps, start=1):
        if isinstance(step, Derive):
            first[number] = taken
            taken += step.copies
    if taken - 1 > MAX_COPIES:
        raise UserError(f"steps make {taken - 1} copies of each row; at most {MAX_COPIES}")
    return first
