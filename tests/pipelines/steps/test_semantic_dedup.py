"""Duplicates by meaning against all products of vectors."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from corpus import cuts, decide, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st

import pipelines.neighbours
from pipelines.components import components
from pipelines.rows import MissingColumn
from pipelines.steps.semantic_dedup import SemanticDedup

STEP = SemanticDedup(similarity=0.9, column="v")


def clumps(groups: int, size: int, spread: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.repeat(rng.normal(size=(groups, 16)), size, axis=0)
    return centres * rng.uniform(0.1, 10, (groups * size, 1)) + spread * rng.normal(
        size=centres.shape
    )


def column(vectors: np.ndarray) -> pa.Array:
    flat = pa.array(np.asarray(vectors, np.float32).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])


def brute(vectors: np.ndarray, threshold: float) -> dict[str, str]:
    """{dropped id: kept id}: the smallest id of each component, since no row is longer."""
    unit = vectors.astype(np.float32).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    left, right = np.nonzero(np.triu(unit @ unit.T >= threshold, 1))
    groups = components(left, right, len(unit))
    first = {g: i for i, g in reversed(list(enumerate(groups.tolist())))}
    return {f"r{i:05d}": f"r{first[g]:05d}" for i, g in enumerate(groups.tolist()) if first[g] != i}


def dropped(step, rows, tmp_path, **how) -> dict[str, str]:
    return {i: v.other for i, v in decide(step, rows, tmp_path, **how).items()}


def test_semantic_dedup_equals_all_products(tmp_path):
    vectors = clumps(groups=100, size=4, spread=0.5)
    expected = brute(vectors, 0.9)
    assert 100 < len(expected) < 300
    rows = make_rows(v=column(vectors))
    assert dropped(STEP, rows, tmp_path, cut=[[30], [100, 7]]) == expected


def test_semantic_dedup_evidence_is_the_similarity_of_the_row_it_names(tmp_path):
    vectors = clumps(groups=50, size=4, spread=0.5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = decide(STEP, make_rows(v=column(vectors)), tmp_path)
    assert any(v.detail for v in found.values())
    for row_id, verdict in found.items():
        partner = (verdict.detail or verdict.other).removeprefix("linked through ")
        product = unit[int(row_id[1:])] @ unit[int(partner[1:])]
        assert verdict.value == pytest.approx(product, abs=2e-6)
        assert verdict.value >= verdict.threshold == 0.9
        assert verdict.reason == "semantic_duplicate"


@cache
def reference(work: str, probes: int):
    step = STEP.model_copy(update={"probes": probes})
    return decide(step, make_rows(v=column(clumps(40, 3, 0.5))), work)


@settings(max_examples=20)
@given(cuts(60), st.permutations(range(120)), st.integers(0, 9), st.sampled_from([None, 1, 3]))
def test_semantic_dedup_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival, probes
):
    work = str(tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patch:
        if probes:
            patch.setattr(pipelines.neighbours, "EXACT_UP_TO", 10)
            patch.setattr(pipelines.neighbours, "ROWS_A_CELL", 10)
        step = STEP.model_copy(update={"probes": probes or 4})
        rows = make_rows(v=column(clumps(40, 3, 0.5)), order=order)
        found = decide(step, rows, work, cut, arrival=arrival)
        assert found == reference(work, probes or 4)


def test_semantic_dedup_in_many_cells_finds_99_percent_and_nothing_false(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines.neighbours, "EXACT_UP_TO", 100)
    monkeypatch.setattr(pipelines.neighbours, "ROWS_A_CELL", 20)
    vectors = clumps(groups=1000, size=3, spread=0.3)
    expected, found = brute(vectors, 0.9), dropped(STEP, make_rows(v=column(vectors)), tmp_path)
    assert set(found) <= set(expected)
    assert len(expected) > 1000
    assert len(found) >= 0.99 * len(expected)


@pytest.mark.parametrize("cells", [False, True])
def test_semantic_dedup_keeps_one_of_each_blob_of_many_tiles(tmp_path, monkeypatch, cells):
    monkeypatch.setattr(pipelines.neighbours, "_TILE", 7)
    if cells:
        monkeypatch.setattr(pipelines.neighbours, "EXACT_UP_TO", 10)
        monkeypatch.setattr(pipelines.neighbours, "ROWS_A_CELL", 30)
    blob = np.concatenate([clumps(1, 60, 0.01), np.ones((60, 16))])
    found = dropped(STEP, make_rows(v=column(blob)), tmp_path)
    assert set(found.values()) == {"r00000", "r00060"}
    assert len(found) == 118


def test_semantic_dedup_posts_at_most_two_edges_a_row(tmp_path):
    vectors = clumps(groups=2, size=100, spread=0.3)
    unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    edges = STEP._edges(np.arange(200), unit)
    assert 198 <= len(edges) <= 2 * 198


def test_semantic_dedup_never_joins_zero_vectors(tmp_path):
    vectors = np.zeros((6, 4))
    vectors[:2] = 1
    assert list(dropped(STEP, make_rows(v=column(vectors)), tmp_path)) == ["r00001"]
    nothing = make_rows(v=column(np.zeros((3, 4))))
    assert dropped(STEP, nothing, tmp_path, cut=[[1], [1]]) == {}


def test_semantic_dedup_keeps_the_preferred_then_the_longest_then_the_smallest_id(tmp_path):
    vectors = column(np.ones((4, 3)))
    rows = make_rows(
        ids=["d", "c", "b", "a"], text=["x", "xx", "xx", "x"], score=[9, 1, 1, 9], v=vectors
    )
    assert set(dropped(STEP, rows, tmp_path).values()) == {"b"}
    preferring = STEP.model_copy(update={"prefer": "score"})
    assert set(dropped(preferring, rows, tmp_path).values()) == {"a"}


@pytest.mark.parametrize("kind", [pa.float64(), pa.float16(), pa.int32()])
@pytest.mark.parametrize("large", [False, True])
def test_semantic_dedup_reads_lists_of_any_numbers(tmp_path, kind, large):
    listed = pa.large_list(kind) if large else pa.list_(kind)
    values = np.array([[1, 0], [2, 0], [0, 3]], dtype=kind.to_pandas_dtype())
    rows = make_rows(v=pa.array(list(values), listed))
    assert dropped(STEP, rows, tmp_path) == {"r00001": "r00000"}


@pytest.mark.parametrize("cut", [((9,),), ((2,), (1, 1)), ((1,), (1,), (1,), (1,))])
def test_semantic_dedup_drops_vectors_of_a_length_unlike_most(tmp_path, cut):
    vectors = [[1.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0], [3.0, 0.0], [1.0]]
    found = decide(STEP, make_rows(v=vectors), tmp_path, cut)
    assert {i: v.reason for i, v in found.items()} == {
        "r00001": "odd_vector",
        "r00002": "semantic_duplicate",
        "r00003": "semantic_duplicate",
        "r00004": "odd_vector",
    }
    assert (found["r00001"].value, found["r00001"].threshold) == (3.0, 2.0)


@pytest.mark.parametrize(
    "vector",
    [None, [], [1.0, float("nan")], [float("inf"), 1.0], [1.0, None], [1e200, 1.0]],
)
def test_semantic_dedup_raises_for_the_row_whose_vector_is_none(vector):
    rows = make_rows(v=pa.array([[1.0, 2.0], vector], pa.list_(pa.float64())))
    assert len(STEP.sign(rows.slice(0, 1), None)) == 1
    for bad in (rows, rows.slice(1, 1)):
        with pytest.raises(ValueError, match="column 'v'") as caught:
            STEP.sign(bad, None)
        assert not isinstance(caught.value, MissingColumn)


@pytest.mark.parametrize("values", [["a"], [1.0], [["a"]], [[[1.0]]], [{"x": 1}]])
def test_semantic_dedup_of_a_column_without_vectors_condemns_the_recipe(values):
    with pytest.raises(MissingColumn, match=r"'v' holds .*lists of numbers"):
        STEP.sign(make_rows(v=values), None)
    with pytest.raises(MissingColumn, match="nowhere"):
        STEP.model_copy(update={"column": "nowhere"}).sign(make_rows(v=values), None)


def test_semantic_dedup_sends_no_sample_where_it_needs_none():
    assert STEP.sample_size(20_000) == 0
    assert STEP.sample_size(100_000) == 32_000
    assert STEP.sample_size(10**9) == 1 << 16
