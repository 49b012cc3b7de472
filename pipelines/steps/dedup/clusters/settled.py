"""Clusters whose labels are in conflict, decided again: who is dropped, and for which row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Floats, Int64, Keys, Mask
from pipelines.rows import HOME, KEY, whole
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.dedup.clusters.conflicts import LABEL, Conflicts, labels_of, settle_conflicts
from pipelines.steps.dedup.clusters.keepers import ROW_ID, keeper_order


def conflicts_among(dropped: pa.Table) -> tuple[Mask, Mask]:
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
