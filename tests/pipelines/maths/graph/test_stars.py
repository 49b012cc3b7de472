"""Components by stars over partitions, against all edges in one place."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.graph.components import components
from pipelines.maths.graph.stars import contract, join_centres, large_star, small_star

PARTITIONS = 5


def parted(left, right):
    """Cut edges by the partition of their first end."""
    at = left * 7919 % PARTITIONS
    return [(left[at == p], right[at == p]) for p in range(PARTITIONS)]


def both(left, right):
    return np.concatenate([left, right]), np.concatenate([right, left])


def merged(parts):
    left, right = zip(*parts, strict=True)
    return np.concatenate(left), np.concatenate(right)


def labels_by_stars(left, right, turns: int) -> tuple[dict[int, int], int]:
    """Return the label of each node, and the edges that had to be joined in one place."""
    for _ in range(turns):
        left, right = merged([large_star(*part) for part in parted(*both(left, right))])
        left, right = merged([small_star(*part) for part in parted(left, right)])
    done = [contract(*part) for part in parted(*both(left, right))]
    edges = merged([(part.left, part.right) for part in done])
    joined = dict(zip(*(x.tolist() for x in join_centres(*edges)), strict=True))
    parent = {n: p for part in done for n, p in zip(*_nodes(part), strict=True)}
    return {node: joined.get(p, p) for node, p in parent.items()}, len(edges[0])


def _nodes(part):
    return part.node.tolist(), part.parent.tolist()


def labels_in_one_place(left, right) -> dict[int, int]:
    nodes = np.union1d(left, right)
    groups = components(np.searchsorted(nodes, left), np.searchsorted(nodes, right), len(nodes))
    return {int(n): int(nodes[groups == g].min()) for n, g in zip(nodes, groups, strict=True)}


def path(nodes: int, seed: int):
    order = np.random.default_rng(seed).permutation(nodes)
    return order[:-1], order[1:]


EDGES = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20)).filter(lambda e: e[0] != e[1]),
    min_size=1,
    max_size=60,
).map(lambda edges: tuple(np.array(edges, dtype=np.int64).T))


@given(EDGES, st.integers(0, 4))
def test_stars_give_the_components_of_any_graph_after_any_turns(edges, turns):
    found, _ = labels_by_stars(*edges, turns)
    assert found == labels_in_one_place(*edges)


@pytest.mark.parametrize("turns", [0, 1, 3])
@pytest.mark.parametrize("order", ["random", "ascending"])
def test_stars_join_a_path_of_1000_nodes(turns, order):
    left, right = path(1000, 0) if order == "random" else (np.arange(999), np.arange(1, 1000))
    found, at_the_end = labels_by_stars(left, right, turns)
    assert set(found.values()) == {0}
    assert len(found) == 1000
    assert order == "ascending" or at_the_end <= 1000 / 2**turns  # the order of nodes matters


@pytest.mark.parametrize("centre", [0, 500, 999])
def test_stars_join_a_star_in_one_turn(centre):
    others = np.delete(np.arange(1000), centre)
    found, at_the_end = labels_by_stars(np.full(999, centre), others, 1)
    assert set(found.values()) == {0}
    assert at_the_end == 0


def test_stars_join_cliques_in_one_turn():
    rng = np.random.default_rng(0)
    cliques = rng.permutation(600).reshape(20, 30)
    i, j = np.triu_indices(30, 1)
    edges = cliques[:, i].ravel(), cliques[:, j].ravel()
    found, at_the_end = labels_by_stars(*edges, 1)
    assert found == {int(n): int(clique.min()) for clique in cliques for n in clique}
    assert at_the_end == 0


@pytest.mark.parametrize("degree", [0.8, 1.0, 3.0])
def test_stars_never_add_edges_and_join_random_graphs(degree):
    rng = np.random.default_rng(1)
    left, right = rng.integers(0, 2000, (2, int(1000 * degree)))
    left, right = left[left != right], right[left != right]
    expected, edges = labels_in_one_place(left, right), len(left)
    for turns in range(4):
        found, at_the_end = labels_by_stars(left, right, turns)
        assert found == expected
        assert at_the_end <= edges
        edges = at_the_end
    assert at_the_end < 0.02 * len(expected)


def test_stars_of_no_edges_are_none():
    none = np.empty(0, np.int64)
    for found in (large_star(none, none), small_star(none, none), join_centres(none, none)):
        assert [len(x) for x in found] == [0, 0]
    assert [len(x) for x in contract(none, none)] == [0, 0, 0, 0]
