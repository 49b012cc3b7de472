"""Duplicates of one kept row whose labels are in conflict: who is dropped, and for which row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Int64, Mask
from pipelines.rows import HOME, KEY, whole
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.dedup.clusters.conflicts import LABEL, Conflicts, labels_of, settle_conflicts
from pipelines.steps.dedup.clusters.keepers import MERIT, QUALITY, ROW_ID, keeper_order

_KEEPER = "keeper"
_OF_KEEPER = {
    KEY: _KEEPER,
    HOME: "keeper_home",
    ROW_ID: "other",
    QUALITY: "keeper_quality",
    MERIT: "keeper_merit",
    LABEL: "keeper_label",
}
"""What is known of the kept row in the line of a dropped one, by what it is called in its own."""


@dataclass(frozen=True)
class Judged:
    """Rows that are dropped, and what their labels say; one value per row of the table."""

    dropped: pa.Table
    conflict: Mask
    """Rows that are dropped for the conflict, not as duplicates of a kept row."""
    differs: Mask
    """Rows dropped as duplicates of a row of another label."""


def with_keeper(dropped: pa.Table, rows: pa.Table, keeper: Int64) -> pa.Table:
    """Return dropped rows with what a conflict needs of the row that each is dropped for.

    Args:
        dropped: columns NODE and, where there are labels, LABEL; `keeper` and others.
        rows: the same columns of rows that may be kept.
        keeper: position in `rows` of the row that is kept for each.
    """
    of_keeper = rows.take(pa.array(keeper))
    for name, column in _OF_KEEPER.items():
        if name in rows.column_names and column not in dropped.column_names:
            dropped = dropped.append_column(column, of_keeper[name])
    return dropped


def judge(dropped: pa.Table, conflicts: Conflicts) -> Judged:
    """Compare labels; what is done about those that differ needs all rows of each kept row.

    Args:
        dropped: as `with_keeper` returns them.
        conflicts: what is done about labels that differ.

    Returns:
        the rows that are dropped now; the `value` of one that is dropped for another row than
        before is NaN where the two were not compared.
    """
    none = np.zeros(len(dropped), dtype=np.bool_)
    if LABEL not in dropped.column_names or not len(dropped):
        return Judged(dropped, none, none)
    labels, known = labels_of(dropped)
    theirs, theirs_known = labels_of(dropped.select([_OF_KEEPER[LABEL]]).rename_columns([LABEL]))
    if conflicts == "keep":
        known &= theirs_known & ~of_earlier_run(dropped[_KEEPER].to_numpy())
        return Judged(dropped, none, known & (labels != theirs))
    return _settled(dropped, conflicts)


def _settled(dropped: pa.Table, conflicts: Conflicts) -> Judged:
    own = dropped.select(list(_OF_KEEPER))
    kept = dropped.select(list(_OF_KEEPER.values())).rename_columns(list(_OF_KEEPER))
    nodes = pa.concat_tables([own, kept.cast(own.schema)])
    keys, at = np.unique(nodes[KEY].to_numpy(), return_index=True)
    nodes = nodes.take(pa.array(at)).combine_chunks()
    labels, known = labels_of(nodes)
    mine = np.searchsorted(keys, dropped[KEY].to_numpy())
    keeper, value = np.arange(len(keys)), np.ones(len(keys))
    keeper[mine] = np.searchsorted(keys, dropped[_KEEPER].to_numpy())
    value[mine] = dropped["value"].to_numpy()
    rank = np.empty(len(keys), np.int64)
    rank[keeper_order(np.zeros(len(keys), np.int64), nodes)] = np.arange(len(keys))
    known &= ~of_earlier_run(keys[keeper])
    settled = settle_conflicts(keeper, rank, labels, known, conflicts)
    gone = np.flatnonzero(settled.other != np.arange(len(keys)))
    other, before = settled.other[gone], keeper[gone]
    ids = whole(nodes[ROW_ID])
    similarity = np.where(before == gone, value[other], value[gone])  # to the row kept before
    same = (other == before) | (before == gone)
    table = pa.table(
        {
            KEY: keys[gone],
            HOME: nodes[HOME].to_numpy()[gone],
            _KEEPER: keys[other],
            "other": ids.take(pa.array(other)),
            "value": np.where(same, similarity, np.nan),
            "through": ids.take(pa.array(before)),
            "closest": similarity,
        }
    )
    return Judged(table, settled.conflict[gone], settled.differs[gone])
