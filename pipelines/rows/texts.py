"""Values as text: one text for one value, whatever Arrow type the value came in.

A number is written as JSON writes it and a whole one without a point, a decimal without trailing
zeros, a moment in UTC at the precision it has, bytes as the text they are, and nested values as
canonical JSON: keys sorted, nulls in objects left out.
"""

import datetime
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_LARGEST = 1 << 63
"""Whole numbers below this are written without a point."""
_OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
_ZEROS = r"(\.[0-9]*[1-9])0+(Z?)$|\.0+(Z?)$"
_LEFT = r"\1\2\3"


def as_text(value: Any) -> str | None:
    """Return a single value as its text and a nested one as canonical JSON."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple | bool | int):
        return orjson.dumps(_plain(value), default=_json, option=_OPTIONS).decode()
    if isinstance(value, float):
        return str(_floats(pa.array([value]))[0])
    return _single(value)


def as_texts(values: Iterable[Any], kind: pa.DataType | None = None) -> pa.Array:
    """Return values of any kinds as strings, each as `as_text` writes it."""
    return pa.array([as_text(value) for value in values], kind or pa.string())


def texts_of(column: pa.ChunkedArray | pa.Array) -> pa.Array | pa.ChunkedArray:
    """Return a column of any type as strings, each as `as_text` writes its value."""
    if isinstance(column, pa.ChunkedArray):
        return pa.chunked_array([texts_of(chunk) for chunk in column.chunks], pa.string())
    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return texts_of(column.storage)
    if pt.is_dictionary(kind):
        return texts_of(column.dictionary_decode())
    if pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_null(kind) or _is_string(kind):
        return column.cast(pa.string())
    if pt.is_floating(kind):
        return _floats(column.cast(pa.float64()))
    if pt.is_timestamp(kind):
        column = column.cast(pa.timestamp(kind.unit, kind.tz and "UTC"))
        return pc.replace_substring_regex(column.cast(pa.string()), _ZEROS, _LEFT)
    if pt.is_time(kind) or pt.is_date64(kind):
        return pc.replace_substring_regex(column.cast(pa.string()), _ZEROS, _LEFT)
    if pt.is_date32(kind):
        return column.cast(pa.string())
    if pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_fixed_size_binary(kind):
        try:
            return column.cast(pa.binary()).cast(pa.string())
        except pa.ArrowInvalid:
            return as_texts(column.to_pylist())
    return as_texts(column.to_pylist())


def _is_string(kind: pa.DataType) -> bool:
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _floats(column: pa.Array) -> pa.Array:
    numbers = column.fill_null(0).to_numpy(zero_copy_only=False)
    listed = orjson.dumps(numbers, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].decode()
    texts = pa.array(listed.split(",") if listed else [], pa.string())
    whole = (np.floor(numbers) == numbers) & (np.abs(numbers) < _LARGEST)
    integers = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
    texts = pc.if_else(pa.array(whole), integers, texts)
    if not np.isfinite(numbers).all():  # JSON has no word for these
        texts = pc.if_else(
            pa.array(np.isfinite(numbers)), texts, pa.array(numbers).cast(pa.string())
        )
    return pc.if_else(column.is_valid(), texts, None) if column.null_count else texts


def _single(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            return str(value.astimezone(datetime.UTC).replace(tzinfo=None)) + "Z"
        return str(value)
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
        return int(value)
    if isinstance(value, int) and not -_LARGEST <= value < 1 << 64:
        return orjson.Fragment(str(value))
    return value


def _json(value: Any) -> Any:
    """Return what orjson can write for a value that it does not know."""
    if isinstance(value, Decimal):
        return orjson.Fragment(_single(value))
    return _single(value)
