"""Connected components of duplicate pairs: union-find on all edges at once."""

import numpy as np

from pipelines.maths.arrays import Int64


def components(left: Int64, right: Int64, nodes: int) -> Int64:
    """Return the component number of each of `nodes` nodes joined by edges (left, right).

    In each turn, every root with smaller roots beside it is hooked to the smallest of these, then
    all paths are shortened. At most half of the roots of a component are smaller than all beside
    them, so there are at most log2(nodes) turns over the edges. Components are numbered by their
    smallest nodes.
    """
    root = np.arange(nodes)
    while True:
        ours, theirs = root[left], root[right]
        apart = ours != theirs
        if not apart.any():
            break
        left, right, ours, theirs = left[apart], right[apart], ours[apart], theirs[apart]
        np.minimum.at(root, np.maximum(ours, theirs), np.minimum(ours, theirs))
        while not np.array_equal(root, shorter := root[root]):
            root = shorter
    numbers = np.cumsum(root == np.arange(nodes)) - 1
    return np.asarray(numbers[root], dtype=np.int64)
