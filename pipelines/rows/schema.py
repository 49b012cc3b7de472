"""Columns of values without a type, and tables brought into a merged schema."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.rows.merging import is_bytes, is_image, is_number, is_text
from pipelines.rows.texts import as_texts, texts_of

_EXACT = 1 << 53
"""Every integer up to this has a double that equals it."""


def column_of(values: list[Any]) -> tuple[pa.Array, bool]:
    """Return parsed JSON values as one array, and whether they had no common type.

    Dates are not guessed. Values without a common type become text, and so do integers that have
    no double that equals them, beside numbers with a point.
    """
    try:
        array = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return as_texts(values), True
    if pt.is_floating(array.type):
        kinds = set(map(type, values))
        if bool in kinds or (int in kinds and _inexact(values)):
            return as_texts(values), True
    return array, False


def _inexact(values: list[Any]) -> bool:
    return any(type(value) is int and abs(value) > _EXACT for value in values)


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
    kind = column.type
    if kind.equals(to):
        return column
    if pt.is_null(kind):
        return pa.chunked_array([pa.nulls(len(column), to)])
    if is_text(to) and not is_text(kind):
        return texts_of(column).cast(to)
    if is_bytes(to) and not is_bytes(kind):
        return texts_of(column).cast(pa.binary()).cast(to)
    if pt.is_struct(to) and is_image(to) and is_bytes(kind):
        return pa.chunked_array([_as_image(chunk, to) for chunk in column.chunks], to)
    if pt.is_date32(kind) and pt.is_timestamp(to):  # Arrow has no cast to each unit
        column = column.cast(pa.timestamp("s"))
    if pt.is_integer(kind) and pt.is_decimal(to):
        return column.cast(pa.decimal256(76, to.scale)).cast(to)
    try:
        return pc.cast(column, to, safe=not is_number(to))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        return pa.chunked_array([pa.array(column.to_pylist(), to)])


def _as_image(values: pa.Array, to: pa.DataType) -> pa.Array:
    parts = [
        values.cast(field.type) if field.name == "bytes" else pa.nulls(len(values), field.type)
        for field in to
    ]
    return pa.StructArray.from_arrays(parts, fields=list(to), mask=values.is_null())
