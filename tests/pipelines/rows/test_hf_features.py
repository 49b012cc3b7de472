import json
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from pipelines.rows.hf_features import features_of, state_json, with_features
from pipelines.rows.plain import plain, plain_type

TYPES = [
    *(pa.bool_(), pa.int8(), pa.int64(), pa.uint16(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.string(), pa.large_string(), pa.binary(), pa.large_binary(), pa.null()),
    *(pa.date32(), pa.date64(), pa.time32("s"), pa.time64("ns"), pa.duration("us")),
    *(pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns", "+02:00")),
    *(pa.decimal128(10, 2), pa.decimal256(60, 3)),
    *(pa.list_(pa.int8()), pa.large_list(pa.string()), pa.list_(pa.float32(), 3)),
    pa.struct([("a", pa.int64()), ("b", pa.struct([("c", pa.list_(pa.string()))]))]),
    pa.list_(pa.struct([("role", pa.string()), ("turns", pa.list_(pa.list_(pa.int32())))])),
]
ODD = [
    (pa.dictionary(pa.int8(), pa.string()), pa.string()),
    (pa.run_end_encoded(pa.int32(), pa.int64()), pa.int64()),
    (pa.string_view(), pa.string()),
    (pa.binary_view(), pa.binary()),
    (pa.binary(16), pa.binary()),
    (pa.uuid(), pa.binary()),
    (pa.decimal32(5, 2), pa.decimal128(5, 2)),
    (
        pa.map_(pa.string(), pa.int64()),
        pa.list_(pa.struct([("key", pa.string()), ("value", pa.int64())])),
    ),
    (pa.list_view(pa.int64()), pa.list_(pa.int64())),
    (pa.month_day_nano_interval(), pa.string()),
    (pa.list_(pa.dictionary(pa.int32(), pa.string())), pa.list_(pa.string())),
    (pa.list_(pa.field("element", pa.int64(), nullable=False)), pa.list_(pa.int64())),
]


def test_features_are_those_that_datasets_makes() -> None:
    datasets = pytest.importorskip("datasets")
    schema = pa.schema([(f"c{i}", kind) for i, kind in enumerate(TYPES)])
    assert features_of(schema) == datasets.Features.from_arrow_schema(schema).to_dict()
    assert datasets.Features.from_dict(features_of(schema)).arrow_schema.remove_metadata() == schema


def test_features_of_image_and_label_are_those_of_datasets() -> None:
    datasets = pytest.importorskip("datasets")
    wanted = datasets.Features({"i": datasets.Image(), "l": datasets.ClassLabel(names=["a", "b"])})
    schema = wanted.arrow_schema.remove_metadata()
    features = features_of(schema, "i", ("l", ["a", "b"]))
    assert features == wanted.to_dict()
    assert with_features(schema, features).metadata == wanted.arrow_schema.metadata


def test_types_that_datasets_holds_stay() -> None:
    assert [plain_type(kind) for kind in TYPES] == TYPES


@pytest.mark.parametrize(("kind", "wanted"), ODD, ids=[str(kind) for kind, _ in ODD])
def test_types_that_datasets_cannot_hold_become_plain(
    kind: pa.DataType, wanted: pa.DataType
) -> None:
    assert plain_type(kind) == wanted
    assert plain_type(kind).equals(wanted, check_metadata=True)


def test_values_stay_when_types_become_plain() -> None:
    table = pa.table(
        {
            "dictionary": pa.array(["a", None, "a"]).dictionary_encode(),
            "runs": pa.array([1, 1, 2]),
            "view": pa.array(["x", None, "y"], pa.string_view()),
            "map": pa.array([[("k", 1)], None, []], pa.map_(pa.string(), pa.int64())),
            "list_view": pa.array([[1], None, [2, 3]], pa.list_view(pa.int64())),
            "uuid": pa.array([b"0123456789abcdef", None, None], pa.uuid()),
            "span": pa.array([pa.MonthDayNano([1, 2, 3]), None, None]),
        }
    )
    runs = pa.chunked_array([pc.run_end_encode(pa.array([1, 1, 2]))])
    made = plain(table.set_column(1, "runs", runs))
    assert made.drop_columns(["map", "uuid", "span"]).to_pylist() == (
        table.drop_columns(["map", "uuid", "span"]).to_pylist()
    )
    assert made["map"].to_pylist() == [[{"key": "k", "value": 1}], None, []]
    assert made["uuid"].to_pylist() == [b"0123456789abcdef", None, None]
    assert made["span"].null_count == 2
    made.validate(full=True)


def test_metadata_but_features_is_left_behind() -> None:
    table = pa.table({"a": [1]})
    assert plain(table.replace_schema_metadata({"pandas": "{}"})).schema.metadata is None
    both = table.replace_schema_metadata({"pandas": "{}", "huggingface": "{}"})
    assert plain(both).schema.metadata == {b"huggingface": b"{}"}


@pytest.mark.parametrize(
    ("feature", "kind", "kept"),
    [
        ({"names": ["x"], "_type": "ClassLabel"}, pa.int64(), True),
        ({"names": ["x"], "_type": "ClassLabel"}, pa.string(), False),
        ({"dtype": "int32", "_type": "Value"}, pa.string(), False),
        ({"_type": "Image"}, pa.struct([("bytes", pa.binary()), ("path", pa.string())]), True),
        ({"_type": "Image"}, pa.binary(), False),
        ({"shape": [2, 2], "dtype": "int8", "_type": "Array2D"}, pa.list_(pa.int8()), False),
        (
            {"feature": {"names": ["x"], "_type": "ClassLabel"}, "_type": "List"},
            pa.list_(pa.int64()),
            True,
        ),
        (
            {"feature": {"names": ["x"], "_type": "ClassLabel"}, "_type": "Sequence"},
            pa.list_(pa.int64()),
            True,
        ),
        ([{"names": ["x"], "_type": "ClassLabel"}], pa.list_(pa.int64()), True),
        (
            {"a": {"names": ["x"], "_type": "ClassLabel"}},
            pa.struct([("a", pa.int64())]),
            True,
        ),
        (
            {"a": {"names": ["x"], "_type": "ClassLabel"}},
            pa.struct([("a", pa.int64()), ("b", pa.int64())]),
            False,
        ),
        (None, pa.int64(), False),
    ],
)
def test_features_of_the_input_are_kept_where_they_fit(
    feature: object, kind: pa.DataType, kept: bool
) -> None:
    info = json.dumps({"info": {"features": {"c": feature}}})
    schema = pa.schema([("c", kind)], metadata={"huggingface": info})
    plain_one = features_of(schema.remove_metadata())["c"]
    assert features_of(schema)["c"] == (feature if kept else plain_one)


def test_state_is_that_of_datasets(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_dict({"a": [1]}).save_to_disk(str(tmp_path))
    wanted = json.loads((tmp_path / "state.json").read_text())
    wanted |= {"_split": "train", "_fingerprint": "f"}
    names = [entry["filename"] for entry in wanted["_data_files"]]
    assert state_json(names, "train", "f") == wanted
