"""Duplicates that carry different labels: found in each group, and settled as the recipe says.

A group is a kept row and the rows that are dropped for it; its labels are in conflict if it has two
different ones. Rows without a label contradict nobody. Of rows of an earlier run no label is known,
and what is dropped for one of them is dropped whatever its label: such a group is not judged.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.exchange.mail import Message, note
from pipelines.maths.arrays import Int64, Mask, UInt64, hash_strings
from pipelines.rows import Rows, whole
from pipelines.rows.profile import encoded_labels
from pipelines.steps.dedup.clusters.keepers import NODE

Conflicts = Literal["keep", "drop_all", "majority"]
"""What is done about a group whose labels differ: the label of the kept row stays, all rows of the
group go, or a row of the most frequent label is kept."""

LABEL = "label_hash"
"""uint64; hash of the label of a row, null where it has none."""
LABEL_CONFLICT = "label_conflict"
"""Reason of rows that are dropped because nobody can tell which label of their group is right."""
OTHER_LABEL = "their labels differ"
"""Detail of a row that is dropped for one of another label."""
CONFLICT = "labels"
"""Kind of the note that warns of such rows."""


@dataclass(frozen=True)
class Settled:
    """What becomes of rows once the labels of their groups are compared, by position."""

    other: Int64
    """The row each is dropped for; a row that is kept stands for itself."""
    conflict: Mask
    """Rows that are dropped for the conflict, not as duplicates of a kept row."""
    differs: Mask
    """Rows dropped as duplicates of a row of another label."""


def label_hashes(rows: Rows) -> pa.Array:
    """Return the hash of each label, as the text it would be stored as; null where there is none.

    A column that cannot hold classes, such as lists, has no labels.
    """
    found = encoded_labels(rows)
    if found is None:
        return pa.nulls(len(rows), pa.uint64())
    names, codes = found
    return pa.array(hash_strings(pa.array(names))[codes], mask=codes < 0)


def unlabelled(table: pa.Table) -> pa.Table:
    """Return a table without the column of labels where it has none, so that none are shuffled."""
    if LABEL in table.column_names and table[LABEL].null_count == len(table):
        return table.drop_columns([LABEL])
    return table


def node_columns(table: pa.Table) -> pa.Table:
    """Return columns NODE of a table, and LABEL where there are labels."""
    return table.select([*NODE, *([LABEL] if LABEL in table.column_names else [])])


def labels_of(table: pa.Table) -> tuple[UInt64, Mask]:
    """Return the label of each row of a table and which rows have one."""
    if LABEL not in table.column_names:
        return np.zeros(len(table), np.uint64), np.zeros(len(table), np.bool_)
    column = whole(table[LABEL])
    known: Mask = column.is_valid().to_numpy(zero_copy_only=False)
    return column.fill_null(0).cast(pa.uint64()).to_numpy(), known


def settle_conflicts(
    keeper: Int64, rank: Int64, labels: UInt64, known: Mask, conflicts: Conflicts
) -> Settled:
    """Compare the labels within groups of duplicates and decide about those that differ.

    With `majority`, the first row of the label that most rows of the group have is kept; where two
    labels are equally frequent, all rows go, as with `drop_all`.

    Args:
        keeper: position of the row that each row would be dropped for, its own if it is kept.
        rank: place of each row in the order in which rows would be kept.
        labels: of each row.
        known: which rows have a label.
        conflicts: what is done about a conflict.
    """
    other, conflict = keeper.copy(), np.zeros(len(keeper), dtype=np.bool_)
    order = np.lexsort((rank, keeper))
    labelled = order[known[order]]
    first = _first_of_group(keeper, labelled)
    unlike = labelled[labels[labelled] != labels[first[labelled]]]
    second = _first_of_group(keeper, unlike)
    doubtful = (second >= 0) & (conflicts != "keep")
    if conflicts == "majority":
        winner = _winners(keeper, labels, labelled[doubtful[labelled]])
        settled = doubtful & (winner[keeper] >= 0)
        other[settled] = winner[keeper[settled]]
        doubtful &= ~settled
    conflict |= doubtful
    agrees = doubtful & known & (labels == labels[first])
    other[doubtful] = first[doubtful]
    other[agrees] = second[agrees]
    differs = known & known[other] & (labels != labels[other]) & ~conflict
    return Settled(other, conflict, differs)


def _first_of_group(keeper: Int64, rows: Int64) -> Int64:
    """Return for each row the first of some rows of its group, -1 where none of them is in it."""
    first = np.full(len(keeper), -1, dtype=np.int64)
    groups, at = np.unique(keeper[rows], return_index=True)
    first[groups] = rows[at]
    return first[keeper]


def _winners(keeper: Int64, labels: UInt64, rows: Int64) -> Int64:
    """Return the first row of each group that has its most frequent label, by keeper.

    Args:
        keeper: of each row.
        labels: of each row.
        rows: those that count, by group and rank.

    Returns:
        the row at the position of the keeper, -1 where two labels are equally frequent.
    """
    winner = np.full(len(keeper), -1, dtype=np.int64)
    if not len(rows):
        return winner
    order = rows[np.lexsort((np.arange(len(rows)), labels[rows], keeper[rows]))]
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (np.diff(keeper[order]) != 0) | (labels[order][1:] != labels[order][:-1])
    opens = np.flatnonzero(new)
    counts = np.diff(np.append(opens, len(order)))
    group, best = keeper[order[opens]], np.zeros(len(keeper), np.int64)
    np.maximum.at(best, group, counts)
    top = counts == best[group]
    alone = top & (np.bincount(group[top], minlength=len(keeper))[group] == 1)
    winner[group[alone]] = order[opens[alone]]
    return winner


def note_conflicts(step: int, op: str, count: int, conflicts: Conflicts) -> list[Message]:
    """Return what the planner is told of rows dropped for one of another label."""
    if not count:
        return []
    said = f"rows that step {step} ({op}) dropped as duplicates have another label than the row"
    if conflicts != "keep":
        return [note(op, f"{said} kept for them", count, step)]
    return [note(op, f"{said} kept for them (see `conflicts`)", count, step, CONFLICT)]


def with_conflicts(verdicts: pa.Table, conflict: Mask, differs: Mask) -> pa.Table:
    """Return verdicts on duplicates that say so where labels differ.

    Args:
        verdicts: as `verdict_table` returns them.
        conflict: of each, as in `Settled`.
        differs: of each, as in `Settled`.
    """
    if conflict.any():
        reason = pc.if_else(pa.array(conflict), LABEL_CONFLICT, verdicts["reason"])
        verdicts = verdicts.set_column(verdicts.column_names.index("reason"), "reason", reason)
    if differs.any():
        detail = verdicts["detail"]
        said = pc.coalesce(pc.binary_join_element_wise(detail, OTHER_LABEL, "; "), OTHER_LABEL)
        detail = pc.if_else(pa.array(differs), said, detail)
        verdicts = verdicts.set_column(verdicts.column_names.index("detail"), "detail", detail)
    return verdicts
