import numpy as np
import pyarrow as pa
import pyarrow.types as pt
import pytest

from pipelines.rows.plain import as_raw, plain, plain_type, row_bytes

ROWS = 12
EDGES = pa.array(range(ROWS + 1), pa.int32())
CODES = pa.array([i % 2 for i in range(ROWS)], pa.int8())
TEXTS = [f"a text too long to lie in a view {i}" for i in range(ROWS)]
HALVES = [pa.array(range(6)), pa.array(TEXTS[:6])]
DENSE = pa.UnionArray.from_dense(CODES, pa.array([i // 2 for i in range(ROWS)], pa.int32()), HALVES)

FLAT = {
    "dense": DENSE,
    "sparse": pa.UnionArray.from_sparse(CODES, [pa.array(range(ROWS)), pa.array(TEXTS)]),
    "dictionary": pa.array(["p", "q", None] * 4).dictionary_encode(),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([5, ROWS], pa.int32()), ["a", "b"]),
    "list_view": pa.array([[i, i + 1] for i in range(ROWS)], pa.list_view(pa.int64())),
    "large_list_view": pa.array([["x", t] for t in TEXTS], pa.large_list_view(pa.string())),
    "string_view": pa.array([*TEXTS[:-1], None], pa.string_view()),
    "binary_view": pa.array([t.encode() for t in TEXTS], pa.binary_view()),
    "map": pa.array([[("k", i)] for i in range(ROWS)], pa.map_(pa.string(), pa.int64())),
    "fixed": pa.array([[1.0, 2.0], None] * 6, pa.list_(pa.float32(), 2)),
    "four_bytes": pa.array([b"abcd"] * ROWS, pa.binary(4)),
    "decimal": pa.array([1] * ROWS, pa.decimal32(9, 0)),
    "interval": pa.array([pa.MonthDayNano([1, 2, 3])] * ROWS),
    "uuid": pa.array([b"0123456789abcdef"] * ROWS, pa.uuid()),
    "texts": pa.array(TEXTS),
}


def nested(array):
    yield array
    yield pa.StructArray.from_arrays([array], ["u"])
    yield pa.ListArray.from_arrays(EDGES, array)
    yield pa.LargeListArray.from_arrays(EDGES.cast(pa.int64()), array)
    yield pa.FixedSizeListArray.from_arrays(array, 1)
    yield pa.MapArray.from_arrays(EDGES, TEXTS, array)
    yield pa.DictionaryArray.from_arrays(pa.array(range(ROWS), pa.int32()), array)
    yield pa.ListViewArray.from_arrays(EDGES[:-1], pa.array([1] * ROWS, pa.int32()), array)
    if not pt.is_run_end_encoded(array.type):  # Arrow has none within each other
        yield pa.RunEndEncodedArray.from_arrays(EDGES[1:], array)


@pytest.mark.parametrize("name", FLAT)
def test_values_are_the_same_in_plain_types_however_deep_they_lie(name):
    for array in nested(FLAT[name]):
        whole = plain(pa.table({"c": array}))["c"]
        part = plain(pa.table({"c": array}).slice(3, 5))["c"]
        whole.validate(full=True)
        part.validate(full=True)
        assert whole.type == part.type == plain_type(array.type)
        assert part.to_pylist() == whole.to_pylist()[3:8]
        if name in ("list_view", "large_list_view", "string_view", "dictionary", "runs", "fixed"):
            assert _without_pairs(whole.to_pylist()) == _without_pairs(array.to_pylist())


def _without_pairs(values):
    """Return values in which maps are dictionaries, however they are told."""
    pairs = (dict, tuple)
    if values and values[0] and isinstance(values[0], list) and isinstance(values[0][0], pairs):
        return [[tuple(v.values()) if isinstance(v, dict) else v for v in row] for row in values]
    return values


def test_union_is_text():
    assert plain(pa.table({"c": DENSE.slice(0, 2)}))["c"].to_pylist() == ["0", TEXTS[0]]
    nulls = pa.UnionArray.from_sparse(CODES[:2], [pa.array([None, 1]), pa.array(["a", None])])
    assert plain(pa.table({"c": nulls}))["c"].to_pylist() == [None, None]


def test_row_bytes_tells_what_shared_values_take_once_written_out():
    large = "x" * 1000
    views = pa.array([large] * 3, pa.string_view())
    shared = pa.DictionaryArray.from_arrays(pa.array([0, None, 1]), [large, "ab"])
    lists = pa.ListViewArray.from_arrays([0, 0, 1], [2, 2, 1], shared.dictionary)
    runs = pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), [large, "ab"])
    pairs = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), lists)
    for array, wanted in (
        (shared, [1000, 1000, 2]),  # a null is told like the first value
        (lists, [1002, 1002, 2]),
        (runs, [1000, 1000, 2]),
        (pairs, [1002, 1002, 2]),
        (pa.StructArray.from_arrays([shared, runs], ["a", "b"]), [2000, 2000, 4]),
        (
            pa.UnionArray.from_sparse(pa.array([0, 1, 0], pa.int8()), [shared, runs]),
            [1000, 1000, 2],
        ),
        (pa.array([[large], None, ["ab"]], pa.list_(pa.string(), 1)), [1000, 0, 2]),
        (pa.array([1, 2, 3], pa.int16()), [2, 2, 2]),
        (views, [1000, 1000, 1000]),
    ):
        assert row_bytes(as_raw(array)).tolist() == wanted
        assert row_bytes(as_raw(array.slice(2))).tolist() == wanted[2:]


def test_row_bytes_of_lists_in_lists_never_turn_negative():
    array = pa.array(["x" * 1000])
    for _ in range(10):
        array = pa.ListViewArray.from_arrays([0] * 100, [len(array)] * 100, array)
    assert row_bytes(as_raw(array)).min() > 1e20


def test_only_values_that_are_named_are_written_out():
    """Items between two that are named are a bomb: written out they would be 100 GB."""
    many = pa.DictionaryArray.from_arrays(pa.array(np.zeros(100_000, np.int32)), ["x" * 1_000_000])
    ends = pa.ListViewArray.from_arrays([0, 99_999], [1, 1], many)
    table = plain(pa.table({"c": ends}))
    assert [len(row[0]) for row in table["c"].to_pylist()] == [1_000_000] * 2
