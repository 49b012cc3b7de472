"""Duplicates by meaning against all products of vectors."""

from functools import cache

import numpy as np
import pyarrow as pa
import pytest
from corpus import MemorySite, cuts, decide, make_rows, play, shards_of
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import pipelines.maths.vectors.joins
import pipelines.maths.vectors.unit_vectors
from pipelines.errors import UserError
from pipelines.exchange.mail import message_kind, open_mail, run_rounds
from pipelines.rows import KEY, Columns, MissingColumn, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.dedup.semantic_dedup import SemanticDedup

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
    """{dropped id: kept id}: smallest id first, for the first kept row like it."""
    unit = vectors.astype(np.float32).astype(np.float64)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    alike = unit @ unit.T >= threshold
    kept, found = [], {}
    for i in range(len(unit)):
        like = [k for k in kept if alike[k, i]]
        if like:
            found[f"r{i:05d}"] = f"r{like[0]:05d}"
        else:
            kept.append(i)
    return found


def dropped(step, rows, tmp_path, **how) -> dict[str, str]:
    return {i: v.other for i, v in decide(step, rows, tmp_path, **how).items()}


def test_semantic_dedup_equals_all_products(tmp_path):
    vectors = clumps(groups=100, size=4, spread=0.5)
    expected = brute(vectors, 0.9)
    assert 100 < len(expected) < 300
    rows = make_rows(v=column(vectors))
    assert dropped(STEP, rows, tmp_path, cut=[[30], [100, 7]]) == expected


def test_semantic_dedup_evidence_is_the_similarity_to_the_row_that_is_kept(tmp_path):
    vectors = clumps(groups=50, size=4, spread=0.5)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    found = decide(STEP, make_rows(v=column(vectors)), tmp_path)
    for row_id, verdict in found.items():
        product = unit[int(row_id[1:])] @ unit[int(verdict.other[1:])]
        assert verdict.value == pytest.approx(product, abs=2e-6)
        assert verdict.threshold == 0.9
        assert verdict.reason == "semantic_duplicate"
        assert verdict.value >= 0.9
        assert verdict.other not in found


def test_semantic_dedup_of_chains_drops_what_is_linked(tmp_path):
    vectors = clumps(groups=50, size=4, spread=0.5)
    rows = make_rows(v=column(vectors))
    chain = SemanticDedup(similarity=0.9, column="v", link="chain")
    found, direct = decide(chain, rows, tmp_path), decide(STEP, rows, tmp_path)
    assert set(direct) < set(found)
    far = {i for i, v in found.items() if v.value < 0.9}
    assert far
    assert {i for i, v in found.items() if v.detail} == far


@pytest.fixture
def _many_cells(monkeypatch):
    """Cut corpora of more than 100 rows into cells."""
    monkeypatch.setattr(pipelines.maths.vectors.unit_vectors, "EXACT_UP_TO", 100)


@cache
def reference(work: str, options: tuple):
    step = STEP.model_copy(update=dict(options))
    return play(step, make_rows(v=column(clumps(40, 3, 0.5))), work)


@settings(max_examples=30)
@given(
    cuts(60),
    st.permutations(range(120)),
    st.integers(0, 9),
    st.sampled_from(
        [
            (("index", "exact"),),
            (("probes", 1),),
            (("probes", 3), ("keep", "closest_to_centroid")),
            (("index", "IVF4,Flat"), ("search", "nprobe=2"), ("neighbours", 2)),
            (("index", "HNSW4"), ("keep", "farthest_from_centroid")),
        ]
    ),
)
def test_semantic_dedup_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival, options
):
    work = str(tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.maths.vectors.unit_vectors, "EXACT_UP_TO", 10)
        step = STEP.model_copy(update=dict(options))
        rows = make_rows(v=column(clumps(40, 3, 0.5)), order=order)
        found, expected = play(step, rows, work, cut, arrival=arrival), reference(work, options)
        assert found.verdicts == expected.verdicts
        assert found.measured == expected.measured
        assert len(found.verdicts) > 10


@pytest.mark.usefixtures("_many_cells")
def test_semantic_dedup_in_many_cells_finds_99_percent_and_nothing_false(tmp_path):
    vectors = clumps(groups=1000, size=3, spread=0.3)
    expected, found = brute(vectors, 0.9), dropped(STEP, make_rows(v=column(vectors)), tmp_path)
    assert set(found) <= set(expected)
    assert len(expected) > 1000
    assert len(found) >= 0.99 * len(expected)


