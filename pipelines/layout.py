"""Plan the output: which rows go into which file, whatever shards they were worked on in.

Rows are laid out in key order. A data file `i` of a split holds the rows whose first byte, counted
over all rows of the split, lies in [i, i + 1) times the target size; a ledger file holds a fixed
number of records. Neither depends on how the input was read, so the files are the same bytes for
any runner, worker count and split of the input.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.features import IMAGE_TYPE, class_names, features_of, with_features
from pipelines.rows import DEFAULT_SPLIT, ID, KEY, SPLIT, Columns, Rows

LEDGER_ROWS = 1_000_000
"""Records a ledger file."""
MOST_CLASSES = 10_000
"""Above this many distinct labels a string label stays text."""


def sizes_of(rows: Rows) -> pa.Table:
    """Return `_key`, split and size in bytes of each row: what the layout is planned from."""
    names = rows.table.column_names
    split = rows.table[SPLIT] if SPLIT in names else pa.repeat(DEFAULT_SPLIT, len(rows))
    size = np.zeros(len(rows), dtype=np.int64)
    for name in names:
        if name not in (KEY, SPLIT):
            size += _bytes_of(rows.column(name))
    return pa.table({KEY: rows.keys, "split": split, "bytes": size})


def _bytes_of(column: pa.Array) -> npt.NDArray[np.int64]:
    """Return the size of each value; nulls are 0, so that an absent column weighs nothing."""
    kind = column.type
    if pa.types.is_struct(kind):
        parts = [_bytes_of(part) for part in column.flatten()]
        return np.sum(parts, axis=0) if parts else np.zeros(len(column), np.int64)
    if pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_large_string(kind):
        sizes = pc.binary_length(column)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        sizes = pc.multiply(pc.list_value_length(column), 8)
    elif pa.types.is_fixed_size_list(kind):
        sizes = pc.if_else(column.is_valid(), 4 * kind.list_size, 0)
    else:
        sizes = pc.if_else(column.is_valid(), 8, 0)
    filled: npt.NDArray[np.int64] = pc.fill_null(sizes, 0).to_numpy(False).astype(np.int64)
    return filled


def assign(sizes: pa.Table, split: str, before: int, target: int) -> tuple[Any, Any]:
    """Return the keys of one split in a shard and the number of the file each goes into.

    Args:
        sizes: made by `sizes_of`, in key order.
        split: name of the split.
        before: bytes of the split in earlier shards.
        target: bytes a file.
    """
    mine = sizes.filter(pc.equal(sizes["split"], split))
    size = mine["bytes"].to_numpy()
    starts = before + np.cumsum(size) - size
    return mine[KEY].to_numpy(), starts // target


@dataclass(frozen=True)
class OutputSchema:
    """The one schema of all files: its fields, features and how values are brought into it."""

    schema: pa.Schema
    columns: Columns
    classes: tuple[str, ...] | None
    """Class names of a string label that is stored as numbers, None where it is stored as is."""

    def conform(self, table: pa.Table) -> pa.Table:
        """Return rows with exactly the columns of the schema."""
        arrays = [self._column(table, field) for field in self.schema]
        return pa.table(arrays, schema=self.schema)

    def _column(self, table: pa.Table, field: pa.Field) -> pa.ChunkedArray:
        if field.name not in table.column_names:
            return pa.chunked_array([pa.nulls(len(table), field.type)])
        values = table[field.name]
        if self.classes is not None and field.name == self.columns.label:
            return pc.index_in(values.cast(pa.string()), pa.array(self.classes)).cast(pa.int64())
        if field.name == self.columns.image and not pa.types.is_struct(values.type):
            images = values.combine_chunks().cast(pa.binary())
            paths = pa.nulls(len(images), pa.string())
            return pa.chunked_array([pa.StructArray.from_arrays([images, paths], fields=IMAGE_TYPE)])
        if pa.types.is_string(field.type) and not pa.types.is_string(values.type):
            return pa.chunked_array([as_text(values)], pa.string())
        return values.cast(field.type)


def plan_schema(
    schemas: Iterable[pa.Schema], columns: Columns, labels: Iterable[str]
) -> OutputSchema:
    """Return the schema that all shards' rows fit into.

    Types that have no common type become text: a corpus may say 7 in one file and "seven" in the
    next, and both stay readable.
    """
    merged: dict[str, pa.DataType] = {}
    metadata: dict[bytes, bytes] | None = None
    for schema in schemas:
        metadata = metadata or schema.metadata
        for field in schema:
            known = merged.get(field.name)
            merged[field.name] = field.type if known is None else _common(known, field.type)
    hidden = {KEY, SPLIT, *([ID] if columns.id else [])}
    fields = [(n, _stored(t)) for n, t in merged.items() if n not in hidden]
    schema = pa.schema(fields, metadata=metadata)
    label = columns.label if columns.label in merged else None
    classes, names = None, class_names(schema, label) if label else None
    if label and names is None and pa.types.is_string(merged[label]):
        found = sorted(set(labels) - {"None"})
        if 0 < len(found) <= MOST_CLASSES:
            classes = names = found
            schema = schema.set(schema.get_field_index(label), pa.field(label, pa.int64()))
    image = columns.image if columns.image in merged else None
    if image:
        schema = schema.set(schema.get_field_index(image), pa.field(image, IMAGE_TYPE))
    features = features_of(schema, image, (label, names) if label and names else None)
    return OutputSchema(
        with_features(schema, features), columns, tuple(classes) if classes else None
    )


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    if one == other:
        return one
    try:
        both = [pa.schema([("x", one)]), pa.schema([("x", other)])]
        return pa.unify_schemas(both, promote_options="permissive").field("x").type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.string()


def _stored(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_null(kind):
        return pa.string()
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def as_text(values: pa.ChunkedArray) -> pa.Array:
    """Return values as text: strings as they are, anything else as JSON."""
    if pa.types.is_large_string(values.type) or pa.types.is_dictionary(values.type):
        return values.combine_chunks().cast(pa.string())
    written = [
        v if v is None or isinstance(v, str) else orjson.dumps(v, default=str).decode()
        for v in values.to_pylist()
    ]
    return pa.array(written, pa.string())
