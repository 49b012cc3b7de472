"""Samples balanced over clusters, on blobs whose clusters are known."""

from functools import cache

import numpy as np
import pytest
from blobs import blobs, column, kept_of
from corpus import cuts, decide, make_rows, play
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rows import MissingColumn
from pipelines.rows.chance import Chance
from pipelines.steps.select.cluster_sample import ClusterSample

SIZES = [100, 60, 40, 5]
BLOB = np.repeat(np.arange(len(SIZES)), SIZES)
STEP = ClusterSample(rows=45, clusters=4, column="v")


def kept_by_blob(step: ClusterSample, work, **more) -> list[int]:
    found = decide(step, make_rows(v=column(blobs(SIZES)), **more), work)
    return np.bincount(BLOB[kept_of(found, sum(SIZES))], minlength=len(SIZES)).tolist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"rows": 16}, [4, 4, 4, 4]),
        ({"rows": 45}, [14, 13, 13, 5]),
        ({"rows": 1000}, [100, 60, 40, 5]),
        ({"rows": 145}, [50, 50, 40, 5]),
        ({"rows": 41, "temperature": 1.0}, [20, 12, 8, 1]),
        ({"rows": 12, "temperature": 1e6}, [3, 3, 3, 3]),
        ({"fraction": 0.2}, [12, 12, 12, 5]),
    ],
)
def test_cluster_sample_is_balanced_over_blobs(tmp_path, options, expected):
    kept = kept_by_blob(ClusterSample(clusters=4, column="v", **options), tmp_path)
    assert sum(kept) == sum(expected)
    assert sorted(kept) == sorted(expected)
    assert kept[3] == expected[3]


def test_cluster_sample_is_random_within_a_cluster(tmp_path):
    rows = make_rows(v=column(blobs(SIZES)))
    kept = kept_of(decide(STEP, rows, tmp_path), sum(SIZES))
    hashes = Chance(0, 1).hashes(rows.ids)
    for blob in range(len(SIZES)):
        mine = np.flatnonzero(blob == BLOB)
        taken = np.intersect1d(kept, mine)
        assert taken.tolist() == sorted(mine[hashes[mine].argsort()][: len(taken)].tolist())


def test_cluster_sample_prefers_the_highest(tmp_path):
    step = STEP.model_copy(update={"prefer": "score"})
    score = np.random.default_rng(1).permutation(sum(SIZES)).astype(float)
    rows = make_rows(v=column(blobs(SIZES)), score=score)
    found = decide(step, rows, tmp_path, [[31], [50, 8]])
    kept = kept_of(found, sum(SIZES))
    for blob in range(len(SIZES)):
        mine = np.flatnonzero(blob == BLOB)
        taken = np.intersect1d(kept, mine)
        assert score[taken].min() >= np.sort(score[mine])[-len(taken)]
        for row in np.setdiff1d(mine, taken):
            verdict = found[f"r{row:05d}"]
            assert (verdict.value, verdict.threshold) == (score[row], score[taken].min())
    for wrong in ("nowhere", "_id"):
        with pytest.raises(MissingColumn, match=wrong):
            STEP.model_copy(update={"prefer": wrong}).sign(rows, Chance(0, 1))


def test_cluster_sample_tells_cluster_and_size(tmp_path):
    found = decide(STEP, make_rows(v=column(blobs(SIZES))), tmp_path)
    assert {verdict.reason for verdict in found.values()} == {"not_selected"}
    said = {blob: {found[i].detail for i in found if BLOB[int(i[1:])] == blob} for blob in range(4)}
    assert [len(said[blob]) for blob in range(4)] == [1, 1, 1, 0]
    (detail,) = said[0]
    number, _, rest = detail.partition(": ")
    assert number in {f"cluster {n}" for n in range(4)}
    assert rest in {"13 of 100 rows kept", "14 of 100 rows kept"}
    assert len(set.union(*said.values())) == 3


def test_cluster_sample_keeps_words_of_each_cluster(tmp_path):
    step = ClusterSample(tokens=64, clusters=4, column="v")
    kept = kept_by_blob(step, tmp_path, text=["two words"] * sum(SIZES))
    assert kept == [9, 9, 9, 5] or sorted(kept) == [5, 9, 9, 9]


@cache
def reference(work: str):
    return play(STEP, make_rows(v=column(blobs(SIZES, 0.5))), work)


@settings(max_examples=20)
@given(cuts(60), st.permutations(range(sum(SIZES))), st.integers(0, 9))
def test_cluster_sample_does_not_depend_on_cut_order_or_arrival(
    tmp_path_factory, cut, order, arrival
):
    work = str(tmp_path_factory.getbasetemp())
    rows = make_rows(v=column(blobs(SIZES, 0.5)), order=order)
    found = play(STEP, rows, work, cut, arrival=arrival)
    assert found == reference(work)
    assert found.measured["kept_rows"] == 45


@pytest.mark.parametrize("cut", [((9,),), ((2,), (1, 1)), ((1,), (1,), (1,), (1,))])
def test_cluster_sample_drops_zero_vectors_and_those_of_a_length_unlike_most(tmp_path, cut):
    vectors = [[1.0, 0.0], [0.0, 0.0], [0.0, 2.0], [3.0], [0.0, 0.0], [0.0], [1.0, 1.0]]
    found = decide(ClusterSample(fraction=1, column="v"), make_rows(v=vectors), tmp_path, cut)
    assert {i: (v.reason, v.value, v.threshold) for i, v in found.items()} == {
        "r00001": ("zero_vector", None, None),
        "r00003": ("odd_vector", 1.0, 2.0),
        "r00004": ("zero_vector", None, None),
        "r00005": ("odd_vector", 1.0, 2.0),
    }


def test_cluster_sample_of_nothing_but_zero_vectors_keeps_nothing(tmp_path):
    rows = make_rows(v=column(np.zeros((5, 4))))
    found = decide(STEP, rows, tmp_path, [[2]])
    assert [verdict.reason for verdict in found.values()] == ["zero_vector"] * 5


def test_cluster_sample_of_copies_keeps_as_many_as_asked(tmp_path):
    rows = make_rows(v=column(np.ones((60, 4))))
    assert len(decide(STEP, rows, tmp_path, [[7], [9]])) == 15
