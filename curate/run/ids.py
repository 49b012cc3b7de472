"""Ids that stand for more than one row."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curate.report.examples import Ledger
from pipelines.ledger.counts import Note
from pipelines.maths.arrays import hash_strings
from pipelines.rows import whole
from pipelines.rows.keys import copy_of

MOST = 20_000_000
"""Rows whose ids are compared; more would need too much memory."""


def doubled_ids(ledger: Ledger, rows: int) -> Iterator[Note]:
    """Yield a note if input rows share their ids, with the first such id.

    Two ids count as equal where their 64-bit hashes are.
    """
    if rows > MOST:
        yield _note(f"ids were not compared: there are more than {MOST:,} rows", rows)
        return
    hashes = [np.empty(0, np.uint64), *(hash_strings(ids) for ids in _ids(ledger))]
    values, counts = np.unique(np.concatenate(hashes), return_counts=True)
    twice = values[counts > 1]
    if not len(twice):
        return
    for ids in _ids(ledger):
        at = np.flatnonzero(np.isin(hash_strings(ids), twice))
        if len(at):
            said = f"rows share their id with another row, such as {ids[int(at[0])].as_py()!r}"
            yield _note(said, int(counts[counts > 1].sum()))
            return


def _ids(ledger: Ledger) -> Iterator[pa.Array]:
    for part in ledger:
        given = pa.array(copy_of(part["key"].to_numpy()) == 0)
        yield whole(pc.fill_null(part["id"], "").filter(given))


def _note(said: str, count: int) -> Note:
    return Note.model_validate({"op": "read", "note": said, "count_sum": count})
