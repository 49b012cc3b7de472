from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.rows.facts import MIXED, facts_in, with_facts, without_facts
from pipelines.rows.merging import is_text, merge_schemas, merge_types
from pipelines.rows.schema import column_of, conform, convert
from pipelines.rows.texts import as_text, texts_of

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
    parts = [
        with_facts(pa.table({"x": column_of(p)[0]}))
        for p in (column[:a], column[a:b], column[b:])
        if p
    ]
    schema = merge_schemas(part.schema for part in parts)
    joined = pa.concat_tables([conform(part, schema) for part in parts])
    whole = pa.table({"x": column_of(column)[0]})
    assert joined["x"].to_pylist() == whole["x"].to_pylist()
    assert joined.schema.equals(whole.schema)


moments = st.integers(-(2**33), 2**34)
typed = st.one_of(
    *(
        st.lists(values, min_size=1, max_size=3).map(lambda v, kind=kind: pa.array(v, kind))
        for kind, values in [
            (pa.int8(), st.integers(-128, 127)),
            (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
            (pa.int64(), st.integers(-9, 9)),
            (pa.uint64(), st.integers(0, 2**64 - 1)),
            (pa.float32(), st.floats(width=32, allow_nan=False)),
            (pa.float64(), st.floats(allow_nan=False)),
            (pa.decimal128(9, 2), st.decimals(-9999, 9999, places=2)),
            (pa.decimal128(38, 30), st.decimals(-99, 99, places=30)),
            (pa.timestamp("s"), moments),
            (pa.timestamp("us"), moments),
            (pa.timestamp("ns"), moments),
            (pa.timestamp("ms", "Europe/Berlin"), moments),
            (pa.timestamp("ns", "UTC"), moments),
            (pa.date32(), st.integers(-(10**6), 10**6)),
            (pa.time32("s"), st.integers(0, 86_399)),
            (pa.time64("ns"), st.integers(0, 86_399 * 10**9)),
            (pa.binary(), st.binary(max_size=3)),
            (pa.string(), st.text(max_size=3)),
            (pa.bool_(), st.booleans()),
            (pa.list_(pa.int64()), st.lists(st.integers(-(2**60), 2**60), max_size=2)),
            (pa.list_(pa.float64()), st.lists(st.floats(allow_nan=False), max_size=2)),
            (pa.struct({"a": pa.int64()}), st.fixed_dictionaries({"a": st.integers(-9, 9)})),
            (pa.struct({"b": pa.string()}), st.fixed_dictionaries({"b": st.text(max_size=2)})),
        ]
    )
)


def unordered(kind):
    """Return a type as text; the fields of a struct are in the order of the input."""
    return sorted(map(str, kind)) if pa.types.is_struct(kind) else str(kind)


def kept(array):
    """Return what a column says, in a form that does not depend on its type."""
    if pa.types.is_binary(array.type) or pa.types.is_large_binary(array.type):
        return array.to_pylist()
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    return [None if text is None else text.encode() for text in texts_of(array).to_pylist()]


@settings(max_examples=200, deadline=None)
@given(st.lists(typed, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_schema_no_value_changes_when_types_merge(arrays, random):
    tables = [with_facts(pa.table({"x": array})) for array in arrays]
    schema = merge_schemas(table.schema for table in tables)
    random.shuffle(tables)
    shuffled = merge_schemas(table.schema for table in tables)
    assert unordered(shuffled.field("x").type) == unordered(schema.field("x").type)
    days = any(pa.types.is_date(array.type) for array in arrays)
    if days and not pa.types.is_timestamp(schema.field("x").type):
        return  # a day beside texts is written as a day
    for table in tables:
        merged = conform(table, schema)["x"].combine_chunks()
        assert kept(merged) == kept(table["x"].combine_chunks())


def merged(*arrays):
    tables = [with_facts(pa.table({"x": array})) for array in arrays]
    schema = merge_schemas(table.schema for table in tables)
    return [conform(table, schema)["x"].to_pylist() for table in tables], schema.field("x").type


def test_schema_integers_beside_doubles_stay_exact():
    large, small = pa.array([1234567890123456789, 1234567890123456790]), pa.array([1, 2**53])
    assert merged(small, pa.array([0.5])) == ([[1.0, 2.0**53], [0.5]], pa.float64())
    assert merged(large, pa.array([0.5, 2.0])) == (
        [["1234567890123456789", "1234567890123456790"], ["0.5", "2"]],
        pa.string(),
    )


def test_schema_bytes_beside_text_are_the_text_they_are():
    assert merged(pa.array([b"1.2"]), pa.array(["1.3"])) == ([["1.2"], ["1.3"]], pa.string())
    found = merged(pa.array([b"\xff"]), pa.array(["1.3"]), pa.array([7]))
    assert found == ([[b"\xff"], [b"1.3"], [b"7"]], pa.binary())


def test_schema_decimals_and_units_become_wide_enough():
    few = pa.array([Decimal("1.20")], pa.decimal128(5, 2))
    many = pa.array([Decimal("123456.7")], pa.decimal128(12, 1))
    assert merged(few, many)[1] == pa.decimal128(13, 2)
    assert merged(few, pa.array([1.5])) == ([["1.2"], ["1.5"]], pa.string())
    seconds = pa.array([0, 10**11], pa.timestamp("s"))
    assert merged(seconds.slice(0, 1), pa.array([1], pa.timestamp("ns")))[1] == pa.timestamp("ns")
    texts, kind = merged(seconds, pa.array([1_500_000_000], pa.timestamp("ns")))
    assert kind == pa.string()
    assert texts == [["1970-01-01 00:00:00", "5138-11-16 09:46:40"], ["1970-01-01 00:00:01.5"]]


def test_schema_images_with_and_without_a_path_are_images():
    struct = pa.array([{"bytes": b"x", "path": "a.png"}])
    found, kind = merged(struct, pa.array([b"y"]))
    assert found == [[{"bytes": b"x", "path": "a.png"}], [{"bytes": b"y", "path": None}]]
    assert kind == struct.type


def test_schema_facts_leave_with_the_chunk():
    table = with_facts(pa.table({"x": [-1], "s": ["a"]}), {"s": frozenset({MIXED})})
    assert facts_in(table.schema) == {"x": {"negative"}, "s": {MIXED}}
    assert without_facts(table).schema.metadata is None


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
