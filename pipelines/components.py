"""Connected components of duplicate pairs, and the verdicts that follow from them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipelines.keepers import ROW_ID, keeper_order
from pipelines.mail import Message
from pipelines.rows import KEY, whole
from pipelines.steps.corpus import HOME, send_home, verdict_table

Int64 = npt.NDArray[np.int64]


def components(left: Int64, right: Int64, nodes: int) -> Int64:
    """Return the component number of each of `nodes` nodes joined by edges (left, right)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def verdicts_of_edges(
    edges: pa.Table, nodes: pa.Table, reason: str, threshold: float
) -> Iterator[Message]:
    """Keep one row of each component and post a verdict for every other.

    Args:
        edges: columns `a`, `b` (keys) and `similarity`; may repeat.
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
    neighbour, closest = _best_edge(a, b, similarity, keeper)

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
    a: Int64, b: Int64, similarity: npt.NDArray[np.float64], keeper: Int64
) -> tuple[Int64, npt.NDArray[np.float64]]:
    """Return each node's neighbour and similarity: its keeper where they met, else the closest."""
    here, there = np.concatenate([a, b]), np.concatenate([b, a])
    both = np.concatenate([similarity, similarity])
    to_keeper = keeper[here] == there
    order = np.lexsort((there, -both, ~to_keeper, here))
    firsts = order[np.unique(here[order], return_index=True)[1]]
    neighbour = np.arange(len(keeper))
    closest = np.ones(len(keeper))
    neighbour[here[firsts]], closest[here[firsts]] = there[firsts], both[firsts]
    return neighbour, closest
