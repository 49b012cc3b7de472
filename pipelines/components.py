"""Connected components of duplicate pairs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64 = npt.NDArray[np.int64]


def components(left: Int64, right: Int64, nodes: int) -> Int64:
    """Return the component number of each of `nodes` nodes joined by edges (left, right)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Repeated edges are summed: one bit cannot overflow to "no edge".
    graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(nodes, nodes))
    labels: Int64 = connected_components(graph, directed=False)[1].astype(np.int64)
    return labels
