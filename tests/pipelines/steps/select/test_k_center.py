"""Rows that cover a space, against a naive traversal and the best of all choices."""

from functools import cache
from itertools import combinations

import numpy as np
import pytest
from blobs import blobs, column, kept_of, unit
from corpus import cuts, decide, make_rows, play
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

import pipelines.maths.vectors.farthest_first
from pipelines.rows.chance import Chance
from pipelines.steps.select.k_center import KCenter


def apart(vectors: np.ndarray) -> np.ndarray:
    points = np.rint(unit(vectors.astype(np.float32)).astype(np.float32) * 2.0**26) / 2**26
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=2))


def naive(vectors: np.ndarray, wanted: int) -> np.ndarray:
    """Positions of the centers; the first row is that with the smallest hash of its id."""
    ids = make_rows(v=column(vectors)).ids
    distance = apart(vectors)
    chosen = [int(Chance(0, 1).hashes(ids).argmin())]
    while len(chosen) < wanted:
        nearest = distance[:, chosen].min(axis=1)
        nearest[chosen] = -1
        chosen.append(int(nearest.argmax()))
    return np.sort(chosen)


def test_k_center_of_one_part_is_farthest_first_traversal(tmp_path):
    vectors = blobs([20, 30, 10], spread=0.4)
    found = decide(KCenter(rows=15, column="v"), make_rows(v=column(vectors)), tmp_path)
    assert kept_of(found, 60).tolist() == naive(vectors, 15).tolist()


def test_k_center_tells_the_nearest_center_and_the_radius(tmp_path):
    vectors = blobs([20, 30, 10], spread=0.4)
    outcome = play(
        KCenter(fraction=0.1, column="v"), make_rows(v=column(vectors)), tmp_path, [[9], [9, 9]]
    )
    kept, distance = kept_of(outcome.verdicts, 60), apart(vectors)
    assert len(kept) == 6
    for row_id, verdict in outcome.verdicts.items():
        mine = distance[int(row_id[1:]), kept]
        assert verdict.reason == "covered"
        assert verdict.other == f"r{kept[mine.argmin()]:05d}"
        assert verdict.value == pytest.approx(mine.min(), abs=2e-6)
    assert outcome.measured == {
        "radius": max(verdict.value for verdict in outcome.verdicts.values()),
        "centers": 6,
        "parts": 1,
    }


@pytest.mark.parametrize("seed", range(5))
def test_k_center_of_parts_is_within_four_times_the_best_radius(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(pipelines.maths.vectors.farthest_first, "ONE_PARTITION_UP_TO", 1)
    vectors = blobs([6, 5, 4], spread=0.5, width=3, seed=seed)
    step = KCenter(rows=3, column="v")
    outcome = play(step, make_rows(v=column(vectors)), tmp_path, seed=seed)
    distance = apart(vectors)
    best = min(distance[:, list(c)].min(axis=1).max() for c in combinations(range(15), 3))
    assert outcome.measured["parts"] == 2
    assert outcome.measured["radius"] <= 4 * best
    kept = kept_of(outcome.verdicts, 15)
    assert outcome.measured["radius"] == pytest.approx(distance[:, kept].min(axis=1).max())


def test_k_center_has_one_row_of_each_blob_first(tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines.maths.vectors.farthest_first, "ONE_PARTITION_UP_TO", 10)
    sizes = [200, 1, 40, 7, 90]
    rows = make_rows(v=column(blobs(sizes)))
    outcome = play(KCenter(rows=5, column="v"), rows, tmp_path)
    blob = np.repeat(np.arange(5), sizes)
    assert blob[kept_of(outcome.verdicts, sum(sizes))].tolist() == [0, 1, 2, 3, 4]
    assert outcome.measured["parts"] == 8


@cache
def reference(work: str):
    return play(KCenter(rows=12, column="v"), make_rows(v=column(blobs([50, 70], 0.3))), work)


@settings(max_examples=20)
@given(cuts(60), st.permutations(range(120)), st.integers(0, 9))
def test_k_center_does_not_depend_on_cut_order_or_arrival(tmp_path_factory, cut, order, arrival):
    work = str(tmp_path_factory.getbasetemp())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipelines.maths.vectors.farthest_first, "ONE_PARTITION_UP_TO", 10)
        rows = make_rows(v=column(blobs([50, 70], 0.3)), order=order)
        found = play(KCenter(rows=12, column="v"), rows, work, cut, arrival=arrival)
        assert found == reference(work)
        assert found.measured["parts"] == 3


@pytest.mark.parametrize(("size", "kept"), [({"rows": 7}, 7), ({"fraction": 0.25}, 10)])
def test_k_center_keeps_as_many_as_asked_even_of_copies(tmp_path, size, kept):
    rows = make_rows(v=column(np.ones((40, 3))))
    outcome = play(KCenter(column="v", **size), rows, tmp_path, [[3], [4]])
    assert len(outcome.verdicts) == 40 - kept
    assert outcome.measured["radius"] == 0


def test_k_center_keeps_all_where_there_are_fewer_and_one_at_least(tmp_path):
    rows = make_rows(v=column(blobs([4])))
    outcome = play(KCenter(rows=9, column="v"), rows, tmp_path)
    assert outcome.verdicts == {}
    assert outcome.measured == {"radius": 0, "centers": 4, "parts": 1}
    assert len(decide(KCenter(fraction=0.01, column="v"), rows, tmp_path)) == 3


@pytest.mark.parametrize("cut", [((9,),), ((2,), (1, 1)), ((1,), (1,), (1,), (1,))])
def test_k_center_drops_zero_vectors_and_those_of_a_length_unlike_most(tmp_path, cut):
    vectors = [[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [3.0], [0.0, 0.0], [0.0], [1.0, 1.0]]
    outcome = play(KCenter(fraction=1, column="v"), make_rows(v=vectors), tmp_path, cut)
    assert {i: v.reason for i, v in outcome.verdicts.items()} == {
        "r00001": "zero_vector",
        "r00003": "odd_vector",
        "r00004": "zero_vector",
        "r00005": "odd_vector",
    }
    assert outcome.measured["centers"] == 3


def test_k_center_of_nothing_but_zero_vectors_keeps_nothing(tmp_path):
    rows = make_rows(v=column(np.zeros((5, 4))))
    found = decide(KCenter(rows=2, column="v"), rows, tmp_path, [[2]])
    assert [verdict.reason for verdict in found.values()] == ["zero_vector"] * 5


@pytest.mark.parametrize("size", [{}, {"rows": 3, "fraction": 0.1}])
def test_k_center_wants_one_size(size):
    with pytest.raises(ValidationError, match="give either `rows` or `fraction`"):
        KCenter(**size)
