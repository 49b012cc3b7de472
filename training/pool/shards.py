"""Read one split of a Hugging Face `save_to_disk` directory, with labels as names."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.errors import UserError

if TYPE_CHECKING:
    from training.pool.origins import RowOrigins

HELD = ("test", "validation")
"""Datasets that no arm trains on; further tests are called "test:<name>"."""


def is_held(role: str) -> bool:
    """Tell whether a dataset is one that no arm trains on."""
    return role.partition(":")[0] in HELD


ID = "_id"
"""Column in which the curator keeps a row's id; other datasets may have a plain `id`."""
PARENT = "_parent"
"""Column that holds the `_id` of the row from which a row was made."""


@dataclass(frozen=True)
class ShardRows:
    """One labelled split: content, label names and, where present, row and parent ids."""

    role: str
    content: pa.Array
    labels: pa.Array
    ids: pa.Array
    parents: pa.Array
    id_column: str | None
    skipped: dict[str, int]

    def __len__(self) -> int:
        return len(self.content)

    def take(self, where: npt.NDArray[np.int64]) -> ShardRows:
        """Select rows by index."""
        chosen = pa.array(where)
        return replace(
            self,
            content=self.content.take(chosen),
            labels=self.labels.take(chosen),
            ids=self.ids.take(chosen),
            parents=self.parents.take(chosen),
        )


def read_splits(places: RowOrigins, *, needs_label: bool = True) -> dict[str, ShardRows]:
    """Read every dataset; rows without content or label are skipped and counted.

    Integer labels are named by the dataset's own ClassLabel feature. Without one they are their own
    names, and only match a dataset whose class names are the numbers too: that 0 means the first
    name of somebody else's list would be a guess. Where no label is needed, a dataset without the
    column has one label for all.

    Raises:
        UserError: a column is missing, or integers stand against other class names.
    """
    content, label = places.content, places.label
    tables = {role: read_table(role, place) for role, place in places.folders.items()}
    columns = dict.fromkeys(tables, label)
    if places.oracle:
        tables["oracle"], columns["oracle"] = tables["raw"], places.oracle
    for role, table in tables.items():
        needed = [content] if not needs_label else [content, columns[role]]
        for column in needed:
            if column not in table.column_names:
                place = places.folders.get(role, places.folders["raw"])
                raise UserError(
                    f"{role}: {place} has no column {column!r}; it has "
                    f"{', '.join(table.column_names)}; name the right one with text=, image= "
                    "or label="
                )
    names = {
        role: label_names(table.schema, column)
        for role, table in tables.items()
        if (column := columns[role]) is not None
    }
    named = {role: found for role, found in names.items() if found}
    for role, table in tables.items():
        column = columns[role]
        bare = role not in named and _holds_integers(table, column)
        for other, found in named.items():
            if bare and not all(name.isdecimal() for name in found):
                raise UserError(
                    f"{role}: label column {column!r} holds integers without class names, {other} "
                    f"has the names {', '.join(found[:5])}; write both with the same label names"
                )
    return {
        role: _split(role, table, content, columns[role], names.get(role), needs_label)
        for role, table in tables.items()
    }


def _holds_integers(table: pa.Table, column: str | None) -> bool:
    return column in table.column_names and pa.types.is_integer(table.schema.field(column).type)


def read_table(role: str, place: Path) -> pa.Table:
    """Memory-map the Arrow stream files of the split that `role` reads."""
    if not place.is_dir():
        raise UserError(
            f"{role}: {place} is not a directory; give a dataset directory as written by "
            "curate or by datasets' save_to_disk"
        )
    wanted = _splits(role)
    for folder in [place / split for split in wanted] + [place]:
        shards = _shards(folder)
        if shards:
            return _concat(role, shards)
    raise UserError(
        f"{role}: no *.arrow file in {place} or in its {' or '.join(wanted)} folder; "
        "give a dataset directory as written by curate or by datasets' save_to_disk"
    )


def _splits(role: str) -> tuple[str, ...]:
    if role.startswith("test"):
        return ("test", "train")
    return ("validation", "train") if role == "validation" else ("train",)


