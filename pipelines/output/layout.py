"""Plan the output: which rows go into which file, whatever shards they were worked on in.

Rows are laid out in key order. A data file `i` of a split holds the rows whose first byte, counted
over all rows of the split, lies in [i, i + 1) times the target size; a ledger file holds a fixed
number of records. Neither depends on how the input was read, so the files are the same bytes for
any runner, worker count and split of the input.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.errors import UserError
from pipelines.maths.arrays import Keys
from pipelines.rows import DEFAULT_SPLIT, ID, KEY, SPLIT, Columns, Rows
from pipelines.rows.facts import metadata_with
from pipelines.rows.hf_features import IMAGE_TYPE, class_names, features_of, with_features
from pipelines.rows.merging import is_bytes, is_image, is_text, merge_schemas
from pipelines.rows.profile import may_be_class
from pipelines.rows.schema import conform
from pipelines.rows.texts import texts_of

LEDGER_ROWS = 1_000_000
"""Records per ledger file."""
KEY_ROWS = 100_000
"""Rows per file of the keys that a dedup step stores."""

Sizes = npt.NDArray[np.int64]


def weigh_rows(rows: Rows) -> pa.Table:
    """Return `_key`, split and size in bytes of each row: what the layout is planned from."""
    names = rows.table.column_names
    split = rows.table[SPLIT] if SPLIT in names else pa.repeat(DEFAULT_SPLIT, len(rows))
    size = np.full(len(rows), 8, dtype=np.int64)  # no row weighs nothing
    for name in names:
        if name not in (KEY, SPLIT):
            size += _bytes_of(rows.column(name))
    return pa.table({KEY: rows.keys, "split": split, "bytes": size})


def _bytes_of(column: pa.Array, number: int = 8) -> Sizes:
    """Return about how many bytes each value of a column of plain type takes.

    A null weighs 0, so that an absent column weighs nothing, and any number `number`, so that its
    width does not matter: which type a column has may differ between the shards.
    """
    kind = column.type
    if pa.types.is_null(kind):
        return np.zeros(len(column), np.int64)
    if pa.types.is_struct(kind):
        parts = [_bytes_of(part, number) for part in column.flatten()]
        return np.sum(parts, axis=0, dtype=np.int64) if parts else np.zeros(len(column), np.int64)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy().astype(np.int64)
        total = np.concatenate([[0], np.cumsum(_bytes_of(column.flatten(), 4))])
        ends = np.cumsum(lengths)
        return np.asarray(total[ends] - total[ends - lengths], dtype=np.int64)
    if is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        sizes = pc.fill_null(pc.binary_length(column), 0)
        return np.asarray(sizes.to_numpy(zero_copy_only=False), dtype=np.int64)
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False) * np.int64(number))


def assign(sizes: pa.Table, split: str, before: int, target: int) -> tuple[Keys, Sizes]:
    """Return the keys of one split in a shard and the number of the file each goes into.

    Args:
        sizes: made by `weigh_rows`, in key order.
        split: name of the split.
        before: bytes of the split in earlier shards.
        target: bytes per file.
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
    classes: tuple[str, ...] | None = None
    """Class names of a text label that is stored as numbers, None where it is stored as is."""
    clashing: frozenset[str] = frozenset()
    """Columns that are text or bytes because their values have no other type in common."""

    def conform(self, table: pa.Table) -> pa.Table:
        """Return rows with exactly the columns of the schema."""
        names, label, image = table.column_names, self.columns.label, self.columns.image
        if self.classes is not None and label in names:
            classes = pa.array(self.classes, pa.string())
            numbers = pc.index_in(texts_of(table[label]), classes).cast(pa.int64())
            table = table.set_column(names.index(label), label, numbers)
        if image in names and table[image].type != IMAGE_TYPE:
            images = [_image(chunk) for chunk in table[image].chunks]
            encoded = pa.chunked_array(images, IMAGE_TYPE)
            table = table.set_column(names.index(image), image, encoded)
        return conform(table, self.schema)

    def clashes(self, table: pa.Table) -> bool:
        """Tell whether some columns of a table are still to become text."""
        return any(not _has_length(table.schema.field(name).type) for name in self._mixed(table))

    def as_weighed(self, table: pa.Table) -> pa.Table:
        """Return a table in which they are text, as if all rows had been read at once."""
        for name in self._mixed(table):
            at = table.column_names.index(name)
            if not _has_length(table.schema.field(at).type):
                table = table.set_column(at, name, texts_of(table[name]))
        return table

    def _mixed(self, table: pa.Table) -> list[str]:
        return [name for name in table.column_names if name in self.clashing]


