"""Connected components of a graph too large for one place: alternating stars, then contraction.

Nodes are integers and live in partitions; each function sees the edges of the nodes of one
partition. A few turns of large-star and small-star (Kiveris, Lattanzi, Mirrokni, Rastogi and
Vassilvitskii 2014, "Connected Components in MapReduce and Beyond",
https://doi.org/10.1145/2670979.2670997) pull every node to the smallest it hears of and never add
an edge; nodes numbered at random get there fastest. What is not a star after these turns is
contracted to edges between centres, few enough to be joined in one place; so the answer is exact
after any number of turns.
"""

from typing import NamedTuple

import numpy as np

from pipelines.maths.arrays import Int64
from pipelines.maths.graph.components import components

Edges = tuple[Int64, Int64]


class Contracted(NamedTuple):
    """What `contract` makes of the nodes of a partition."""

    node: Int64
    parent: Int64
    """Smallest neighbour of each node, or itself: the centre of its star."""
    left: Int64
    right: Int64
    """Edges between centres, whose components are those of the graph; none where all are stars."""


def large_star(node: Int64, neighbour: Int64) -> Edges:
    """Link the larger neighbours of each node to the smallest node of its neighbourhood.

    Takes each edge in both directions, at the partition of its first end. Returns edges (larger,
    smaller), each once.
    """
    at, smallest = _smallest(node, neighbour)
    larger = neighbour > node
    return _distinct(neighbour[larger], smallest[at][larger])


def small_star(larger: Int64, smaller: Int64) -> Edges:
    """Link each node and its smaller neighbours to the smallest of them.

    Takes each edge once, at the partition of its larger end. Returns edges (larger, smaller), each
    once.
    """
    at, smallest = _smallest(larger, smaller)
    least = smallest[at]
    others = smaller != least
    return _distinct(
        np.concatenate([larger, smaller[others]]), np.concatenate([least, least[others]])
    )


def contract(node: Int64, neighbour: Int64) -> Contracted:
    """Give each node its smallest neighbour as parent, and return what that leaves to be joined.

    Takes each edge in both directions, at the partition of its first end. Two centres must be
    joined where a node has edges to both, or where one has a parent itself.
    """
    nodes, at = np.unique(node, return_inverse=True)
    _, parent = _smallest(node, neighbour)
    is_centre = np.zeros(len(nodes), dtype=np.bool_)
    is_centre[at[neighbour > node]] = True
    inner = is_centre & (parent < nodes)
    second = (neighbour < node) & (neighbour != parent[at])
    left, right = _distinct(
        np.concatenate([nodes[inner], neighbour[second]]),
        np.concatenate([parent[inner], parent[at][second]]),
    )
    return Contracted(nodes, parent, left, right)


def join_centres(left: Int64, right: Int64) -> Edges:
    """Return the nodes of some edges and the smallest node of the component of each."""
    nodes = np.union1d(left, right)
    labels = components(np.searchsorted(nodes, left), np.searchsorted(nodes, right), len(nodes))
    _, first = np.unique(labels, return_index=True)  # nodes ascend: the first is the smallest
    return nodes, nodes[first][labels]


def _smallest(node: Int64, neighbour: Int64) -> tuple[Int64, Int64]:
    """Return the number of each `node`, and the smallest of each node and its neighbours."""
    nodes, at = np.unique(node, return_inverse=True)
    smallest = nodes.copy()
    np.minimum.at(smallest, at, neighbour)
    return at, smallest


def _distinct(left: Int64, right: Int64) -> Edges:
    """Return each edge once."""
    order = np.lexsort((right, left))
    left, right = left[order], right[order]
    new = np.ones(len(left), dtype=np.bool_)
    new[1:] = (left[1:] != left[:-1]) | (right[1:] != right[:-1])
    return left[new], right[new]