@pytest.mark.usefixtures("_many_cells")
@pytest.mark.parametrize("options", [{"probes": 1}, {"probes": 8}, {"index": "HNSW2"}])
def test_semantic_dedup_measures_its_recall(tmp_path, options):
    vectors = clumps(groups=1000, size=3, spread=0.3)
    step = STEP.model_copy(update=options)
    found = play(step, make_rows(v=column(vectors)), tmp_path, cut=[[900], [300, 9]])
    measured = found.measured
    assert measured["recall_queries"] == 1000
    recall = measured["recall_found"] / measured["recall_sampled"]
    truth = len(found.verdicts) / len(brute(vectors, 0.9))
    assert recall == pytest.approx(truth, abs=0.03)
    assert 0.3 < measured["recall_sampled"] / 1000 < 0.7
    assert f"a recall of {recall:.3f}" in step.in_words(measured)
    assert (recall < 0.99) == (options != {"probes": 8})


@pytest.mark.parametrize("options", [{}, {"index": "exact"}])
def test_semantic_dedup_says_where_recall_needs_no_measuring(tmp_path, options):
    step = STEP.model_copy(update=options)
    measured = play(step, make_rows(v=column(clumps(9, 2))), tmp_path).measured
    assert measured == {"cells": 1, "exact": 1, "recall_queries": 0}
    assert "by construction" in step.in_words(measured)


@pytest.mark.usefixtures("_many_cells")
def test_semantic_dedup_measures_recall_where_nothing_is_similar(tmp_path):
    found = play(STEP, make_rows(v=column(clumps(200, 1))), tmp_path)
    assert found.measured["recall_sampled"] == found.measured["recall_found"] == 0
    assert "recall of" not in STEP.in_words(found.measured)


@pytest.mark.parametrize("cells", [False, True])
def test_semantic_dedup_keeps_one_of_each_blob_of_many_tiles(tmp_path, monkeypatch, cells):
    monkeypatch.setattr(pipelines.maths.vectors.joins, "TILE", 7)
    if cells:
        monkeypatch.setattr(pipelines.maths.vectors.unit_vectors, "EXACT_UP_TO", 10)
    blob = np.concatenate([clumps(1, 60, 0.01), np.ones((60, 16))])
    found = dropped(STEP, make_rows(v=column(blob)), tmp_path)
    assert set(found.values()) == {"r00000", "r00060"}
    assert len(found) == 118


@pytest.mark.parametrize("cells", [1, 3])
def test_semantic_dedup_keeps_the_row_closest_to_or_farthest_from_the_centroid(
    tmp_path, monkeypatch, cells
):
    monkeypatch.setattr(pipelines.maths.vectors.unit_vectors, "plan_cells", lambda _: cells)
    monkeypatch.setattr("pipelines.steps.dedup.vector_search.plan_cells", lambda _: cells)
    angle = np.array([0.0, 0.1, 0.2]) + np.arange(3)[:, None] * 2
    vectors = np.stack([np.cos(angle), np.sin(angle)], axis=2).reshape(9, 2)
    if cells == 1:
        vectors = vectors[:3]
    rows, kept = make_rows(v=column(vectors)), {}
    for keep in ("closest_to_centroid", "farthest_from_centroid", "smallest_id"):
        step = STEP.model_copy(update={"keep": keep})
        kept[keep] = set(dropped(step, rows, tmp_path).values())
    middles = {f"r{i:05d}" for i in range(1, len(vectors), 3)}
    assert kept["closest_to_centroid"] == middles
    assert not kept["farthest_from_centroid"] & middles
    assert len(kept["farthest_from_centroid"]) == cells
    assert kept["smallest_id"] == {f"r{i:05d}" for i in range(0, len(vectors), 3)}


def test_semantic_dedup_never_joins_zero_vectors(tmp_path):
    vectors = np.zeros((6, 4))
    vectors[:2] = 1
    assert list(dropped(STEP, make_rows(v=column(vectors)), tmp_path)) == ["r00001"]
    nothing = make_rows(v=column(np.zeros((3, 4))))
    assert dropped(STEP, nothing, tmp_path, cut=[[1], [1]]) == {}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, "b"),
        ({"keep": "earliest"}, "d"),
        ({"keep": "smallest_id"}, "a"),
        ({"prefer": "score"}, "a"),
        ({"prefer": "source", "order": ("wiki", "web")}, "c"),
    ],
)
def test_semantic_dedup_keeps_by_column_then_as_asked_then_the_smallest_id(tmp_path, options, kept):
    rows = make_rows(
        ids=["d", "c", "b", "a"],
        text=["x", "xx", "xxx", "x"],
        score=[8, 1, 1, 9],
        source=["web", "wiki", "web", "mail"],
        v=column(np.ones((4, 3))),
    )
    step = STEP.model_copy(update=options)
    assert set(dropped(step, rows, tmp_path).values()) == {kept}


