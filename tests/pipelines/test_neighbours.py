"""Similar pairs against all products; cells against the nearest centroids."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.neighbours
from pipelines.components import components
from pipelines.neighbours import (
    assign_cells,
    plan_cells,
    similar_pairs,
    spanning_forest,
    train_centroids,
)


def unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clumps(seed: int, groups: int, size: int, spread: float, dimensions: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(groups, dimensions)), size, axis=0)
    return unit(centres + spread * rng.normal(size=centres.shape))


def pairs_of(found) -> dict[tuple[int, int], float]:
    left, right, similarity = found
    assert (left < right).all()
    pairs = dict(
        zip(zip(left.tolist(), right.tolist(), strict=True), similarity.tolist(), strict=True)
    )
    assert len(pairs) == len(left)
    return pairs


def brute(vectors, at_least) -> dict[tuple[int, int], float]:
    wide = vectors.astype(np.float64)
    found = {}
    for i, j in combinations(range(len(wide)), 2):
        similarity = round(min(1.0, float(wide[i] @ wide[j])), 6)
        if similarity >= at_least:
            found[i, j] = similarity
    return found


@pytest.mark.parametrize("at_least", [0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("block", [1, 100, 1 << 23])
def test_similar_pairs_equal_all_products(monkeypatch, at_least, block):
    monkeypatch.setattr(pipelines.neighbours, "_BLOCK", block)
    vectors = clumps(0, groups=20, size=5, spread=0.15)
    vectors[[7, 30, 31]] = vectors[3]  # equal vectors of one clump and of others
    expected = brute(vectors, at_least)
    assert (3, 31) in expected
    assert pairs_of(similar_pairs(vectors, at_least)) == pytest.approx(expected, abs=1.1e-6)


@given(st.integers(0, 99), st.integers(1, 1 << 12))
def test_similar_pairs_do_not_depend_on_order_or_blocks(seed, block):
    vectors = clumps(seed, groups=6, size=4, spread=0.2)
    order = np.random.default_rng(seed).permutation(len(vectors))
    expected = pairs_of(similar_pairs(vectors, 0.8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.neighbours, "_BLOCK", block)
        shuffled = pairs_of(similar_pairs(vectors[order], 0.8))
    assert {tuple(sorted((order[i], order[j]))): s for (i, j), s in shuffled.items()} == expected


@pytest.mark.parametrize("rows", [0, 1])
def test_similar_pairs_of_too_few_are_none(rows):
    assert pairs_of(similar_pairs(np.ones((rows, 4), np.float32) / 2, 0.5)) == {}


@pytest.mark.parametrize(("spread", "copies"), [(0.01, 1), (0.0, 1), (0.3, 10)])
def test_a_blob_past_the_limit_stays_one_component(monkeypatch, spread, copies):
    monkeypatch.setattr(pipelines.neighbours, "_MOST_PAIRS", 50)
    monkeypatch.setattr(pipelines.neighbours, "_BLOCK", 64)
    blob = np.tile(clumps(1, groups=1, size=60 // copies, spread=spread), (copies, 1))
    vectors = np.concatenate([blob, clumps(2, groups=5, size=2, spread=0.01)])
    exact = brute(vectors, 0.8)
    pairs = pairs_of(similar_pairs(vectors, 0.8))
    assert len(pairs) < len(vectors) < len(exact)
    assert all(exact[pair] == pytest.approx(s, abs=1.1e-6) for pair, s in pairs.items())

    def groups(found):
        ends = np.array(list(found)).reshape(-1, 2)
        return components(ends[:, 0], ends[:, 1], len(vectors)).tolist()

    assert groups(pairs) == groups(exact)


def test_spanning_forest_keeps_the_most_similar_edges():
    left, right = np.array([0, 0, 1, 3]), np.array([1, 2, 2, 4])
    found = pairs_of(spanning_forest(left, right, np.array([0.9, 0.8, 1.0, 0.85]), 5))
    assert found == {(0, 1): 0.9, (1, 2): 1.0, (3, 4): 0.85}


def test_plan_cells_is_one_for_small_corpora():
    assert [plan_cells(n) for n in (0, 20_000, 20_001, 10**9)] == [1, 1, 200, 16_384]


def test_train_centroids_is_reproducible_and_finds_clumps():
    sample = clumps(3, groups=8, size=50, spread=0.1)
    first, second = (train_centroids(sample, 8, seed=5) for _ in range(2))
    assert first.shape == (8, 16)
    assert (first == second).all()
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert (sample @ first.T).max(axis=1).min() > 0.6


def test_train_centroids_on_fewer_rows_than_cells_are_the_rows():
    sample = clumps(3, groups=3, size=1, spread=0)
    assert train_centroids(sample, 5, seed=0) is sample


@given(st.integers(0, 99), st.integers(1, 12), st.integers(1, 40))
def test_assign_cells_are_the_nearest_for_any_batch(seed, probes, batch):
    vectors = clumps(seed, groups=40, size=1, spread=0)
    centroids = clumps(seed + 1, groups=9, size=1, spread=0)
    centroids[5] = centroids[2]  # a tie goes to the smaller number
    found = np.concatenate(
        [assign_cells(vectors[i : i + batch], centroids, probes) for i in range(0, 40, batch)]
    )
    product = vectors.astype(np.float64) @ centroids.astype(np.float64).T
    product[:, 5] = product[:, 2]
    expected = np.argsort(-product, axis=1, kind="stable")[:, :probes]
    assert (found == expected).all()


def test_assign_cells_of_one_or_no_vector():
    centroids = clumps(1, groups=9, size=1, spread=0)
    assert assign_cells(centroids[:0], centroids, 4).shape == (0, 4)
    assert assign_cells(centroids[:3], centroids[:1], 4).tolist() == [[0], [0], [0]]
