import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rows.schema import (
    as_text,
    column_of,
    conform,
    convert,
    is_text,
    merge_schemas,
    merge_types,
)

values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.sampled_from([2**63, 2**53, 10**16, -(2**60)]),
    st.floats(allow_nan=False, allow_infinity=False, width=16),
    st.text(max_size=3),
    st.lists(st.one_of(st.none(), st.integers(0, 9), st.text(max_size=1)), max_size=2),
    st.dictionaries(
        st.sampled_from("abc"), st.one_of(st.none(), st.integers(0, 9), st.just("x")), max_size=2
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(values, min_size=1, max_size=6), st.integers(0, 6), st.integers(0, 6))
def test_schema_columns_do_not_depend_on_the_cut(column, a, b):
    a, b = sorted((a, b))
    parts = [pa.table({"x": column_of(p)}) for p in (column[:a], column[a:b], column[b:]) if p]
    schema = merge_schemas(part.schema for part in parts)
    joined = pa.concat_tables([conform(part, schema) for part in parts])
    whole = pa.table({"x": column_of(column)})
    assert joined["x"].to_pylist() == whole["x"].to_pylist()
    assert joined.schema.equals(whole.schema)


@pytest.mark.parametrize(
    ("a", "b", "merged"),
    [
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.uint8(), pa.int8(), pa.int64()),
        (pa.float32(), pa.int64(), pa.float64()),
        (pa.string(), pa.large_string(), pa.large_string()),
        (pa.dictionary(pa.int8(), pa.string()), pa.string(), pa.string()),
        (pa.binary(), pa.large_binary(), pa.large_binary()),
        (pa.list_(pa.int64(), 2), pa.list_(pa.float64()), pa.list_(pa.float64())),
        (pa.timestamp("s"), pa.string(), pa.string()),
        (pa.null(), pa.list_(pa.int8()), pa.list_(pa.int8())),
    ],
)
def test_schema_types_merge(a, b, merged):
    assert merge_types(a, b) == merged
    assert merge_types(b, a) == merged


def test_schema_columns_of_other_types_convert():
    table = pa.table(
        {"d": pa.array(["a", None]).dictionary_encode(), "t": pa.array([0, 1], pa.date32())}
    )
    schema = pa.schema([("d", pa.string()), ("t", pa.string()), ("new", pa.int64())])
    assert conform(table, schema).to_pylist() == [
        {"d": "a", "t": "1970-01-01", "new": None},
        {"d": None, "t": "1970-01-02", "new": None},
    ]


def test_schema_text_of_values_is_canonical():
    assert as_text({"b": 1.0, "a": None, "c": [2.5, "x"]}) == '{"b":1,"c":[2.5,"x"]}'
    assert as_text([1e16, -(2.0**62), 1e30]) == "[10000000000000000,-4611686018427387904,1e+30]"
    assert as_text("as it is") == "as it is"
    assert as_text(None) is None


def test_schema_dictionaries_of_other_values_become_text():
    column = pa.chunked_array([pa.array([1, None, 1]).dictionary_encode()])
    assert convert(column, pa.string()).to_pylist() == ["1", None, "1"]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.string(), True),
        (pa.large_string(), True),
        (pa.string_view(), True),
        (pa.null(), True),
        (pa.dictionary(pa.int8(), pa.string()), True),
        (pa.dictionary(pa.int8(), pa.int64()), False),
        (pa.binary(), False),
        (pa.list_(pa.string()), False),
    ],
)
def test_schema_tells_what_can_hold_texts(kind, text):
    assert is_text(kind) is text
