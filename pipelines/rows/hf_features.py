"""Hugging Face features of an Arrow schema, written without importing `datasets`.

The layout of `dataset_info.json`, `state.json` and the `huggingface` schema metadata is that of
datasets 4 and 5; tests hold it against the library.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipelines.rows.facts import FACTS
from pipelines.rows.schema import convert
from pipelines.rows.texts import as_texts

Feature = dict[str, Any]

_NAMES = {
    "double": "float64",
    "float": "float32",
    "halffloat": "float16",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type in which values of a column are worked on and stored.

    It holds the same values, but without dictionaries, run lengths, views, maps and extensions,
    which `datasets` or the Arrow file format cannot hold, and without names and nullability of list
    items.
    """
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pa.types.is_map(kind):
        pair: list[tuple[str, pa.DataType]] = [
            ("key", plain_type(kind.key_type)),
            ("value", plain_type(kind.item_type)),
        ]
        return pa.list_(pa.struct(pair))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, plain_type(field.type)) for field in kind])
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(plain_type(kind.value_type), kind.list_size)
    if pa.types.is_large_list(kind):
        return pa.large_list(plain_type(kind.value_type))
    list_kinds = (pa.types.is_list, pa.types.is_list_view, pa.types.is_large_list_view)
    if any(is_kind(kind) for is_kind in list_kinds):
        return pa.list_(plain_type(kind.value_type))
    if pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    if pa.types.is_decimal32(kind) or pa.types.is_decimal64(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_union(kind) or pa.types.is_interval(kind):
        return pa.string()
    return kind


def plain(table: pa.Table) -> pa.Table:
    """Return a table whose columns have their plain types; of its metadata, features and facts."""
    kept = {k: v for k, v in (table.schema.metadata or {}).items() if k in (b"huggingface", FACTS)}
    table = table.replace_schema_metadata(kept or None)
    for at, field in enumerate(table.schema):
        kind = plain_type(field.type)
        if kind != field.type:
            table = table.set_column(at, field.name, convert(_decoded(table[field.name]), kind))
        elif not field.nullable:
            table = table.set_column(at, field.name, table[field.name])
    return table


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.cast(column.type.storage_type)
    if pa.types.is_run_end_encoded(column.type):
        column = pc.run_end_decode(column)
    if pa.types.is_list_view(column.type) or pa.types.is_large_list_view(column.type):
        # Arrow's own cast makes invalid arrays of these (pyarrow 25).
        values = pa.array(column.to_pylist(), pa.list_(column.type.value_type))
        return pa.chunked_array([values])
    if pa.types.is_interval(column.type) or pa.types.is_union(column.type):
        return pa.chunked_array([as_texts(column.to_pylist())])
    return column


def features_of(
    schema: pa.Schema, image: str | None = None, label: tuple[str, Sequence[str]] | None = None
) -> dict[str, Feature]:
    """Return the features of a schema.

    Args:
        schema: of the output; features in its `huggingface` metadata are kept where they still
            fit the types.
        image: name of the column that holds encoded images.
        label: name of the column that holds class numbers, and the class names.
    """
    given = features_in(schema)
    features: dict[str, Feature] = {}
    for field in schema:
        if field.name == image:
            features[field.name] = {"_type": "Image"}
        elif label is not None and field.name == label[0]:
            features[field.name] = {"names": list(label[1]), "_type": "ClassLabel"}
        elif field.name in given and _fits(given[field.name], field.type):
            features[field.name] = given[field.name]
        else:
            features[field.name] = _feature(field.type)
    return features


def class_names(schema: pa.Schema, column: str | None) -> list[str] | None:
    """Return the class names that the input gave for a column, None where it gave none."""
    feature = features_in(schema).get(column or "", {})
    return feature.get("names") if feature.get("_type") == "ClassLabel" else None


def with_features(schema: pa.Schema, features: dict[str, Feature]) -> pa.Schema:
    """Return a schema that carries its features as `datasets` writes them."""
    info = json.dumps({"info": {"features": features}})
    return schema.with_metadata({"huggingface": info})


def state_json(files: Sequence[str], split: str, fingerprint: str) -> dict[str, Any]:
    """Return the `state.json` of one split."""
    return {
        "_data_files": [{"filename": name} for name in files],
        "_fingerprint": fingerprint,
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }


def features_in(schema: pa.Schema) -> dict[str, Feature]:
    """Return the features that a schema carries in its metadata, none where it carries none."""
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return {}
    features = json.loads(raw).get("info", {}).get("features", {})
    return features if isinstance(features, dict) else {}


def _fits(feature: Any, kind: pa.DataType) -> bool:
    """Tell whether a feature that came with the input fits a column of some type."""
    if isinstance(feature, list):
        return pa.types.is_list(kind) and len(feature) == 1 and _fits(feature[0], kind.value_type)
    if not isinstance(feature, dict):
        return False
    name = feature.get("_type")
    if not isinstance(name, str):
        same = pa.types.is_struct(kind) and {field.name for field in kind} == set(feature)
        return same and all(_fits(feature[field.name], field.type) for field in kind)
    if name in ("List", "LargeList", "Sequence"):
        made = _feature(kind)
        same = {"List" if n == "Sequence" else n for n in (name, made.get("_type"))}
        length = feature.get("length", -1) == made.get("length", -1)
        return len(same) == 1 and length and _fits(feature["feature"], kind.value_type)
    if name == "ClassLabel":
        return bool(kind == pa.int64())
    if name in ("Image", "Audio", "Video", "Pdf"):
        return bool(kind == IMAGE_TYPE)
    return bool(name == "Value" and feature == _feature(kind))


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "LargeList"}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    return {"dtype": _NAMES.get(str(kind), str(kind)), "_type": "Value"}
