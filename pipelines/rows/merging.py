"""One type per column, however the corpus was cut into files and chunks.

`merge_types` says what a column is once all chunks are seen, so that no value changes: null gives
way to anything, integers to wider ones, to decimals, and to doubles where each has a double that
equals it; decimals and units of time to what holds both; structs are joined by field. Where two
types have nothing in common the column becomes text, each value as `pipelines.rows.texts` writes
it, or bytes where some of it is no text. The facts that readers noted about the values decide what
types alone cannot: see `pipelines.rows.facts`.
"""

from collections.abc import Iterable

import pyarrow as pa
import pyarrow.types as pt

from pipelines.rows.facts import (
    FACTS,
    INEXACT,
    NEGATIVE,
    NO_TEXT,
    TYPE,
    UNSIGNED,
    Facts,
    beyond,
    facts_in,
    metadata_with,
    united,
)
from pipelines.rows.rows import ID, KEY

_OURS = {KEY: 1, ID: 2}
_UNITS = ("s", "ms", "us", "ns")
_MOST_DIGITS = {128: 38, 256: 76}
_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}
"""Decimal digits of the largest integers, by width."""


def merge_types(
    a: pa.DataType, b: pa.DataType, facts: Facts | None = None, path: str = ""
) -> pa.DataType:
    """Return the type that holds the values of both; text where they have nothing in common.

    Args:
        a: one type.
        b: the other.
        facts: what is known of the values of all chunks.
        path: of the column in `facts`.
    """
    merged = _merge(a, b, facts or {}, path)
    if merged is not None:
        return merged
    return pa.binary() if NO_TEXT in (facts or {}).get(path, ()) else pa.string()


def _merge(a: pa.DataType, b: pa.DataType, facts: Facts, path: str) -> pa.DataType | None:
    if a.equals(b) or pt.is_null(b):
        return a
    if pt.is_null(a):
        return b
    if pt.is_dictionary(a) or pt.is_dictionary(b):
        a, b = (t.value_type if pt.is_dictionary(t) else t for t in (a, b))
        return _merge(a, b, facts, path)
    known = facts.get(path, frozenset())
    if is_number(a) and is_number(b):
        return _numbers(a, b, known)
    if is_text(a) and is_text(b):
        return pa.large_string() if pa.large_string() in (a, b) else pa.string()
    if is_bytes(a) and is_bytes(b):
        return pa.large_binary() if pa.large_binary() in (a, b) else pa.binary()
    if _is_moment(a) and _is_moment(b):
        return _moments(a, b, known)
    if pt.is_time(a) and pt.is_time(b):
        return max(a, b, key=lambda t: _UNITS.index(t.unit))
    if pt.is_duration(a) and pt.is_duration(b):
        unit = _finer(a.unit, b.unit)
        return None if beyond(unit) in known else pa.duration(unit)
    if _is_list(a) and _is_list(b):
        return _lists(a, b, facts, path)
    if pt.is_struct(a) and pt.is_struct(b):
        return _structs(a, b, facts, path)
    if is_image(a) and is_image(b):  # encoded images with and without a path
        return a if pt.is_struct(a) else b
    return None


def _numbers(a: pa.DataType, b: pa.DataType, known: frozenset[str]) -> pa.DataType | None:
    if pt.is_decimal(a) or pt.is_decimal(b):
        return None if pt.is_floating(a) or pt.is_floating(b) else _decimals(a, b)
    if pt.is_floating(a) and pt.is_floating(b):
        return max(a, b, key=lambda t: t.bit_width)
    if pt.is_floating(a) or pt.is_floating(b):
        return None if INEXACT in known else pa.float64()
    if pt.is_signed_integer(a) == pt.is_signed_integer(b):
        return max(a, b, key=lambda t: t.bit_width)
    if UNSIGNED not in known:
        return pa.int64()
    return None if NEGATIVE in known else pa.uint64()


