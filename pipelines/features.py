"""Hugging Face features of an Arrow schema, written without importing `datasets`.

The layout of `dataset_info.json`, `state.json` and the `huggingface` schema metadata is that of
datasets 4 and 5; tests hold it against the library.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

Feature = dict[str, Any]

_NAMES = {"double": "float64", "float": "float32", "halffloat": "float16"}

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def features_of(
    schema: pa.Schema, image: str | None = None, label: tuple[str, Sequence[str]] | None = None
) -> dict[str, Feature]:
    """Return the features of a schema.

    Args:
        schema: of the output; features in its `huggingface` metadata are kept.
        image: name of the column that holds encoded images.
        label: name of the column that holds class numbers, and the class names.
    """
    given = _given(schema)
    features = {}
    for field in schema:
        if field.name == image:
            features[field.name] = {"_type": "Image"}
        elif label is not None and field.name == label[0]:
            features[field.name] = {"names": list(label[1]), "_type": "ClassLabel"}
        elif field.name in given:
            features[field.name] = given[field.name]
        else:
            features[field.name] = _feature(field.type)
    return features


def class_names(schema: pa.Schema, column: str) -> list[str] | None:
    """Return the class names the input gave for a column, None where it gave none."""
    feature = _given(schema).get(column, {})
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


def _given(schema: pa.Schema) -> dict[str, Feature]:
    raw = (schema.metadata or {}).get(b"huggingface")
    if raw is None:
        return {}
    features = json.loads(raw).get("info", {}).get("features", {})
    return features if isinstance(features, dict) else {}


def _feature(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind}
    if pa.types.is_large_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "LargeList"}
    if pa.types.is_fixed_size_list(kind):
        return {"feature": _feature(kind.value_type), "length": kind.list_size, "_type": "List"}
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_dictionary(kind):
        return _feature(kind.value_type)
    return {"dtype": _NAMES.get(str(kind), str(kind)), "_type": "Value"}
