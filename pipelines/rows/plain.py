"""Columns in plain types: the same values in the types that are worked on and stored.

Dictionaries, runs, views and unions may name one value many times, so that a few bytes stand for
many: `row_bytes` tells what rows take once each value is written out. All but `plain_type` and
`as_raw` want arrays whose structure is known to be sound.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from pipelines.maths.arrays import Int64
from pipelines.rows.facts import FACTS
from pipelines.rows.texts import as_text

Sizes = npt.NDArray[np.float64]
"""Bytes of each row; as doubles, since lists in lists soon stand for more than 2^63."""

_RAW = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary()}
_RAW |= {pa.string_view(): pa.binary_view()}
_VIEW_BYTES = 16


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values of a column are worked on and stored.

    It holds the same values, but without dictionaries, run lengths, views, maps and extensions,
    which `datasets` or the Arrow file format cannot hold, and without names and nullability of list
    items.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pt.is_map(kind):
        return pa.list_(_pair(plain_type(kind.key_type), plain_type(kind.item_type)))
    if pt.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind])
    if pt.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if pt.is_large_list(kind):
        return pa.large_list(plain_type(kind.value_type))
    if pt.is_list(kind) or _is_list_view(kind):
        return pa.list_(plain_type(kind.value_type))
    if pt.is_string_view(kind):
        return pa.string()
    if pt.is_binary_view(kind) or pt.is_fixed_size_binary(kind):
        return pa.binary()
    if pt.is_decimal32(kind) or pt.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pt.is_union(kind) or pt.is_interval(kind):
        return pa.string()
    return kind


def plain(table: pa.Table) -> pa.Table:
    """Return a table whose columns have their plain types; of its metadata, features and facts."""
    kept = {k: v for k, v in (table.schema.metadata or {}).items() if k in (b"huggingface", FACTS)}
    table = table.replace_schema_metadata(kept or None)
    for at, field in enumerate(table.schema):
        kind = plain_type(field.type)
        if kind != field.type:
            chunks = [_plain_array(chunk, kind) for chunk in table[field.name].chunks]
            table = table.set_column(at, field.name, pa.chunked_array(chunks, kind))
        elif not field.nullable:
            table = table.set_column(at, field.name, table[field.name])
    return table


def as_raw(array: pa.Array) -> pa.Array:
    """Return the same buffers with bytes in place of texts, and without extensions.

    So the structure can be checked, and values moved, whatever the texts hold.
    """
    return _with_type(array, _raw_type(array.type))


def row_bytes(array: pa.Array) -> Sizes:
    """Return about how many bytes each row of a raw array takes in its plain type."""
    kind = array.type
    if pt.is_dictionary(kind):
        return _at(row_bytes(array.dictionary), array.indices)
    if pt.is_run_end_encoded(kind):
        return _at(row_bytes(array.values), pa.array(_runs(array)))
    if pt.is_struct(kind):
        parts = [row_bytes(array.field(i)) for i in range(kind.num_fields)]
        return np.asarray(np.sum([np.zeros(len(array)), *parts], axis=0))
    if pt.is_fixed_size_list(kind):
        items = row_bytes(_items(array))
        return np.asarray(items.reshape(len(array), kind.list_size).sum(axis=1))
    if _is_list(kind) or _is_list_view(kind):
        return _list_bytes(array)
    if pt.is_union(kind):
        return _union_bytes(array)
    if pt.is_binary_view(kind):
        return _view_lengths(array)
    if pt.is_binary(kind) or pt.is_large_binary(kind):
        lengths = pc.fill_null(pc.binary_length(array), 0)
        return np.asarray(lengths.to_numpy(zero_copy_only=False), np.float64)
    width = 16 if pt.is_interval(kind) else 0 if pt.is_null(kind) else max(1, kind.bit_width // 8)
    return np.full(len(array), width, np.float64)


class _Typed:
    """An array for Arrow's C interface that says another type of its buffers."""

    def __init__(self, array: pa.Array, kind: pa.DataType) -> None:
        self._array, self._kind = array, kind

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        return self._kind.__arrow_c_schema__(), self._array.__arrow_c_array__()[1]


def _with_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return array if array.type.equals(kind, check_metadata=True) else pa.array(_Typed(array, kind))


