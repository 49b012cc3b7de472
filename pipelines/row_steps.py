"""Apply one row step to one batch and enter in the books what it did."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.books import Books
from pipelines.keys import MAX_COPIES, Keys, copy_of
from pipelines.ledger import judged
from pipelines.rows import ID, KEY, PARENT, SPLIT, Rows
from pipelines.steps.step import Chance, Derive, Filter, Map, Step

AUGMENTED_SPLIT = "train"
"""Only rows of this split are augmented, where the recipe splits at all."""


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
            rows, changed = books.attempt(rows, tally, lambda r: _same_rows(step.apply(r, chance), r))
            tally.kept += len(changed)
            return changed
        if isinstance(step, Filter):
            rows, verdicts = books.attempt(rows, tally, lambda r: step.judge(r, chance))
            if not verdicts.keep.all():
                books.drop(tally, judged(rows, verdicts, chance.step, step.op))
                rows = rows.filter(verdicts.keep)
            tally.kept += len(rows)
            return rows
        if isinstance(step, Derive):
            return _derive(rows, step, chance, books, first_copy)
    raise TypeError(f"{type(step).__name__} is neither a Map, a Filter nor a Derive")


def _same_rows(changed: Rows, given: Rows) -> Rows:
    if len(changed) != len(given):
        raise RuntimeError(f"a Map turned {len(given)} rows into {len(changed)}: it must keep each")
    return changed


def _derive(rows: Rows, step: Derive, chance: Chance, books: Books, first_copy: int) -> Rows:
    """Add the rows derived from input rows, each behind its parent."""
    tally = books.tally(chance.step, step.op)
    if PARENT not in rows.table.column_names:
        rows = rows.replace(PARENT, pa.nulls(len(rows), pa.string()))
    entering = copy_of(rows.keys) == 0
    if SPLIT in rows.table.column_names:
        entering &= pc.equal(rows.table[SPLIT], AUGMENTED_SPLIT).to_numpy()
    originals = rows.filter(entering)
    if not len(originals):
        tally.kept += len(rows)
        return rows
    parents, copies = books.attempt(
        originals, tally, lambda r: [step.derive(r, c, chance) for c in range(step.copies)]
    )
    lost = np.setdiff1d(originals.keys, parents.keys)
    if lost.size:  # a quarantined parent takes the rows derived from it along
        stay = ~np.isin(rows.keys & ~np.int64(MAX_COPIES), lost)
        tally.derived -= int(len(rows) - stay.sum() - lost.size)
        rows = rows.filter(stay)
    tally.kept += len(rows)
    tables = [rows.table]
    for copy, made in enumerate(copies):
        if len(made) != len(parents):
            raise RuntimeError(f"{step.op} made {len(made)} rows from {len(parents)}")
        tables.append(_christen(made, parents.keys, parents.ids, first_copy + copy))
        tally.derived += len(made)
    merged = pa.concat_tables(tables, promote_options="permissive").sort_by(KEY)
    return Rows(merged.combine_chunks(), rows.columns)


def _christen(made: Rows, parents: Keys, parent_ids: pa.Array, copy: int) -> pa.Table:
    """Give derived rows their key, id and parent."""
    ids = pc.binary_join_element_wise(parent_ids, str(copy), "~")
    named = made.replace(KEY, pa.array(parents + copy)).replace(ID, ids)
    named = named.replace(PARENT, parent_ids)
    own = made.columns.id
    if own is not None and pa.types.is_string(made.table.schema.field(own).type):
        named = named.replace(own, ids)
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
        raise ValueError(f"steps make {taken - 1} copies of each row; at most {MAX_COPIES}")
    return first


