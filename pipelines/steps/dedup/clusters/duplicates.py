"""What follows from similar pairs: which row of a component is kept, and why others are dropped."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Floats, Int64
from pipelines.maths.graph.components import components
from pipelines.rows import HOME, KEY, whole
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.corpus import verdict_table
from pipelines.steps.dedup.clusters.conflicts import node_columns
from pipelines.steps.dedup.clusters.keepers import ROW_ID, earlier_detail, keeper_order
from pipelines.steps.dedup.clusters.settled import with_keeper


def thinned(edges: pa.Table, nodes: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Return at most two edges per row: to the best row of its component and to its closest.

    They have the same components, and all evidence that a verdict on more of the corpus can need:
    the row that is kept in the end is the best in any part of its component. Each node comes once.
    """
    graph = _graph(edges, nodes)
    to_best, closest, similarity = _evidence_of(graph)
    row = np.flatnonzero(graph.best != np.arange(len(graph.best)))
    near = np.flatnonzero(closest != graph.best)
    near = near[closest[near] != near]
    keys = graph.nodes[KEY].to_numpy()
    kept = pa.table(
        {
            "a": keys[np.concatenate([row, near])],
            "b": keys[np.concatenate([graph.best[row], closest[near]])],
            "similarity": np.concatenate([to_best[row], similarity[near]]),
        }
    )
    return kept, graph.nodes


def decide_clusters(edges: pa.Table, nodes: pa.Table) -> pa.Table:
    """Return what is known of each row of a component but the best, which is kept.

    Rows of earlier runs are among them where the similarity of some row of their component to the
    best is unknown: they are never dropped, but others may be dropped for them.

    Returns:
        `node_columns`; `ours`, false for rows of earlier runs; `keeper`, `keeper_home` and `other`,
        the key, home and id of the best row; `value`, the similarity to it, NaN where it was not
        measured; `through` and `closest`, the id of the closest row it was compared with and the
        similarity to that.
    """
    graph = _graph(edges, nodes)
    to_best, closest, similarity = _evidence_of(graph)
    keys, homes = graph.nodes[KEY].to_numpy(), graph.nodes[HOME].to_numpy()
    ours = ~of_earlier_run(homes)
    open_ = np.unique(graph.best[ours & np.isnan(to_best) & (graph.best != np.arange(len(keys)))])
    to_best[~ours] = np.nan
    asked = ours | np.isin(graph.best, open_)
    dropped = np.flatnonzero((graph.best != np.arange(len(keys))) & asked)
    keeper, ids = graph.best[dropped], whole(graph.nodes[ROW_ID])
    nodes = node_columns(graph.nodes)
    found = pa.table(
        {
            **{name: nodes[name].take(pa.array(dropped)) for name in nodes.column_names},
            "ours": ours[dropped],
            "keeper": keys[keeper],
            "keeper_home": homes[keeper],
            "other": ids.take(pa.array(keeper)),
            "value": to_best[dropped],
            "through": ids.take(pa.array(closest[dropped])),
            "closest": similarity[dropped],
        }
    )
    return with_keeper(found, nodes, keeper)


def verdicts_on(dropped: pa.Table, reason: str, threshold: float) -> pa.Table:
    """Return the verdicts on rows as `decide_clusters` returns them, all similarities known.

    Where the similarity to the kept row is below the threshold, the detail names what links them;
    it also tells where the kept row is of an earlier run.
    """
    value, keeper = dropped["value"].to_numpy(), dropped["keeper"].to_numpy()
    through = zip(dropped["through"].to_pylist(), dropped["closest"].to_pylist(), strict=True)
    linked = [
        f"linked through {name} ({closest:.2f})" if is_far else ""
        for is_far, (name, closest) in zip(~(value >= threshold), through, strict=True)
    ]
    earlier = earlier_detail(keeper).to_pylist()
    detail = ["; ".join(filter(None, both)) or None for both in zip(linked, earlier, strict=True)]
    return verdict_table(
        dropped[KEY].to_numpy(),
        reason,
        value=value,
        threshold=threshold,
        other=whole(dropped["other"]),
        detail=pa.array(detail, pa.string()),
    )


@dataclass(frozen=True)
class _Graph:
    """Rows by key, the edges between them by position, and the best row of each component."""

    nodes: pa.Table
    a: Int64
    b: Int64
    similarity: Floats
    best: Int64
    """Position of the row that would be kept of each row's component."""
    rank: Int64
    """Place of each row in the order by component, then by which row would rather be kept."""


def _graph(edges: pa.Table, nodes: pa.Table) -> _Graph:
    keys, unique_at = np.unique(nodes[KEY].to_numpy(), return_index=True)
    nodes = nodes.take(pa.array(unique_at))
    a = np.searchsorted(keys, edges["a"].to_numpy())
    b = np.searchsorted(keys, edges["b"].to_numpy())
    groups = components(a, b, len(keys))
    order = keeper_order(groups, nodes)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = groups[order][1:] != groups[order][:-1]
    best, rank = np.empty(len(order), np.int64), np.empty(len(order), np.int64)
    best[order] = order[np.flatnonzero(first)[np.cumsum(first) - 1]]
    rank[order] = np.arange(len(order))
    return _Graph(nodes, a, b, edges["similarity"].to_numpy(), best, rank)


def _evidence_of(graph: _Graph) -> tuple[Floats, Int64, Floats]:
    """Return the similarity of each row to the best of its component, and its closest.

    Returns:
        the similarity to the best, NaN where it was not measured; the position of the closest
        neighbour (of those equally close the one of the smallest rank); the similarity to that.
    """
    measured = ~np.isnan(graph.similarity)
    a, b, similarity = graph.a[measured], graph.b[measured], graph.similarity[measured]
    here, there = np.concatenate([a, b]), np.concatenate([b, a])
    both = np.concatenate([similarity, similarity])
    to_best = np.full(len(graph.best), np.nan)
    direct = graph.best[here] == there
    to_best[here[direct]] = both[direct]
    order = np.lexsort((graph.rank[there], -both, here))
    firsts = order[np.unique(here[order], return_index=True)[1]]
    closest, nearest = np.arange(len(graph.best)), np.ones(len(graph.best))
    closest[here[firsts]], nearest[here[firsts]] = there[firsts], both[firsts]
    return to_best, closest, nearest