@pytest.mark.parametrize("kind", [pa.float64(), pa.float32(), pa.float16(), pa.int32(), pa.uint8()])
@pytest.mark.parametrize("listed", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 2)])
def test_semantic_dedup_reads_lists_of_any_numbers(tmp_path, kind, listed):
    values = np.array([[1, 0], [2, 0], [0, 3]], dtype=kind.to_pandas_dtype())
    rows = make_rows(v=pa.array(list(values), listed(kind)))
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
    assert STEP.sample_size(100_000) == 948 * 32
    assert STEP.sample_size(10**9) == 1 << 16
    assert STEP.model_copy(update={"index": "exact"}).sample_size(10**9) == 0
    assert STEP.model_copy(update={"index": "HNSW32"}).sample_size(50) == 1000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"search": "nprobe=4"}, "`search` does nothing with index: auto.*IVF1024,Flat"),
        ({"index": "exact", "gpu": True}, "`gpu` does nothing with index: exact"),
        ({"index": "HNSW32", "probes": 4}, "`probes` does nothing with index: HNSW32"),
    ],
)
def test_semantic_dedup_refuses_options_of_another_index(options, said):
    with pytest.raises(ValidationError, match=said):
        SemanticDedup(**options)


@pytest.mark.parametrize("index", ["auto", "exact", "HNSW32"])
def test_semantic_dedup_takes_its_own_defaults_written_out(index):
    step = SemanticDedup(index=index)
    assert SemanticDedup(**step.model_dump()) == step


def test_semantic_dedup_tells_of_an_index_that_cannot_be_made(tmp_path):
    step = STEP.model_copy(update={"index": "IVFF4"})
    with pytest.raises(UserError, match="semantic_dedup: FAISS does not take index 'IVFF4'"):
        decide(step, make_rows(v=column(clumps(9, 2))), tmp_path)


def test_semantic_dedup_stores_vectors_in_one_type_under_one_name():
    values, tables = [[1, 0, 2], [0, 3, 0]], []
    for name, kind in (("v", pa.list_(pa.uint8(), 3)), ("w", pa.large_list(pa.float32()))):
        step = STEP.model_copy(update={"column": name})
        tables.append(step.stored(make_rows(**{name: pa.array(values, kind)}).slice(1, 1), None))
    assert tables[0].equals(tables[1])
    assert tables[0].schema.field("_vector").type == pa.list_(pa.float64())
    assert tables[0]["_vector"].to_pylist() == values[1:]


@pytest.mark.usefixtures("_many_cells")
def test_semantic_dedup_tells_only_of_shards_with_a_better_row(tmp_path):
    """Else what measures recall would grow with the shards in one place."""
    vectors = np.concatenate([clumps(1, 2, 0.01), clumps(150, 1, seed=1)])
    held = shards_of(make_rows(v=column(vectors)), [[10]] * 15)
    site = MemorySite(str(tmp_path), "s0", Chance(0, 1), len(held), held=held)
    mail = []
    for number, (batch,) in held.items():
        mail += STEP.send(STEP.sign(batch, site.chance), number, len(held))
    sent = run_rounds(mail, STEP.rounds(site)[:4])  # sizes, sample, centroids, cells
    told = [
        (to, open_mail([sent])["better"]) for to, sent in sent if message_kind(sent) == "better"
    ]
    assert [(to.split(":")[0], len(better)) for to, better in told] == [("recall", 1)]


def test_semantic_dedup_asks_nothing_of_earlier_rows_of_another_length(tmp_path):
    step = STEP.model_copy(update={"prefer": "score"})
    stored = step.stored(make_rows(v=column(np.ones((3, 4)))), None)
    earlier = Rows(stored.append_column(KEY, pa.array([-3, -2, -1])), Columns())
    site = MemorySite(str(tmp_path), "s0", Chance(0, 1), held={-1: [earlier]})
    assert list(step.rounds(site)[1].solve("shard:-1", {"draw": plan_of(dimensions=5)})) == []
    path = site.store("cells.npz", centroids=np.ones((1, 5), np.float32), partition=np.zeros(1))
    told = pa.table({"path": [path]})
    assert list(step.rounds(site)[3].solve("shard:-1", {"cells": told})) == []


def plan_of(dimensions: int) -> pa.Table:
    return pa.table({"dimensions": [dimensions], "total": [30_000]})