def _decimals(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Return the decimal with room for the digits of both, before and after the point."""
    sides = [
        (t.precision - t.scale, t.scale) if pt.is_decimal(t) else (_DIGITS[t.bit_width], 0)
        for t in (a, b)
    ]
    before, after = (max(side) for side in zip(*sides, strict=True))
    if before + after <= _MOST_DIGITS[128] and not (pt.is_decimal256(a) or pt.is_decimal256(b)):
        return pa.decimal128(before + after, after)
    return pa.decimal256(before + after, after) if before + after <= _MOST_DIGITS[256] else None


def _moments(a: pa.DataType, b: pa.DataType, known: frozenset[str]) -> pa.DataType | None:
    """Return the timestamp, or date, in the finer unit; none where only one has a time zone."""
    if pt.is_date(a) and pt.is_date(b):
        return pa.date64()
    zones = {t.tz for t in (a, b) if pt.is_timestamp(t)}
    if any(pt.is_date(t) for t in (a, b)):
        zones.add(None)
    units = ["ms" if pt.is_date64(t) else "s" if pt.is_date(t) else t.unit for t in (a, b)]
    unit = _finer(*units)
    if beyond(unit) in known or (None in zones and len(zones) > 1):
        return None
    return pa.timestamp(unit, zones.pop() if len(zones) == 1 else "UTC")


def _finer(a: str, b: str) -> str:
    return max(a, b, key=_UNITS.index)


def _lists(a: pa.DataType, b: pa.DataType, facts: Facts, path: str) -> pa.DataType | None:
    value = _merge(a.value_type, b.value_type, facts, f"{path}[]")
    if value is None:
        return None
    large = pt.is_large_list(a) or pt.is_large_list(b)
    return pa.large_list(value) if large else pa.list_(value)


def _structs(a: pa.DataType, b: pa.DataType, facts: Facts, path: str) -> pa.DataType | None:
    fields: dict[str, pa.DataType] = {}
    for field in [*a, *b]:
        seen, at = fields.get(field.name), f"{path}.{field.name}"
        merged = field.type if seen is None else _merge(seen, field.type, facts, at)
        if merged is None:
            return None
        fields[field.name] = merged
    return pa.struct(list(fields.items()))


def is_number(t: pa.DataType) -> bool:
    """Tell whether a type is that of integers, floats or decimals."""
    return bool(pt.is_integer(t) or pt.is_floating(t) or pt.is_decimal(t))


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


def is_bytes(t: pa.DataType) -> bool:
    """Tell whether a type is that of bytes."""
    return bool(
        pt.is_binary(t)
        or pt.is_large_binary(t)
        or pt.is_binary_view(t)
        or pt.is_fixed_size_binary(t)
    )


def _is_moment(t: pa.DataType) -> bool:
    return bool(pt.is_timestamp(t) or pt.is_date(t))


def _is_list(t: pa.DataType) -> bool:
    return bool(pt.is_list(t) or pt.is_large_list(t) or pt.is_fixed_size_list(t))


def merge_schemas(schemas: Iterable[pa.Schema]) -> pa.Schema:
    """Return the schema that all tables fit, columns in order of first appearance, ours last.

    Metadata (such as HF features), of the schema and of fields, is that of the first to have it;
    facts are those of all, and of a column whose type differs they name each type.
    """
    schemas = list(schemas)
    facts = united(facts_in(schema) for schema in schemas)
    fields: dict[str, pa.Field] = {}
    metadata: dict[bytes, bytes] = {}
    kinds: dict[str, list[pa.DataType]] = {}
    for schema in schemas:
        metadata = {**(schema.metadata or {}), **metadata}
        for field in schema:
            seen = fields.get(field.name)
            known = kinds.setdefault(field.name, [])
            if not pt.is_null(field.type) and field.type not in known:
                known.append(field.type)
            if seen is None:
                fields[field.name] = field.with_nullable(True)
            elif not seen.type.equals(field.type):
                merged = merge_types(seen.type, field.type, facts, field.name)
                fields[field.name] = seen.with_type(merged)
    differ = {
        name: frozenset(f"{TYPE}{kind}" for kind in known)
        for name, known in kinds.items()
        if len(known) > 1
    }
    ordered = sorted(fields.values(), key=lambda field: _OURS.get(field.name, 0))
    metadata.pop(FACTS, None)
    return pa.schema(ordered, metadata_with(metadata, united([facts, differ])))
