"""Headers of the pages of a Parquet file: what a few bytes unpack to, before they are read.

A header is a Thrift struct in the compact protocol, whose fields are those of parquet.thrift. The
metadata at the end of the file says such things too, but nobody holds it to them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

LARGEST_PAGE = 1 << 30
"""Bytes that a page may unpack to; it is unpacked whole."""
VALUES_OF_NO_BYTES = 1 << 24
"""Values that a column may have without a bit of the file for each, as equal ones have none."""
_DATA, _DICTIONARY = 0, 2
_DELTA = 7
"""Encoding of a value as what it adds to the start of the one before."""
_WINDOWS = (1 << 10, 1 << 16, 1 << 24)
"""Bytes that are tried for a header; statistics may be long."""
_DEEPEST = 8


@dataclass(frozen=True)
class Column:
    """What the pages of a column have in a row group."""

    values: int
    dictionary: int
    """Bytes of the dictionary."""
    prefixed: int
    """Bytes of the largest page whose values build on each other; 0 where there is none."""


def column_of_group(file: pa.NativeFile, chunk: Any) -> Column:
    """Return what the pages of a column chunk have.

    Raises:
        ArrowInvalid: a header is damaged, or a page or the column claims more than any has.
    """
    values = dictionary = prefixed = 0
    for header in _headers(file, chunk):
        size = _number(header, 2)
        if not 0 <= size <= LARGEST_PAGE:
            said = f"a page unpacks to {size:,} bytes; at most {LARGEST_PAGE:,} are read"
            raise pa.ArrowInvalid(said)
        kind = header.get(1)
        if kind == _DICTIONARY:
            dictionary = max(dictionary, size)
            continue
        inner = _inner(header)
        values += _number(inner, 1)
        if inner.get(2 if kind == _DATA else 4) == _DELTA:
            prefixed = max(prefixed, size)
    if values > max(VALUES_OF_NO_BYTES, 8 * file.size()):
        said = f"a column claims {values:,} values in a file of {file.size():,} bytes"
        raise pa.ArrowInvalid(said)
    return Column(values, dictionary, prefixed)


def _headers(file: pa.NativeFile, chunk: Any) -> Iterator[dict[int, Any]]:
    starts = (chunk.dictionary_page_offset, chunk.data_page_offset)
    at = min((start for start in starts if start is not None and start > 0), default=0)
    values, stop = 0, at + chunk.total_compressed_size
    while at < stop and values < chunk.num_values:
        header, length = _header(file, at)
        yield header
        values += _number(_inner(header), 1)
        at += length + _number(header, 3)


def _inner(header: dict[int, Any]) -> dict[int, Any]:
    """Return the header of a data page in the header of a page."""
    inner = header.get(5, header.get(8, {}))
    if not isinstance(inner, dict):
        raise pa.ArrowInvalid("the header of a page is damaged")
    return inner


def _number(fields: dict[int, Any], number: int) -> int:
    value = fields.get(number, 0)
    if not isinstance(value, int) or value < 0:
        raise pa.ArrowInvalid(f"the header of a page is damaged: {value!r} in field {number}")
    return value


def _header(file: pa.NativeFile, at: int) -> tuple[dict[int, Any], int]:
    for window in _WINDOWS:
        file.seek(at)
        try:
            return _struct(memoryview(file.read(window)), 0, 0)
        except IndexError:
            continue
    raise pa.ArrowInvalid(f"the header of the page at byte {at:,} is damaged")


def _struct(data: memoryview, at: int, depth: int) -> tuple[dict[int, Any], int]:
    """Return the numbers and structs of a struct by the numbers of the fields, and its end."""
    if depth > _DEEPEST:
        raise pa.ArrowInvalid("the header of a page is nested too deep")
    fields: dict[int, Any] = {}
    number = 0
    while byte := data[at]:
        at += 1
        if byte >> 4:
            number += byte >> 4
        else:
            number, at = _integer(data, at)
        fields[number], at = _value(data, at, byte & 15, depth)
    return fields, at + 1


def _value(data: memoryview, at: int, kind: int, depth: int) -> tuple[Any, int]:
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return data[at], at + 1
    if kind in (4, 5, 6):
        return _integer(data, at)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at)
        return None, at + length
    if kind == 12:
        return _struct(data, at, depth + 1)
    raise pa.ArrowInvalid(f"the header of a page has a field of type {kind}")


def _integer(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise pa.ArrowInvalid("the header of a page has an endless number")