def _raw_type(kind: pa.DataType) -> pa.DataType:
    """Return the type that has the layout of another, without texts, extensions and time zones."""
    if isinstance(kind, pa.BaseExtensionType):
        return _raw_type(kind.storage_type)
    if pt.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _raw_type(kind.value_type))
    if pt.is_run_end_encoded(kind):
        return pa.run_end_encoded(kind.run_end_type, _raw_type(kind.value_type))
    if pt.is_map(kind):
        return pa.map_(_raw_type(kind.key_type), _raw_type(kind.item_type))
    if pt.is_struct(kind):
        return pa.struct([pa.field(f.name, _raw_type(f.type)) for f in kind])
    if pt.is_union(kind):
        fields = [kind.field(i).with_type(_raw_type(kind.field(i).type)) for i in _numbers(kind)]
        return pa.union(fields, kind.mode, kind.type_codes)
    if pt.is_fixed_size_list(kind):
        return pa.list_(_raw_type(kind.value_type), kind.list_size)
    for is_kind, new in (
        (pt.is_list, pa.list_),
        (pt.is_large_list, pa.large_list),
        (pt.is_list_view, pa.list_view),
        (pt.is_large_list_view, pa.large_list_view),
    ):
        if is_kind(kind):
            return new(_raw_type(kind.value_type))
    if pt.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    return _RAW.get(kind, kind)


def _numbers(kind: pa.DataType) -> range:
    return range(kind.num_fields)


def _pair(key: pa.DataType, value: pa.DataType) -> pa.DataType:
    fields: list[tuple[str, pa.DataType]] = [("key", key), ("value", value)]
    return pa.struct(fields)


def _is_list_view(kind: pa.DataType) -> bool:
    return bool(pt.is_list_view(kind) or pt.is_large_list_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_map(kind))


def _plain_array(array: pa.Array, kind: pa.DataType) -> pa.Array:
    return _with_type(_written_out(as_raw(array), np.arange(len(array))), kind)


def _written_out(array: pa.Array, at: Int64) -> pa.Array:
    """Return the values of a raw array at some rows, -1 for null, each in its own place.

    Only values that are asked for are written, else one that nobody names could be a bomb.
    """
    if len(at) and at[0] >= 0 and (np.diff(at) == 1).all():
        array, at = array.slice(at[0], len(at)), np.arange(len(at))
    kind = array.type
    if pt.is_dictionary(kind):
        return _written_out(array.dictionary, _picked(_filled(array.indices), at))
    if pt.is_run_end_encoded(kind):
        return _written_out(array.values, _picked(_runs(array), at))
    if pt.is_struct(kind) and kind.num_fields:
        fields = [_written_out(array.field(i), at) for i in range(kind.num_fields)]
        names = [field.name for field in kind]
        return pa.StructArray.from_arrays(fields, names, mask=_null(array, at))
    if pt.is_fixed_size_list(kind):
        size = kind.list_size
        places = (at * size)[:, None] + np.arange(size)
        places[at < 0] = -1
        items = _written_out(_items(array), places.ravel())
        return pa.FixedSizeListArray.from_arrays(items, size, mask=_null(array, at))
    if _is_list(kind) or _is_list_view(kind):
        return _written_lists(array, at)
    if pt.is_union(kind) or pt.is_interval(kind):
        texts = [_text(array[i].as_py()) if i >= 0 else None for i in at.tolist()]
        return pa.array(texts, pa.binary())
    return _written_leaf(array, at)


def _written_leaf(array: pa.Array, at: Int64) -> pa.Array:
    kind, all_rows = array.type, len(at) == len(array) and (at == np.arange(len(at))).all()
    if pt.is_binary_view(kind) and not all_rows:  # Arrow cannot take from these
        return pa.array([array[i].as_py() if i >= 0 else None for i in at.tolist()], pa.binary())
    if not all_rows:
        array = array.take(pa.array(at, mask=at < 0))
    if pt.is_binary_view(kind) or pt.is_fixed_size_binary(kind):
        return array.cast(pa.binary())
    if pt.is_decimal32(kind) or pt.is_decimal64(kind):
        return array.cast(pa.decimal128(kind.precision, kind.scale))
    return array


