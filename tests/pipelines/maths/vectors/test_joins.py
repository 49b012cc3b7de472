"""Components and closest neighbours against all products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_vectors import brute, brute_groups, clumps, groups_of, unit

import pipelines.maths.vectors.joins
from pipelines.maths.vectors.joins import Joined, edges_of, join_copies, join_tiles


def join_all(vectors, at_least) -> Joined:
    return join_copies(vectors, lambda first: join_tiles(vectors[first], at_least))


@pytest.mark.parametrize("at_least", [0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("copies", [False, True])
def test_join_equals_all_products(at_least, copies):
    vectors = clumps(0, groups=20, size=5, spread=0.15)
    if copies:  # of one clump and of others
        vectors[[7, 30, 31]] = vectors[3]
    similar = brute(vectors, at_least)
    found = join_all(vectors, at_least)
    assert groups_of(found.group) == brute_groups(similar)
    assert found.similarity == pytest.approx(similar.max(axis=1), abs=1.1e-6)
    met = np.flatnonzero(found.similarity)
    assert similar[met, found.closest[met]] == pytest.approx(found.similarity[met], abs=1.1e-6)
    alone = np.flatnonzero(found.similarity == 0)
    assert (found.closest[alone] == alone).all()
    assert (len(met) > 0) == (at_least < 0.999 or copies)


@given(st.integers(0, 99), st.integers(1, 30), st.sampled_from([0.05, 0.2, 0.4]))
def test_join_finds_the_same_groups_in_any_order_and_tiles(seed, tile, spread):
    vectors = clumps(seed, groups=4, size=8, spread=spread)
    order = np.random.default_rng(seed).permutation(len(vectors))
    similar = brute(vectors, 0.8)[np.ix_(order, order)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.maths.vectors.joins, "TILE", tile)
        found = join_all(vectors[order], 0.8)
    assert groups_of(found.group) == brute_groups(similar)
    assert ((found.similarity > 0) == similar.any(axis=1)).all()
    met = np.flatnonzero(found.similarity)  # with evidence that is true, if not always the closest
    assert similar[met, found.closest[met]] == pytest.approx(found.similarity[met], abs=1.1e-6)


@pytest.mark.parametrize(("rows", "groups"), [(0, 0), (1, 1)])
def test_join_of_too_few_joins_nothing(rows, groups):
    found = join_all(np.ones((rows, 4), np.float32) / 2, 0.5)
    assert found.group.tolist() == found.closest.tolist() == found.similarity.tolist() == [0] * rows
    assert len(groups_of(found.group)) == groups


def test_join_of_a_chain_over_many_tiles_is_one_group(monkeypatch):
    monkeypatch.setattr(pipelines.maths.vectors.joins, "TILE", 3)
    angle = np.random.default_rng(0).permutation(40) * 0.1
    vectors = unit(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert len(set(join_all(vectors, np.cos(0.11)).group.tolist())) == 1
    assert len(set(join_all(vectors, np.cos(0.09)).group.tolist())) == 40


def test_join_leaves_out_most_products_of_a_blob(monkeypatch):
    monkeypatch.setattr(pipelines.maths.vectors.joins, "TILE", 10)
    blob = np.concatenate([clumps(1, 1, 300, 0.01), clumps(2, 1, 300, 0.01), clumps(3, 8, 1, 0)])
    blob = blob[np.random.default_rng(0).permutation(len(blob))]
    seen = []
    note = pipelines.maths.vectors.joins._note_closest
    monkeypatch.setattr(
        pipelines.maths.vectors.joins, "_note_closest", lambda *how: seen.append(note(*how))
    )
    assert groups_of(join_all(blob, 0.9).group) == brute_groups(brute(blob, 0.9))
    assert len(seen) < 61 * 60 / 2 / 4


def test_join_tiles_counts_what_it_leaves_out(monkeypatch):
    monkeypatch.setattr(pipelines.maths.vectors.joins, "TILE", 10)
    vectors = clumps(0, groups=40, size=1, spread=0)
    assert join_tiles(vectors, 0.9).left_out == 0
    assert join_tiles(vectors, 0.9, most=10).left_out == 0
    assert join_tiles(vectors, 0.9, most=7).left_out == 3


@pytest.mark.parametrize("dimensions", [16, 1024])
def test_join_decides_on_the_sixth_decimal_whatever_float32_says(dimensions):
    angle = np.arccos(0.9)
    pair = np.zeros((2, dimensions))
    pair[0, 0], pair[1, :2] = 1, (np.cos(angle), np.sin(angle))
    spin = np.linalg.qr(np.random.default_rng(0).normal(size=(dimensions, dimensions)))[0]
    vectors = unit(pair @ spin)
    assert len(set(join_all(vectors, 0.9).group.tolist())) == 1
    assert len(set(join_all(vectors, 0.900001).group.tolist())) == 2


def test_edges_are_at_most_two_a_row_and_hold_the_components():
    vectors, keys = clumps(0, groups=2, size=100, spread=0.3), np.arange(200) * 7
    joined = join_all(vectors, 0.9)
    edges = edges_of(keys, vectors, joined, 0.9)
    a, b = edges["a"].to_numpy() // 7, edges["b"].to_numpy() // 7
    similar = brute(vectors, 0.9)
    assert 198 <= len(edges) <= 2 * 198
    linked = np.zeros_like(similar)
    linked[a, b] = linked[b, a] = 1
    assert brute_groups(linked) == brute_groups(similar)
    near = edges["similarity"].to_numpy()
    known = ~np.isnan(near)
    assert near[known] == pytest.approx(similar[a, b][known], abs=1.1e-6)
    assert (similar[a, b][~known] == 0).all()


def test_join_clears_only_the_diagonal_where_float32_is_not_symmetric():
    class Skewed(np.ndarray):
        """Vectors whose products in float32 are seen on one side of the diagonal alone."""

        def __matmul__(self, other):
            return np.triu(np.asarray(self) @ np.asarray(other))

    angle = np.array([0.0, 0.1, 0.2, 2.0, 2.1])
    vectors = unit(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    found = join_tiles(vectors.view(Skewed), np.cos(0.15))
    assert groups_of(found.group) == {(0, 1, 2), (3, 4)}
    assert found.similarity == pytest.approx(np.full(5, np.cos(0.1)), abs=1.1e-6)
    assert (found.closest != np.arange(5)).all()
