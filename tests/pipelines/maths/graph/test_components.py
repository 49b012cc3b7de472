"""Connected components."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.graph.components import components

EDGES = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=20)


def groups_of(edges, nodes) -> list[set[int]]:
    groups = [{i} for i in range(nodes)]
    for a, b in edges:
        first = next(g for g in groups if a in g)
        second = next(g for g in groups if b in g)
        if first is not second:
            groups.remove(second)
            first |= second
    return groups


@given(EDGES)
def test_components_equal_merging_by_hand(edges):
    ends = np.array(edges, dtype=np.int64).reshape(-1, 2)
    found = components(ends[:, 0], ends[:, 1], 10)
    by_number = {tuple(np.flatnonzero(found == c)) for c in np.unique(found)}
    assert by_number == {tuple(sorted(g)) for g in groups_of(edges, 10)}


def test_components_survive_an_edge_repeated_256_times():
    left, right = np.zeros(256, np.int64), np.ones(256, np.int64)
    assert len(set(components(left, right, 2).tolist())) == 1


def test_components_of_a_long_path_in_any_order_are_one():
    way = np.random.default_rng(0).permutation(5000)
    found = components(way[:-1], way[1:], 5001)
    assert set(found[:5000].tolist()) == {0}
    assert found[5000] == 1
