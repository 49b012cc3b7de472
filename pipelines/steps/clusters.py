"""Verdicts on clusters of duplicates: one row of each is kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.components import components
from pipelines.keepers import ROW_ID, keeper_order
from pipelines.mail import Message
from pipelines.rows import HOME, KEY, whole
from pipelines.steps.corpus import send_home, verdict_table

Int64 = npt.NDArray[np.int64]


def verdicts_of_edges(
    edges: pa.Table, nodes: pa.Table, reason: str, threshold: float
) -> Iterator[Message]:
    """Keep one row of each component and post a verdict for every other.

    Args:
        edges: columns `a`, `b` (keys) and `similarity`, NaN where two rows belong together through
            others; may repeat. Each row has one with a similarity.
        nodes: `_key`, `home` and the credentials of all rows of the edges; may repeat.
        reason: why the others are dropped.
        threshold: the similarity that made an edge.

    The evidence of a dropped row is its similarity to the row that is kept. In a chain (A like B,
    B like C) that was not measured; then it is the similarity to its closest neighbour, which the
    detail names.
    """
    keys, unique_at = np.unique(nodes[KEY].to_numpy(), return_index=True)
    nodes = nodes.take(pa.array(unique_at))
    a = np.searchsorted(keys, edges["a"].to_numpy())
    b = np.searchsorted(keys, edges["b"].to_numpy())
    similarity = edges["similarity"].to_numpy()
    groups = components(a, b, len(keys))
    order = keeper_order(groups, nodes)
    first = np.ones(len(order), dtype=np.bool_)
    first[1:] = groups[order][1:] != groups[order][:-1]
    keeper = np.empty(len(order), dtype=np.int64)
    keeper[order] = order[np.flatnonzero(first)[np.cumsum(first) - 1]]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    neighbour, closest = _best_edge(a, b, similarity, keeper, rank)

    dropped = np.flatnonzero(keeper != np.arange(len(keys)))
    ids = whole(nodes[ROW_ID])
    direct = neighbour[dropped] == keeper[dropped]
    through = [
        None if is_direct else f"linked through {name}"
        for is_direct, name in zip(
            direct, ids.take(pa.array(neighbour[dropped])).to_pylist(), strict=True
        )
    ]
    verdicts = verdict_table(
        keys[dropped],
        reason,
        value=closest[dropped],
        threshold=threshold,
        other=ids.take(pa.array(keeper[dropped])),
        detail=pa.array(through, pa.string()),
    )
    return send_home(verdicts, nodes[HOME].to_numpy()[dropped])


def _best_edge(
    a: Int64, b: Int64, similarity: npt.NDArray[np.float64], keeper: Int64, rank: Int64
) -> tuple[Int64, npt.NDArray[np.float64]]:
    """Return each node's neighbour and similarity: its keeper where they met, else the closest.

    Of neighbours equally close the one of the smallest rank is taken.
    """
    measured = ~np.isnan(similarity)
    a, b, similarity = a[measured], b[measured], similarity[measured]
    here, there = np.concatenate([a, b]), np.concatenate([b, a])
    both = np.concatenate([similarity, similarity])
    to_keeper = keeper[here] == there
    order = np.lexsort((rank[there], -both, ~to_keeper, here))
    firsts = order[np.unique(here[order], return_index=True)[1]]
    neighbour = np.arange(len(keeper))
    closest = np.ones(len(keeper))
    neighbour[here[firsts]], closest[here[firsts]] = there[firsts], both[firsts]
    return neighbour, closest