def _written_lists(array: pa.Array, at: Int64) -> pa.Array:
    starts, stops, items = _bounds(array)
    lengths = _picked(stops - starts, at, 0)
    edges = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(_picked(starts, at, 0) - edges[:-1], lengths) + np.arange(edges[-1])
    items = _written_out(items, places)
    large = pt.is_large_list(array.type)
    made = pa.LargeListArray if large else pa.ListArray
    offsets = pa.array(edges, pa.int64() if large else pa.int32())
    return made.from_arrays(offsets, items, mask=_null(array, at))


def _null(array: pa.Array, at: Int64) -> pa.Array:
    null = array.is_null().to_numpy(zero_copy_only=False)
    return pa.array(np.where(at < 0, True, null[at]) if len(null) else np.ones(len(at), bool))


def _filled(indices: pa.Array) -> Int64:
    """Return indices with -1 for null."""
    known = indices.is_valid().to_numpy(zero_copy_only=False)
    numbers = pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)
    return np.where(known, numbers, -1).astype(np.int64)


def _picked(values: Int64, at: Int64, absent: int = -1) -> Int64:
    if not len(values):
        return np.full(len(at), absent, np.int64)
    return np.where(at < 0, absent, values[at])


def _text(value: Any) -> bytes | None:
    """Return a value as text; bytes as they are, whether they are a text is asked later."""
    if isinstance(value, bytes):
        return value
    said = as_text(value)
    return None if said is None else said.encode()


def _runs(array: pa.Array) -> Int64:
    """Return the number of the run that each row belongs to."""
    ends = array.run_ends.to_numpy()
    rows = np.arange(array.offset, array.offset + len(array))
    return np.searchsorted(ends, rows, side="right").astype(np.int64)


def _items(array: pa.Array) -> pa.Array:
    """Return the items of the rows of a list of fixed size."""
    size = array.type.list_size
    return array.values.slice(array.offset * size, len(array) * size)


def _bounds(array: pa.Array) -> tuple[Int64, Int64, pa.Array]:
    """Return where the items of each list start and stop, and the items from the first start on."""
    kind, null = array.type, array.is_null().to_numpy(zero_copy_only=False)
    if _is_list_view(kind):
        starts, stops = np.array(array.offsets, np.int64), np.array(array.sizes, np.int64)
        stops += starts
    else:
        edges = np.array(array.offsets, np.int64) if len(array) else np.zeros(1, np.int64)
        starts, stops = edges[:-1].copy(), edges[1:].copy()
    stops[null] = starts[null]
    filled = starts < stops
    first = int(starts[filled].min()) if filled.any() else 0
    last = int(stops[filled].max()) if filled.any() else 0
    starts[~filled] = stops[~filled] = first
    items = array.values
    if pt.is_map(kind):
        items = pa.StructArray.from_arrays([array.keys, array.items], ["key", "value"])
    return starts - first, stops - first, items.slice(first, last - first)


def _at(sizes: Sizes, indices: pa.Array) -> Sizes:
    if not len(sizes):
        return np.zeros(len(indices))
    found: Sizes = sizes[pc.fill_null(indices, 0).to_numpy(zero_copy_only=False)]
    return found


def _list_bytes(array: pa.Array) -> Sizes:
    starts, stops, items = _bounds(array)
    before = np.concatenate([[0.0], np.cumsum(row_bytes(items))])
    found: Sizes = before[stops] - before[starts]
    return found


def _union_bytes(array: pa.Array) -> Sizes:
    codes: Sequence[int] = array.type.type_codes
    mine = np.array(array.type_codes)
    places = np.array(array.offsets) if array.type.mode == "dense" else np.arange(len(array))
    sizes = np.zeros(len(array))
    for number, code in enumerate(codes):
        rows = np.flatnonzero(mine == code)
        if len(rows):
            sizes[rows] = row_bytes(array.field(number))[places[rows]]
    return sizes


def _view_lengths(array: pa.Array) -> Sizes:
    if not len(array):
        return np.zeros(0)
    raw = np.frombuffer(array.buffers()[1], np.int32, 4 * (array.offset + len(array)))
    lengths = raw[4 * array.offset :: _VIEW_BYTES // 4].astype(np.float64)
    lengths[array.is_null().to_numpy(zero_copy_only=False)] = 0
    return lengths
