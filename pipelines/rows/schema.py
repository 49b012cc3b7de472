"""Arrow types of data that has none: one type per column, however the data was cut into chunks.

A chunk of JSON lines shows only some of the values of a column. `merge_types` says what the column
is once all chunks are seen: the same type, with the same values, as if all were looked at together.
Null gives way to anything and integers to doubles, structs are joined by field, and where two types
have nothing in common the column becomes a string (strings as they are, the rest as JSON).
"""

from collections.abc import Iterable
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.rows.rows import ID, KEY

_OURS = {KEY: 1, ID: 2}
_LARGEST = 1 << 63
"""Integers below this may have become doubles, in a column that holds doubles too."""


def as_text(value: Any) -> str | None:
    """Return a string as it is and anything else as canonical JSON.

    Since a value may have passed through an Arrow type first, keys are sorted, nulls in objects are
    left out, and a whole number is written without a point.
    """
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS, default=str).decode()


def as_texts(values: Iterable[Any], kind: pa.DataType | None = None) -> pa.Array:
    """Return values of any kinds as strings, each as `as_text` writes it."""
    return pa.array([as_text(value) for value in values], kind or pa.string())


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return int(value)
    if isinstance(value, int) and not -_LARGEST <= value < 1 << 64:
        return str(value)
    return value


def column_of(values: list[Any]) -> pa.Array:
    """Return parsed JSON values as one array: dates are not guessed, clashing types become text."""
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        kinds = {type(value) for value in values} - {type(None)}
        if kinds == {int, float} and all(_fits(v) for v in values if type(v) is int):
            return pa.array([None if v is None else float(v) for v in values], pa.float64())
        return as_texts(values)
    if pt.is_floating(array.type) and any(type(value) is bool for value in values):
        return as_texts(values)
    return array


def _fits(value: int) -> bool:
    return -_LARGEST <= value < _LARGEST


def merge_types(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both; string where they have nothing in common."""
    merged = _merge(a, b)
    return pa.string() if merged is None else merged


def _merge(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    if a.equals(b) or pt.is_null(b):
        return a
    if pt.is_null(a):
        return b
    if pt.is_dictionary(a) or pt.is_dictionary(b):
        return _merge(*(t.value_type if pt.is_dictionary(t) else t for t in (a, b)))
    for test in (_is_number, is_text, _is_binary, _is_list, pt.is_struct):
        if test(a) and test(b):
            return _merge_alike(a, b)
    return None


def _merge_alike(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Merge two types of one family."""
    if _is_number(a):
        if pt.is_floating(a) or pt.is_floating(b):
            both = pt.is_floating(a) and pt.is_floating(b)
            return max(a, b, key=lambda t: t.bit_width) if both else pa.float64()
        if pt.is_signed_integer(a) == pt.is_signed_integer(b):
            return max(a, b, key=lambda t: t.bit_width)
        return None if pa.uint64() in (a, b) else pa.int64()
    if is_text(a):
        return pa.large_string() if pa.large_string() in (a, b) else pa.string()
    if _is_binary(a):
        return pa.large_binary() if pa.large_binary() in (a, b) else pa.binary()
    if _is_list(a):
        value = _merge(a.value_type, b.value_type)
        if value is None:
            return None
        large = pt.is_large_list(a) or pt.is_large_list(b)
        return pa.large_list(value) if large else pa.list_(value)
    fields: dict[str, pa.DataType] = {}
    for field in [*a, *b]:
        seen = fields.get(field.name)
        merged = field.type if seen is None else _merge(seen, field.type)
        if merged is None:
            return None
        fields[field.name] = merged
    return pa.struct(list(fields.items()))


def _is_number(t: pa.DataType) -> bool:
    return bool(pt.is_integer(t) or pt.is_floating(t))


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can hold texts: nulls and dictionaries of texts too."""
    if pt.is_dictionary(kind):
        return is_text(kind.value_type)
    tests = (pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_null)
    return any(test(kind) for test in tests)


def is_image(kind: pa.DataType) -> bool:
    """Tell whether a column of this type can hold encoded images."""
    if pt.is_struct(kind):
        at = kind.get_field_index("bytes")
        return bool(at >= 0 and is_image(kind.field(at).type))
    return any(test(kind) for test in (pt.is_binary, pt.is_large_binary, pt.is_null))


def _is_binary(t: pa.DataType) -> bool:
    return bool(
        pt.is_binary(t)
        or pt.is_large_binary(t)
        or pt.is_binary_view(t)
        or pt.is_fixed_size_binary(t)
    )


def _is_list(t: pa.DataType) -> bool:
    return bool(pt.is_list(t) or pt.is_large_list(t) or pt.is_fixed_size_list(t))


def merge_schemas(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Return the schema that all tables fit, columns in order of first appearance, ours last.

    Metadata (such as HF features), of the schema and of fields, is that of the first to have it.
    """
    fields: dict[str, pa.Field] = {}
    metadata: dict[bytes, bytes] = {}
    for schema in schemas:
        metadata = {**(schema.metadata or {}), **metadata}
        for field in schema:
            seen = fields.get(field.name)
            if seen is None:
                fields[field.name] = field.with_nullable(True)
            elif not seen.type.equals(field.type):
                fields[field.name] = seen.with_type(merge_types(seen.type, field.type))
    ordered = sorted(fields.values(), key=lambda field: _OURS.get(field.name, 0))
    return pa.schema(ordered, metadata or None)


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly the columns of a merged schema; missing ones are null."""
    if table.schema.equals(schema, check_metadata=True):
        return table
    columns = [
        convert(table[field.name], field.type)
        if field.name in table.column_names
        else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def convert(column: pa.ChunkedArray, to: pa.DataType) -> pa.ChunkedArray:
    """Return a column as a type that `merge_types` gave for it."""
    if column.type.equals(to):
        return column
    if is_text(to) and not is_text(column.type):
        if pt.is_integer(column.type) or pt.is_boolean(column.type) or pt.is_temporal(column.type):
            return column.cast(to)
        return pa.chunked_array([as_texts(column.to_pylist(), to)])
    try:
        return pc.cast(column, to, safe=not _is_number(to))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.chunked_array([pa.array(column.to_pylist(), to)])
