"""Prototypes of well separated blobs, and distances to them."""

import numpy as np
import pytest

from pipelines.maths.vectors.spherical_kmeans import nearest_prototype, sample_for, train_prototypes

GROUPS = 12


def blobs(size: int = 50, spread: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(0)
    vectors = np.repeat(np.eye(GROUPS, 32), size, axis=0)
    vectors = vectors + spread * rng.normal(size=vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_prototypes_find_each_blob(seed):
    vectors = blobs()
    nearest, _ = nearest_prototype(vectors, train_prototypes(vectors, GROUPS, seed))
    of_blob = nearest.reshape(GROUPS, -1)
    assert (of_blob == of_blob[:, :1]).all()
    assert len(set(of_blob[:, 0].tolist())) == GROUPS


def test_prototype_distances_are_those_of_the_vector_alone():
    vectors = blobs(spread=0.3)
    prototypes = train_prototypes(vectors, 40, seed=1)
    nearest, distance = nearest_prototype(vectors, prototypes)
    product = vectors.astype(float) @ prototypes.T.astype(float)
    assert nearest.tolist() == product.argmax(axis=1).tolist()
    assert distance == pytest.approx(1 - product.max(axis=1), abs=1e-6)
    for cut in (1, 7, 100):
        parts = [nearest_prototype(vectors[i : i + cut], prototypes) for i in range(0, 600, cut)]
        assert np.concatenate([part[0] for part in parts]).tolist() == nearest.tolist()
        assert np.concatenate([part[1] for part in parts]).tolist() == distance.tolist()


def test_prototypes_of_fewer_rows_than_clusters_are_the_rows():
    vectors = blobs()[:5]
    nearest, distance = nearest_prototype(vectors, train_prototypes(vectors, 8, seed=0))
    assert nearest.tolist() == [0, 1, 2, 3, 4]
    assert distance == pytest.approx(np.zeros(5), abs=1e-6)


def test_prototype_of_no_rows_is_no_row():
    nearest, distance = nearest_prototype(np.empty((0, 4), np.float32), np.eye(4, dtype=np.float32))
    assert len(nearest) == len(distance) == 0


def test_prototypes_are_trained_on_a_bounded_sample():
    assert sample_for(2) == 512
    assert sample_for(16_384) == 65_536