def _image(values: pa.Array) -> pa.StructArray:
    """Return encoded images as structs of bytes and path."""
    parts = {"bytes": values, "path": pa.nulls(len(values), pa.string())}
    if pa.types.is_struct(values.type):
        parts |= dict(zip((f.name for f in values.type), values.flatten(), strict=True))
    arrays = [parts[field.name].cast(field.type) for field in IMAGE_TYPE]
    return pa.StructArray.from_arrays(arrays, fields=list(IMAGE_TYPE), mask=values.is_null())


def plan_schema(
    read: Iterable[pa.Schema],
    left: Iterable[pa.Schema],
    changed: Iterable[str],
    columns: Columns,
    labels: Iterable[str],
) -> OutputSchema:
    """Return the schema that all shards' rows fit into.

    It follows from what was read, whether or not those rows are left, and thus not from where
    batches were cut. Types that have no common type become text: a corpus may say 7 in one file
    and "seven" in the next, and both stay readable.

    Args:
        read: schemas of all that was read, in the order of the input.
        left: schemas of the rows that are left; for the columns that steps added or changed.
        changed: columns that steps added, removed or gave another type.
        columns: names of the columns with a role.
        labels: the labels of the rows that are left; none where they are too many.
    """
    read, changed = list(read), set(changed)
    _check_class_names(read, columns.label)
    given, made = merge_schemas(read), merge_schemas(left)
    kinds = {field.name: field.type for field in given if field.name not in (KEY, ID, *changed)}
    clashing = {
        name
        for name, kind in kinds.items()
        if _has_length(kind) and any(_clashes(schema, name) for schema in read)
    }
    kinds[ID] = pa.string()
    order = [name for name in given.names if name not in (KEY, ID)] + [ID] + made.names
    kinds |= {field.name: field.type for field in made if field.name in changed}
    if not all(_counted(schema, columns.label) for schema in read):
        labels = ()
    fields = [(n, _filled(kinds[n])) for n in dict.fromkeys(order) if n in kinds and n != SPLIT]
    schema = pa.schema(fields, metadata=metadata_with(given.metadata, {}))
    return _with_roles(schema, columns, sorted(labels), frozenset(clashing))


def _with_roles(
    schema: pa.Schema, columns: Columns, labels: list[str], clashing: frozenset[str]
) -> OutputSchema:
    """Give the image its type and a text label its classes."""
    label, image, classes, names = columns.label, columns.image, None, None
    if label in schema.names:
        names = class_names(schema, label)
        if is_text(schema.field(label).type):
            classes = names = labels or None
    if classes:
        schema = schema.set(schema.get_field_index(label), pa.field(label, pa.int64()))
    if image not in schema.names or not is_image(schema.field(image).type):
        image = None  # a column of URLs may be called `image` too
    if image:
        schema = schema.set(schema.get_field_index(image), pa.field(image, IMAGE_TYPE))
    features = features_of(schema, image, (str(label), names) if names else None)
    return OutputSchema(
        with_features(schema, features),
        replace(columns, image=image),
        tuple(classes) if classes else None,
        clashing,
    )


def _check_class_names(schemas: Iterable[pa.Schema], label: str | None) -> None:
    """Refuse files whose class numbers mean different classes."""
    known: list[str] | None = None
    for schema in schemas:
        names = class_names(schema, label) if label in schema.names else None
        if known is not None and names is not None and names != known:
            raise UserError(
                f"the files of the input give different names to the classes of {label!r}: "
                f"{known[:8]} and {names[:8]}; write the labels as text, or read the files apart"
            )
        known = known or names


def _clashes(schema: pa.Schema, name: str) -> bool:
    kind = schema.field(name).type if name in schema.names else pa.null()
    return not _has_length(kind)


def _has_length(kind: pa.DataType) -> bool:
    """Tell whether values of a type weigh as many bytes as they have."""
    return is_text(kind) or is_bytes(kind)


def _counted(schema: pa.Schema, label: str | None) -> bool:
    return label not in schema.names or may_be_class(schema.field(label).type)


def _filled(kind: pa.DataType) -> pa.DataType:
    """Return a type with text for what was null in every row."""
    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _filled(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_filled(kind.value_type), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_filled(kind.value_type))
    return pa.large_list(_filled(kind.value_type)) if pa.types.is_large_list(kind) else kind