def _shards(folder: Path) -> list[Path]:
    state = folder / "state.json"
    if state.is_file():
        files = json.loads(state.read_text(encoding="utf-8"))["_data_files"]
        return [folder / entry["filename"] for entry in files]
    return sorted(folder.glob("*.arrow"))


def _concat(role: str, shards: list[Path]) -> pa.Table:
    tables = []
    for shard in shards:
        try:
            with pa.ipc.open_stream(pa.memory_map(str(shard))) as stream:
                tables.append(stream.read_all())
        except (pa.ArrowInvalid, FileNotFoundError) as error:
            raise UserError(
                f"{role}: {shard} cannot be read as an Arrow stream ({error}); write it again"
            ) from error
    return pa.concat_tables(tables, promote_options="permissive")


def label_names(schema: pa.Schema, label: str) -> list[str] | None:
    """Return the ClassLabel names that Hugging Face metadata holds for `label`, if any."""
    metadata = (schema.metadata or {}).get(b"huggingface")
    if metadata is None:
        return None
    feature: Any = json.loads(metadata)["info"]["features"].get(label) or {}
    return feature.get("names") if feature.get("_type") == "ClassLabel" else None


def _split(
    role: str,
    table: pa.Table,
    content: str,
    label: str | None,
    names: list[str] | None,
    needs_label: bool,
) -> ShardRows:
    payload = _payload(role, content, table[content])
    if label is None or label not in table.column_names:
        labels = pa.array([""] * table.num_rows, pa.large_string())
    else:
        labels = _label_names(role, label, table[label], names)
        labels = labels if needs_label else pc.fill_null(labels, "")
    keep = pc.and_(pc.is_valid(payload), pc.is_valid(labels))
    skipped = {
        f"no {content}": payload.null_count,
        f"no {label}": int(pc.sum(pc.and_(pc.is_valid(payload), pc.is_null(labels))).as_py() or 0),
    }
    id_column = next((name for name in (ID, "id") if name in table.column_names), None)
    ids, parents = (_names(table, column) for column in (id_column, PARENT))
    return ShardRows(
        role,
        payload.filter(keep),
        labels.filter(keep),
        ids.filter(keep),
        parents.filter(keep),
        id_column,
        {reason: count for reason, count in skipped.items() if count},
    )


def _names(table: pa.Table, column: str | None) -> pa.Array:
    if column is None or column not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return _flat(pc.cast(table[column], pa.string()))


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _payload(role: str, name: str, column: pa.ChunkedArray) -> pa.Array:
    """Return text as large_string, or encoded images as large_binary."""
    kind = column.type
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        return _flat(pc.cast(pc.struct_field(column, "bytes"), pa.large_binary()))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _flat(pc.cast(column, pa.large_binary()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _flat(pc.cast(column, pa.large_string()))
    raise UserError(
        f"{role}: column {name!r} has type {kind}; text is a string, an image is binary or "
        "struct<bytes, path>"
    )


def _label_names(
    role: str, name: str, column: pa.ChunkedArray, names: list[str] | None
) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = pc.cast(column, kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _flat(pc.cast(column, pa.large_string()))
    if not (pa.types.is_integer(kind) or pa.types.is_boolean(kind)):
        raise UserError(
            f"{role}: label column {name!r} has type {kind}; a label is a ClassLabel, an integer, "
            "a boolean or a string"
        )
    codes = _flat(pc.cast(column, pa.int64()))
    if names is None:
        return pc.cast(codes, pa.large_string())
    highest = pc.max(codes).as_py()
    if highest is not None and highest >= len(names):
        raise UserError(
            f"{role}: label {highest} in column {name!r} is beyond its {len(names)} class names; "
            "write the labels as names or repair the ClassLabel feature"
        )
    # Hugging Face writes -1 for "no label".
    codes = pc.if_else(pc.less(codes, 0), pa.scalar(None, pa.int64()), codes)
    return pa.array(names, pa.large_string()).take(codes)
