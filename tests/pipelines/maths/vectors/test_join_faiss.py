"""FAISS indexes: what they propose against all products, and errors that help."""

import numpy as np
import pytest
from unit_vectors import brute, brute_groups, clumps, groups_of

from pipelines.maths.vectors.join_faiss import IndexSpec, join_nearest, make_index

VECTORS = clumps(0, groups=60, size=5, spread=0.2)


@pytest.mark.parametrize(
    ("factory", "search"),
    [
        ("Flat", None),
        ("HNSW16", "efSearch=64"),
        ("IVF4,Flat", "nprobe=4"),
        ("SQ8", None),
    ],
)
def test_join_nearest_equals_all_products_where_neighbours_are_found(factory, search):
    found = join_nearest(VECTORS, 0.9, IndexSpec(factory, 20, search), seed=0)
    similar = brute(VECTORS, 0.9)
    assert groups_of(found.group) == brute_groups(similar)
    met = np.flatnonzero(found.similarity)
    assert found.similarity == pytest.approx(similar.max(axis=1), abs=1.1e-6)
    assert similar[met, found.closest[met]] == pytest.approx(found.similarity[met], abs=1.1e-6)


def test_join_nearest_never_joins_on_approximate_scores():
    found = join_nearest(VECTORS, 0.97, IndexSpec("IVF4,PQ2x4", 50, "nprobe=4"), seed=0)
    similar = brute(VECTORS, 0.97)
    met = np.flatnonzero(found.similarity)
    assert len(met) > 0
    assert (similar[met, found.closest[met]] >= 0.97).all()


def test_join_nearest_asks_for_so_many_neighbours():
    blob = clumps(0, groups=1, size=40, spread=0.1)
    one = join_nearest(blob, 0.9, IndexSpec("Flat", 1), seed=0)
    many = join_nearest(blob, 0.9, IndexSpec("Flat", 99), seed=0)
    assert len(groups_of(one.group)) > len(groups_of(many.group)) == 1
    assert (one.similarity == many.similarity).all()


def test_join_nearest_is_the_same_each_time():
    first, second = (
        join_nearest(VECTORS, 0.9, IndexSpec("IVF16,PQ4x4", 3), seed=1) for _ in range(2)
    )
    assert (first.group == second.group).all()
    assert (first.closest == second.closest).all()


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (IndexSpec("IVFF10", 5), r"index 'IVFF10' .*16 numbers.*could not parse.*index-factory"),
        (IndexSpec("PQ5", 5), r"index 'PQ5' .*multiple of the number of subquantizers"),
        (IndexSpec("HNSW32", 5, "nprobe=3"), r"search 'nprobe=3' .*'HNSW32'.*could not set"),
    ],
)
def test_make_index_tells_what_faiss_does_not_take(spec, said):
    with pytest.raises(ValueError, match=said):
        make_index(spec, 16)


def test_join_nearest_tells_of_too_few_vectors():
    with pytest.raises(ValueError, match=r"'IVF999,Flat' for 300 different vectors .*clusters"):
        join_nearest(VECTORS, 0.9, IndexSpec("IVF999,Flat", 5), seed=0)


def test_make_index_without_a_gpu_says_what_to_do(monkeypatch):
    faiss = pytest.importorskip("faiss")
    spec = IndexSpec("Flat", 5, gpu=True)
    monkeypatch.delattr(faiss, "StandardGpuResources", raising=False)
    with pytest.raises(ValueError, match=r"no GPU support.*faiss-gpu-cu12"):
        make_index(spec, 16)
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 0, raising=False)
    with pytest.raises(ValueError, match="finds no GPU"):
        make_index(spec, 16)


def test_make_index_puts_it_on_all_gpus(monkeypatch):
    faiss = pytest.importorskip("faiss")
    on_gpu = []
    monkeypatch.setattr(faiss, "StandardGpuResources", object, raising=False)
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: 2, raising=False)
    monkeypatch.setattr(faiss, "GpuParameterSpace", faiss.ParameterSpace, raising=False)
    copied = lambda index: on_gpu.append(index) or index  # noqa: E731
    monkeypatch.setattr(faiss, "index_cpu_to_all_gpus", copied, raising=False)
    index = make_index(IndexSpec("IVF4,Flat", 5, "nprobe=3", gpu=True), 16)
    assert on_gpu == [index]
    assert index.nprobe == 3
