"""Cells against the nearest centroids; similarities against products."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from unit_vectors import clumps

import pipelines.maths.vectors.unit_vectors
from pipelines.maths.vectors.unit_vectors import (
    assign_cells,
    fit_centroids,
    float32_error,
    margin_of,
    plan_cells,
    similarities,
    train_centroids,
)


def test_similarities_are_products_to_six_decimals_of_at_most_one(monkeypatch):
    monkeypatch.setattr(pipelines.maths.vectors.unit_vectors, "TILE", 7)
    left, right = clumps(0, 20, 1, 0), clumps(1, 20, 1, 0)
    expected = (left.astype(np.float64) * right).sum(axis=1).round(6)
    assert similarities(left, right) == pytest.approx(expected, abs=1.1e-6)
    assert (similarities(left, left) == 1).all()


def test_plan_cells_is_one_for_small_corpora():
    assert [plan_cells(n) for n in (0, 20_000, 20_001, 10**6, 10**9)] == [1, 1, 423, 3000, 16_384]


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


def test_fit_centroids_of_one_cell_is_the_mean_direction_for_any_order():
    vectors = clumps(1, groups=3, size=50, spread=0.5)
    mean = vectors.astype(np.float64).mean(axis=0)
    found = fit_centroids(vectors, 1, seed=0)
    np.testing.assert_allclose(found, [mean / np.linalg.norm(mean)], atol=1e-6)
    assert (fit_centroids(vectors[::-1], 1, seed=0) == found).all()
    assert not fit_centroids(np.zeros((2, 4), np.float32), 1, seed=0).any()


def test_float32_error_bounds_products_of_unit_vectors():
    vectors = clumps(1, groups=200, size=1, spread=0, dimensions=512)
    exact = vectors.astype(np.float64) @ vectors.astype(np.float64).T
    assert np.abs(vectors @ vectors.T - exact).max() < float32_error(512) < 1e-4
