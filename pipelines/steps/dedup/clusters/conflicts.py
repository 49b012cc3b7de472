"""Duplicates that carry different labels: found in each group, and settled as the recipe says.

A group is a kept row and the rows that are dropped for it; its labels are in conflict if it has two
different ones. Rows without a label contradict nobody. Of rows of an earlier run no label is known,
and what is dropped for one of them is dropped whatever its label: such a group is not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.exchange.mail import Message, note
from pipelines.maths.arrays import Floats, Int64, Keys, Mask, UInt64, hash_strings
from pipelines.rows import HOME, KEY, Rows, whole
from pipelines.rows.keys import of_earlier_run
from pipelines.rows.profile import encoded_labels
from pipelines.steps.dedup.clusters.keepers import NODE, ROW_ID, keeper_order

Conflicts = Literal["keep", "drop_all", "majority"]
"""What is done about a group whose labels differ: the label of the kept row stays, all rows of the
group go, or a row of the most frequent label is kept."""

LABEL = "label_hash"
"""uint64; hash of the label of a row, null where it has none."""
LABEL_CONFLICT = "label_conflict"
"""Reason of rows that are dropped because nobody can tell which label of their group is right."""
OTHER_LABEL = "which has another label"
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
    said = f"rows that step {step} ({op}) dropped as duplicates have another label than the row "
    said += "kept for them"
    return [note(op, said, count, step, CONFLICT if conflicts == "keep" else None)]


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


def differing(dropped: pa.Table) -> tuple[Mask, Mask]:
    """Return `conflict` and `differs` of the rows that `settle_dropped` returns."""
    none = np.zeros(len(dropped), dtype=np.bool_)
    if "conflict" not in dropped.column_names:
        return none, none
    conflict, differs = (
        dropped[name].fill_null(False).to_numpy() for name in ("conflict", "differs")
    )
    return conflict, differs


def settle_dropped(
    dropped: pa.Table, edges: pa.Table, nodes: pa.Table, conflicts: Conflicts
) -> pa.Table:
    """Return the rows that are dropped of some clusters, their labels compared.

    Args:
        dropped: as `decide_clusters` returns them.
        edges: `a`, `b` and `similarity` of rows that were compared.
        nodes: `node_columns` of all rows of these clusters; may repeat.
        conflicts: what is done about labels that differ.

    Returns:
        the same columns, with `conflict` and `differs` as in `Settled` where a row has a label; the
        `value` of a row that is dropped for another one than before is NaN where the two were not
        compared.
    """
    if LABEL not in nodes.column_names:
        return dropped
    keys, at = np.unique(nodes[KEY].to_numpy(), return_index=True)
    nodes = nodes.take(pa.array(at))
    labels, known = labels_of(nodes)
    mine = np.searchsorted(keys, dropped[KEY].to_numpy())
    keeper = np.arange(len(keys))
    keeper[mine] = np.searchsorted(keys, dropped["keeper"].to_numpy())
    rank = np.empty(len(keys), np.int64)
    rank[keeper_order(np.zeros(len(keys), np.int64), nodes)] = np.arange(len(keys))
    known &= ~of_earlier_run(keys[keeper])
    settled = settle_conflicts(keeper, rank, labels, known, conflicts)
    same = settled.other[mine] == keeper[mine]
    gone = np.flatnonzero(settled.other != np.arange(len(keys)))
    moved = np.setdiff1d(gone, mine[same], assume_unique=True)
    table = dropped.filter(pa.array(same))
    if len(moved):
        again = _dropped_for(moved, settled.other[moved], nodes, _Measured.of(edges, keys, rank))
        table = pa.concat_tables([table, again.select(table.column_names).cast(table.schema)])
    now = np.searchsorted(keys, table[KEY].to_numpy())
    table = table.append_column("conflict", pa.array(settled.conflict[now]))
    return table.append_column("differs", pa.array(settled.differs[now]))


def _dropped_for(rows: Int64, other: Int64, nodes: pa.Table, measured: _Measured) -> pa.Table:
    """Return rows that are dropped for others, as `decide_clusters` returns them."""
    keys, homes, ids = nodes[KEY].to_numpy(), nodes[HOME].to_numpy(), whole(nodes[ROW_ID])
    through, closest = measured.closest(rows)
    return pa.table(
        {
            KEY: keys[rows],
            HOME: homes[rows],
            "keeper": keys[other],
            "keeper_home": homes[other],
            "other": ids.take(pa.array(other)),
            "value": measured.similarity_of(rows, other),
            "through": ids.take(pa.array(through)),
            "closest": closest,
        }
    )


@dataclass(frozen=True)
class _Measured:
    """Pairs of positions that were compared, each seen from both rows; the closest come first."""

    here: Int64
    there: Int64
    similarity: Floats

    @classmethod
    def of(cls, edges: pa.Table, keys: Keys, rank: Int64) -> _Measured:
        a, b = (np.searchsorted(keys, edges[end].to_numpy()) for end in ("a", "b"))
        here, there = np.concatenate([a, b]), np.concatenate([b, a])
        similarity = np.tile(edges["similarity"].to_numpy(), 2)
        # Of equally close rows the one of the smallest rank: it is in every thinning of the edges.
        order = np.lexsort((rank[there], -similarity, here))
        order = order[~np.isnan(similarity[order])]
        return cls(here[order], there[order], similarity[order])

    def closest(self, rows: Int64) -> tuple[Int64, Floats]:
        """Return the row that each was found closest to, and the similarity to it."""
        at = np.searchsorted(self.here, rows)
        return self.there[at], self.similarity[at]

    def similarity_of(self, rows: Int64, other: Int64) -> Floats:
        """Return the similarity of pairs of rows, NaN where they were not compared."""
        n = 1 + max(self.here.max(), rows.max(), other.max())
        pairs, asked = self.here * n + self.there, rows * n + other
        order = np.argsort(pairs, kind="stable")
        at = order[np.minimum(np.searchsorted(pairs, asked, sorter=order), len(pairs) - 1)]
        found: Floats = np.where(pairs[at] == asked, self.similarity[at], np.nan)
        return found
