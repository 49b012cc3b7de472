"""Greedy k-center against a naive traversal and the best of all choices."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.maths.vectors.centers
import pipelines.maths.vectors.farthest_first
from pipelines.maths.vectors.centers import nearest_centers
from pipelines.maths.vectors.farthest_first import farthest_first, plan_parts


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def clumps(groups: int, size: int, spread: float, seed: int = 0, width: int = 16) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(groups, width)), size, axis=0)
    return unit(centres + spread * rng.normal(size=centres.shape))


def distances(vectors: np.ndarray) -> np.ndarray:
    points = np.rint(vectors.astype(np.float64) * 2**26) / 2**26
    return ((points[:, None] - points[None]) ** 2).sum(axis=2)


def naive(vectors: np.ndarray, wanted: int) -> list[int]:
    apart = distances(vectors)
    chosen = [0]
    while len(chosen) < wanted:
        nearest = apart[:, chosen].min(axis=1)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return chosen


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("spread", [0.0, 0.1, 3.0])
def test_farthest_first_equals_the_naive_traversal(monkeypatch, block, spread):
    monkeypatch.setattr(pipelines.maths.vectors.farthest_first, "_BLOCK", block)
    monkeypatch.setattr(pipelines.maths.vectors.farthest_first, "TILE", 13)
    vectors = clumps(groups=20, size=15, spread=spread)
    assert farthest_first(vectors, 120).tolist() == naive(vectors, 120)


@settings(max_examples=60)
@given(st.lists(st.sampled_from(range(8)), min_size=1, max_size=30), st.integers(1, 30))
def test_farthest_first_of_few_points_takes_the_first_of_equals(corners, wanted):
    angles = np.array(corners) * np.pi / 4
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.maths.vectors.farthest_first, "_BLOCK", 3)
        found = farthest_first(vectors, wanted).tolist()
    if wanted < len(vectors):
        assert found == naive(vectors, wanted)
    else:
        assert found == list(range(len(vectors)))


def radius(vectors: np.ndarray, centers) -> float:
    return float(np.sqrt(distances(vectors)[:, list(centers)].min(axis=1).max()))


@pytest.mark.parametrize("seed", range(10))
def test_farthest_first_is_within_twice_the_best_radius(seed):
    vectors = clumps(groups=4, size=3, spread=0.7, seed=seed, width=3)
    best = min(radius(vectors, chosen) for chosen in combinations(range(12), 3))
    assert radius(vectors, farthest_first(vectors, 3)) <= 2 * best + 1e-9


def test_nearest_centers_equal_all_distances_for_any_cut(monkeypatch):
    monkeypatch.setattr(pipelines.maths.vectors.centers, "TILE", 17)
    vectors = clumps(groups=10, size=20, spread=0.5)
    centers = np.concatenate([vectors[::9], vectors[:3]])
    apart = ((vectors[:, None].astype(float) - centers[None]) ** 2).sum(axis=2)
    nearest, squared = nearest_centers(vectors, centers)
    assert nearest.tolist() == apart.argmin(axis=1).tolist()
    assert squared == pytest.approx(apart.min(axis=1), abs=1e-6)
    assert (squared[::9] == 0).all()
    for cut in (1, 3, 100):
        parts = [nearest_centers(vectors[i : i + cut], centers) for i in range(0, 200, cut)]
        assert np.concatenate([part[0] for part in parts]).tolist() == nearest.tolist()
        assert np.concatenate([part[1] for part in parts]).tolist() == squared.tolist()


def test_partitions_balance_both_rounds_and_depend_on_the_rows_alone():
    assert plan_parts(20_000, 10) == 1
    assert plan_parts(20_001, 0) == 1
    assert plan_parts(100_000, 1_000) == 10
    assert plan_parts(100_000, 50_000) == 1
    assert plan_parts(10**8, 10_000) == 100
