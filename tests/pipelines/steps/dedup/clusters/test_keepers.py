"""Which of several duplicates is kept."""

import numpy as np
import pyarrow as pa
import pytest
from corpus import make_rows

from pipelines.rows import KEY, MissingColumn
from pipelines.steps.dedup.clusters.keepers import keeper_columns, keeper_order


def order(quality, length, ids, groups=None, keys=None) -> list[int]:
    n = len(ids)
    table = pa.table(
        {
            "quality": pa.array(quality, pa.float64()),
            "merit": length,
            "id": ids,
            KEY: list(range(n)) if keys is None else keys,
        }
    )
    return keeper_order(np.array(groups or [0] * n), table).tolist()


def test_keeper_is_the_best_then_the_longest_then_of_the_smallest_id():
    assert order([1, 2, 2, 2, 2], [9, 1, 5, 5, 5], list("aedcb")) == [4, 3, 2, 1, 0]


def test_keeper_of_equal_ids_is_the_first_row():
    assert order([0, 0], [1, 1], ["a", "a"], keys=[7, 3]) == [1, 0]


def test_keeper_order_goes_by_group_first():
    assert order([1, 9, 2, 8], [1] * 4, list("abcd"), groups=[1, 0, 1, 0]) == [1, 3, 2, 0]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([None, float("nan"), -5.0, 2.0]), [-np.inf, -np.inf, -5, 2]),
        (pa.array([None, 1, 2**62 + 1, 0]), [-np.inf, 1, 2.0**62, 0]),
        (pa.array([True, False, None, True]), [1, 0, -np.inf, 1]),
        (pa.nulls(4), [-np.inf] * 4),
    ],
)
def test_keeper_columns_rank_null_and_nan_below_all_numbers(values, expected):
    rows = make_rows(text=["a", "bb", None, "é"], score=values)
    found = keeper_columns(rows, "score")
    assert found["quality"].to_pylist() == expected
    assert found["merit"].to_pylist() == [1, 2, 0, 2]
    assert found["id"].to_pylist() == ["r00000", "r00001", "r00002", "r00003"]


@pytest.mark.parametrize("prefer", ["text", "nowhere"])
def test_keeper_columns_by_a_column_without_numbers_condemn_the_recipe(prefer):
    with pytest.raises(MissingColumn, match=f"prefer.*{prefer}"):
        keeper_columns(make_rows(text=["a"]), prefer)


def test_keeper_columns_go_by_length_place_or_nothing():
    rows = make_rows(text=["a", "bb", "c"])
    assert keeper_columns(rows, None)["merit"].to_pylist() == [1, 2, 1]
    assert keeper_columns(rows, None, "smallest_id")["merit"].to_pylist() == [0, 0, 0]
    earliest = keeper_columns(rows, None, "earliest")["merit"].to_pylist()
    assert earliest == [-key for key in rows.keys.tolist()]
    assert earliest == sorted(earliest, reverse=True)


@pytest.mark.parametrize(
    "values", [["b", "c", None, "a"], pa.array(["b", "c", None, "a"]).dictionary_encode()]
)
def test_keeper_columns_by_values_rank_the_listed_first_and_others_last(values):
    rows = make_rows(text=list("wxyz"), source=values)
    found = keeper_columns(rows, "source", order=["a", "b"])["quality"].to_pylist()
    assert found == [-1, -np.inf, -np.inf, 0]


def test_keeper_columns_by_values_read_numbers_as_strings_and_refuse_lists():
    rows = make_rows(text=["a", "b"], n=[1, 2], tags=[["a"], ["b"]])
    assert keeper_columns(rows, "n", order=["2"])["quality"].to_pylist() == [-np.inf, 0]
    with pytest.raises(MissingColumn, match="tags"):
        keeper_columns(rows, "tags", order=["a"])


def test_keeper_columns_measure_images_and_do_without_content():
    assert keeper_columns(make_rows(image=[b"abc", None]), None)["merit"].to_pylist() == [3, 0]
    assert keeper_columns(make_rows(v=[1, 2]), None)["merit"].to_pylist() == [0, 0]
