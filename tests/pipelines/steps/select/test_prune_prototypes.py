"""Pruning by distance to prototypes, on blobs whose prototypes are known."""

from functools import cache

import numpy as np
import pytest
from blobs import blobs, column, kept_of, unit
from corpus import cuts, decide, make_rows, play
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.steps.select.prune_prototypes import PrunePrototypes

SIZES = [80, 60, 40]
BLOB = np.repeat(np.arange(len(SIZES)), SIZES)
TOTAL = sum(SIZES)


def step(**options) -> PrunePrototypes:
    return PrunePrototypes(column="v", clusters=len(SIZES), **options)


def loose_and_dense() -> np.ndarray:
    """Blobs whose rows lie at known and different angles around the centre of their blob.

    Opposite directions come in pairs, so that the centre is the centroid.
    """
    angle = np.concatenate([np.repeat(np.linspace(0.01, 0.5, n // 2), 2) for n in SIZES])
    vectors = np.zeros((TOTAL, 12))
    rng = np.random.default_rng(0)
    away = np.repeat(unit(rng.normal(size=(TOTAL // 2, 9))), 2, axis=0)
    away[1::2] *= -1
    vectors[np.arange(TOTAL), BLOB] = np.cos(angle)
    vectors[:, 3:] = np.sin(angle)[:, None] * away
    return vectors


def angles() -> np.ndarray:
    vectors = loose_and_dense()
    return np.arccos(vectors[np.arange(TOTAL), BLOB])


@pytest.mark.parametrize("keep", ["far", "near"])
def test_prune_prototypes_keeps_the_farthest_or_nearest_of_all(tmp_path, keep):
    found = decide(step(rows=50, keep=keep), make_rows(v=column(loose_and_dense())), tmp_path)
    by_angle = np.argsort(angles() if keep == "near" else -angles(), kind="stable")
    assert set(kept_of(found, TOTAL).tolist()) == set(by_angle[:50].tolist())


@pytest.mark.parametrize("keep", ["far", "near"])
def test_prune_prototypes_keeps_a_share_of_each_cluster(tmp_path, keep):
    rows = make_rows(v=column(loose_and_dense()))
    found = decide(step(fraction=0.3, keep=keep, per_cluster=True), rows, tmp_path, [[50], [3]])
    kept = kept_of(found, TOTAL)
    assert np.bincount(BLOB[kept]).tolist() == [24, 18, 12]
    for blob in range(len(SIZES)):
        mine = np.flatnonzero(blob == BLOB)
        by_angle = mine[np.argsort(angles()[mine] if keep == "near" else -angles()[mine])]
        taken = np.intersect1d(kept, mine)
        assert set(taken.tolist()) == set(by_angle[: len(taken)].tolist())


@pytest.mark.parametrize("keep", ["far", "near"])
@pytest.mark.parametrize("per_cluster", [False, True])
def test_prune_prototypes_tells_the_distance_and_that_of_the_last_kept(tmp_path, keep, per_cluster):
    rows = make_rows(v=column(loose_and_dense()))
    found = decide(step(fraction=0.5, keep=keep, per_cluster=per_cluster), rows, tmp_path)
    assert len(found) == TOTAL // 2
    distance = 1 - np.cos(angles())
    for row_id, verdict in found.items():
        assert verdict.reason == "not_selected"
        assert verdict.value == pytest.approx(distance[int(row_id[1:])], abs=1e-3)
        if keep == "far":
            assert verdict.value <= verdict.threshold
        else:
            assert verdict.value >= verdict.threshold
        assert (verdict.detail or "").startswith("cluster") == per_cluster
    assert len({verdict.threshold for verdict in found.values()}) == (3 if per_cluster else 1)


@pytest.mark.parametrize(("size", "kept"), [({"rows": 7}, 7), ({"fraction": 0.3}, 18)])
def test_prune_prototypes_keeps_as_many_as_asked_even_of_copies(tmp_path, size, kept):
    rows = make_rows(v=column(np.ones((60, 4))))
    assert len(decide(step(**size), rows, tmp_path, [[7], [9]])) == 60 - kept


@cache
def reference(work: str, per_cluster: bool):
    rows = make_rows(v=column(blobs(SIZES, 0.5)))
    return play(step(fraction=0.4, per_cluster=per_cluster), rows, work)


@settings(max_examples=20)
@given(cuts(60), st.permutations(range(TOTAL)), st.integers(0, 9), st.booleans())
def test_prune_prototypes_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival, per_cluster
):
    work = str(tmp_path_factory.getbasetemp())
    rows = make_rows(v=column(blobs(SIZES, 0.5)), order=order)
    found = play(step(fraction=0.4, per_cluster=per_cluster), rows, work, cut, arrival=arrival)
    assert found == reference(work, per_cluster)


def test_prune_prototypes_drops_zero_vectors_and_those_of_a_length_unlike_most(tmp_path):
    vectors = [[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [3.0], [0.0, 0.0], [0.0], [1.0, 1.0]]
    found = decide(step(fraction=1), make_rows(v=vectors), tmp_path, [[2], [1, 1]])
    assert {i: v.reason for i, v in found.items()} == {
        "r00001": "zero_vector",
        "r00003": "odd_vector",
        "r00004": "zero_vector",
        "r00005": "odd_vector",
    }
