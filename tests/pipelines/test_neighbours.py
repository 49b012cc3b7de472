"""Components and closest neighbours against all products; cells against the nearest centroids."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pipelines.neighbours
from pipelines.components import components
from pipelines.neighbours import (
    assign_cells,
    join_similar,
    margin_of,
    plan_cells,
    similarities,
    train_centroids,
)


def unit(vectors) -> np.ndarray:
    vectors = np.asarray(vectors, dtype=np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clumps(seed: int, groups: int, size: int, spread: float, dimensions: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(groups, dimensions)), size, axis=0)
    return unit(centres + spread * rng.normal(size=centres.shape))


def brute(vectors, at_least) -> np.ndarray:
    """All similarities to six decimals, 0 below the threshold and of a vector with itself."""
    wide = vectors.astype(np.float64)
    product = np.minimum(wide @ wide.T, 1).round(6)
    np.fill_diagonal(product, 0)
    return np.where(product >= at_least, product, 0)


def groups_of(numbers) -> set[tuple[int, ...]]:
    return {tuple(np.flatnonzero(numbers == number).tolist()) for number in np.unique(numbers)}


def brute_groups(similar) -> set[tuple[int, ...]]:
    return groups_of(components(*np.nonzero(similar), len(similar)))


@pytest.mark.parametrize("at_least", [0.3, 0.9, 0.999, 1.0])
@pytest.mark.parametrize("copies", [False, True])
def test_join_similar_equals_all_products(at_least, copies):
    vectors = clumps(0, groups=20, size=5, spread=0.15)
    if copies:  # of one clump and of others
        vectors[[7, 30, 31]] = vectors[3]
    similar = brute(vectors, at_least)
    found = join_similar(vectors, at_least)
    assert groups_of(found.group) == brute_groups(similar)
    assert found.similarity == pytest.approx(similar.max(axis=1), abs=1.1e-6)
    met = np.flatnonzero(found.similarity)
    assert similar[met, found.closest[met]] == pytest.approx(found.similarity[met], abs=1.1e-6)
    alone = np.flatnonzero(found.similarity == 0)
    assert (found.closest[alone] == alone).all()
    assert (len(met) > 0) == (at_least < 0.999 or copies)


@given(st.integers(0, 99), st.integers(1, 30), st.sampled_from([0.05, 0.2, 0.4]))
def test_join_similar_finds_the_same_groups_in_any_order_and_tiles(seed, tile, spread):
    vectors = clumps(seed, groups=4, size=8, spread=spread)
    order = np.random.default_rng(seed).permutation(len(vectors))
    similar = brute(vectors, 0.8)[np.ix_(order, order)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.neighbours, "_TILE", tile)
        found = join_similar(vectors[order], 0.8)
    assert groups_of(found.group) == brute_groups(similar)
    assert ((found.similarity > 0) == similar.any(axis=1)).all()
    met = np.flatnonzero(found.similarity)  # with evidence that is true, if not always the closest
    assert similar[met, found.closest[met]] == pytest.approx(found.similarity[met], abs=1.1e-6)


@pytest.mark.parametrize(("rows", "groups"), [(0, 0), (1, 1)])
def test_join_similar_of_too_few_joins_nothing(rows, groups):
    found = join_similar(np.ones((rows, 4), np.float32) / 2, 0.5)
    assert found.group.tolist() == found.closest.tolist() == found.similarity.tolist() == [0] * rows
    assert len(groups_of(found.group)) == groups


def test_join_similar_of_a_chain_over_many_tiles_is_one_group(monkeypatch):
    monkeypatch.setattr(pipelines.neighbours, "_TILE", 3)
    angle = np.random.default_rng(0).permutation(40) * 0.1
    vectors = unit(np.stack([np.cos(angle), np.sin(angle)], axis=1))
    assert len(set(join_similar(vectors, np.cos(0.11)).group.tolist())) == 1
    assert len(set(join_similar(vectors, np.cos(0.09)).group.tolist())) == 40


def test_join_similar_leaves_out_most_products_of_a_blob(monkeypatch):
    monkeypatch.setattr(pipelines.neighbours, "_TILE", 10)
    blob = np.concatenate([clumps(1, 1, 300, 0.01), clumps(2, 1, 300, 0.01), clumps(3, 8, 1, 0)])
    blob = blob[np.random.default_rng(0).permutation(len(blob))]
    seen = []
    note = pipelines.neighbours._note_closest
    monkeypatch.setattr(pipelines.neighbours, "_note_closest", lambda *how: seen.append(note(*how)))
    assert groups_of(join_similar(blob, 0.9).group) == brute_groups(brute(blob, 0.9))
    assert len(seen) < 61 * 60 / 2 / 4


def test_similarities_are_products_to_six_decimals_of_at_most_one(monkeypatch):
    monkeypatch.setattr(pipelines.neighbours, "_TILE", 7)
    left, right = clumps(0, 20, 1, 0), clumps(1, 20, 1, 0)
    expected = (left.astype(np.float64) * right).sum(axis=1).round(6)
    assert similarities(left, right) == pytest.approx(expected, abs=1.1e-6)
    assert (similarities(left, left) == 1).all()


def test_plan_cells_is_one_for_small_corpora():
    assert [plan_cells(n) for n in (0, 20_000, 20_001, 10**9)] == [1, 1, 200, 16_384]


def test_train_centroids_is_reproducible_and_finds_clumps():
    sample = clumps(3, groups=8, size=50, spread=0.1)
    first, second = (train_centroids(sample, 8, seed=5) for _ in range(2))
    assert first.shape == (8, 16)
    assert (first == second).all()
    assert np.allclose(np.linalg.norm(first, axis=1), 1, atol=1e-5)
    assert (sample @ first.T).max(axis=1).min() > 0.6


def test_train_centroids_are_the_same_for_any_number_of_threads():
    import faiss

    sample = clumps(3, groups=1, size=6400, spread=0.1, dimensions=256)
    kept, trained = faiss.omp_get_max_threads(), []
    for threads in (1, 2, 3):
        faiss.omp_set_num_threads(threads)
        trained.append(train_centroids(sample, 200, seed=5))
        assert faiss.omp_get_max_threads() == threads
    faiss.omp_set_num_threads(kept)
    assert all((one == trained[0]).all() for one in trained)


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


def test_assign_cells_beyond_the_margin_are_left_out_for_any_batch():
    vectors, centroids = clumps(1, 40, 1, 0), clumps(2, 9, 1, 0)
    product = np.sort(vectors.astype(np.float64) @ centroids.astype(np.float64).T)[:, ::-1]
    found = assign_cells(vectors, centroids, 4, margin=0.1)
    single = np.concatenate([assign_cells(v[None], centroids, 4, margin=0.1) for v in vectors])
    assert (found == single).all()
    assert ((found >= 0) == (product[:, :1] - product[:, :4] <= 0.1)).all()
    assert 0 < (found >= 0)[:, 1:].sum() < 120
    every = assign_cells(vectors, centroids, 4)
    assert (found == np.where(found >= 0, every, -1)).all()


def test_margin_shrinks_with_the_similarity_and_never_to_nothing():
    margins = [margin_of(s) for s in (0.5, 0.9, 0.99, 1.0)]
    assert margins == sorted(margins, reverse=True)
    assert margins[0] == pytest.approx(0.5, abs=1e-6)
    assert margins[-1] > 0


def test_assign_cells_of_one_or_no_vector():
    centroids = clumps(1, groups=9, size=1, spread=0)
    assert assign_cells(centroids[:0], centroids, 4).shape == (0, 4)
    assert assign_cells(centroids[:3], centroids[:1], 4).tolist() == [[0], [0], [0]]
