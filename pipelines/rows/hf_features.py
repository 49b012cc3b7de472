"""Hugging Face features of an Arrow schema, written without importing `datasets`.

The layout of `dataset_info.json`, `state.json` and the `huggingface` schema metadata is that of
datasets 4 and 5; tests hold it against the library.
"""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

Feature = dict[str, Any]

_NAMES = {
    "double": "float64",
    "float": "float32",
    "halffloat": "float16",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}

IMAGE_TYPE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


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
    try:
        features = json.loads(raw or b"{}")["info"]["features"]
    except (ValueError, KeyError, TypeError, RecursionError):  # metadata of others, or nonsense
        return {}
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
