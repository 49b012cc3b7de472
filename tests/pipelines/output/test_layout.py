import json

import numpy as np
import pyarrow as pa
import pytest
from made_rows import rows_of

from pipelines.output.layout import assign, plan_schema, weigh_rows
from pipelines.rows import Columns, Rows

ROLES = Columns(text="text", label="label", image="image")


def weights(**columns: pa.Array) -> list[int]:
    n = len(next(iter(columns.values())))
    empty = weigh_rows(rows_of([None] * n))["bytes"].to_numpy()
    rows = rows_of([None] * n)
    for name, values in columns.items():
        rows = rows.replace(name, values)
    return (weigh_rows(rows)["bytes"].to_numpy() - empty).tolist()


def test_weights_are_about_bytes() -> None:
    assert weights(c=pa.array(["abc", "é", "", None])) == [3, 2, 0, 0]
    assert weights(c=pa.array([b"abc", None], pa.large_binary())) == [3, 0]
    assert weights(c=pa.nulls(2)) == [0, 0]
    assert weights(c=pa.array([1, None])) == [8, 0]
    assert weights(c=pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2))) == [8, 0]
    assert weights(c=pa.array([[1, None, 3], [], None])) == [8, 0, 0]
    assert weights(c=pa.array([{"a": "xy", "b": 1}, None, {"a": None, "b": 2}])) == [10, 0, 8]
    turns = [[{"role": "user", "text": "hello"}, {"role": "bot", "text": "hi"}], [], None]
    assert weights(c=pa.array(turns)) == [4 + 5 + 3 + 2, 0, 0]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1, None], pa.int8()), pa.array([1, None], pa.float64())),
        (pa.array(["a", None]), pa.array(["a", None], pa.large_string())),
        (
            pa.array([[1], None], pa.list_(pa.int8())),
            pa.array([[1], None], pa.large_list(pa.int64())),
        ),
        (pa.array([[], None], pa.list_(pa.null())), pa.array([[], None], pa.list_(pa.string()))),
        (pa.nulls(2), pa.array([None, None], pa.string())),
        (pa.array([{"a": 1}]), pa.array([{"a": 1, "b": None}])),
    ],
)
def test_weights_are_those_of_the_values_not_of_their_type(one: pa.Array, other: pa.Array) -> None:
    assert weights(c=one) == weights(c=other)


def test_weights_of_a_slice_are_those_of_its_rows() -> None:
    lists = pa.array([["aa"], None, ["b", "cccc"], []])
    whole = weights(c=lists)
    assert weights(c=lists.slice(1, 2)) == whole[1:3]


def test_assignment_is_that_of_all_shards_laid_end_to_end() -> None:
    rng = np.random.default_rng(0)
    sizes = pa.table(
        {
            "_key": np.arange(100),
            "split": rng.choice(["a", "b"], 100),
            "bytes": rng.integers(1, 50, 100),
        }
    )
    keys, file = assign(sizes, "a", 0, 70)
    before, found = 0, []
    for start in range(0, 100, 33):
        part = sizes.slice(start, 33)
        found.append(assign(part, "a", before, 70))
        before += sum(r["bytes"] for r in part.to_pylist() if r["split"] == "a")
    assert np.concatenate([k for k, _ in found]).tolist() == keys.tolist()
    assert np.concatenate([f for _, f in found]).tolist() == file.tolist()
    assert (np.diff(file) >= 0).all()


def schema(**kinds: pa.DataType) -> pa.Schema:
    return pa.schema([*kinds.items(), ("_key", pa.int64()), ("_id", pa.string())])


def planned(*schemas: pa.Schema, changed: tuple[str, ...] = (), left: tuple[pa.Schema, ...] = ()):
    return plan_schema(schemas, left or schemas, changed, ROLES, ["a", "b"])


def test_columns_stand_in_the_order_they_were_read_ours_behind() -> None:
    first, second = schema(text=pa.string(), x=pa.int64()), schema(y=pa.int64(), text=pa.string())
    left = schema(text=pa.string()).append(pa.field("_embedding", pa.list_(pa.float32(), 2)))
    made = planned(first, second, changed=("_embedding", "_split"), left=(left,))
    assert made.schema.names == ["text", "x", "y", "_id", "_embedding"]


def test_schema_does_not_depend_on_which_rows_are_left() -> None:
    schemas = schema(text=pa.string(), x=pa.int64()), schema(text=pa.string(), x=pa.float64())
    assert planned(*schemas, left=schemas[:1]).schema == planned(*schemas).schema
    assert planned(*schemas, left=schemas[:1]).schema.field("x").type == pa.float64()


def test_types_that_steps_changed_are_those_they_gave() -> None:
    read, left = schema(text=pa.string(), x=pa.string()), schema(text=pa.string(), x=pa.float64())
    assert planned(read, left=(left,), changed=("x",)).schema.field("x").type == pa.float64()
    gone = schema(text=pa.string())
    assert planned(read, left=(gone,), changed=("x",)).schema.names == ["text", "_id"]


def test_values_without_a_common_type_become_text() -> None:
    one, other = (
        schema(x=pa.int64(), s=pa.string()),
        schema(x=pa.string(), s=pa.struct([("a", pa.int64())])),
    )
    made = planned(one, other)
    assert made.clashing == {"x", "s"}
    assert made.clashes(one.empty_table())
    assert made.clashes(other.empty_table())
    assert not made.clashes(schema(x=pa.string()).empty_table())
    table = pa.table({"x": [7], "s": ["a"], "_id": ["i"]})
    assert made.conform(table).to_pylist() == [{"x": "7", "s": "a", "_id": "i"}]
    assert made.as_weighed(table)["x"].to_pylist() == ["7"]


def test_null_columns_become_text_to_the_bottom() -> None:
    kinds = {"n": pa.null(), "l": pa.list_(pa.null()), "s": pa.struct([("a", pa.null())])}
    made = planned(schema(**kinds)).schema
    assert made.field("n").type == pa.string()
    assert made.field("l").type == pa.list_(pa.string())
    assert made.field("s").type == pa.struct([("a", pa.string())])


def test_text_labels_become_class_numbers() -> None:
    made = planned(schema(label=pa.string()))
    assert made.classes == ("a", "b")
    table = pa.table({"label": ["b", None, "a"], "_id": ["1", "2", "3"]})
    assert made.conform(table)["label"].to_pylist() == [1, None, 0]
    large = table.set_column(0, "label", table["label"].cast(pa.large_string()))
    assert planned(large.schema).conform(large)["label"].to_pylist() == [1, None, 0]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.list_(pa.string())])
def test_other_labels_stay_what_they_are(kind: pa.DataType) -> None:
    made = planned(schema(label=kind))
    assert made.classes is None
    assert made.schema.field("label").type == kind


def test_labels_of_which_some_were_not_counted_stay_text() -> None:
    made = planned(schema(label=pa.string()), schema(label=pa.list_(pa.string())))
    assert made.classes is None
    assert made.schema.field("label").type == pa.string()


def test_class_names_of_the_input_must_agree() -> None:
    def named(names: list[str]) -> pa.Schema:
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        return schema(label=pa.int64()).with_metadata({"huggingface": json.dumps(info)})

    made = planned(named(["x", "y"]), named(["x", "y"]), schema(label=pa.int64()))
    features = json.loads(made.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["label"] == {"names": ["x", "y"], "_type": "ClassLabel"}
    with pytest.raises(ValueError, match="different names to the classes of 'label'"):
        planned(named(["x", "y"]), named(["y", "x"]))


@pytest.mark.parametrize(
    "images",
    [
        pa.array([b"x", None]),
        pa.array([b"x", None], pa.large_binary()),
        pa.array([{"bytes": b"x"}, None]),
        pa.array([{"path": "p", "size": 3, "bytes": b"x"}, None]),
        pa.array([{"bytes": b"x", "path": None}, None]),
    ],
)
def test_images_become_bytes_and_path(images: pa.Array) -> None:
    table = pa.table({"image": images, "_id": ["1", "2"]})
    first, second = planned(table.schema).conform(table)["image"].to_pylist()
    assert first["bytes"] == b"x"
    assert first["path"] == (images[0].as_py()["path"] if "path" in str(images.type) else None)
    assert second is None


@pytest.mark.parametrize("kind", [pa.string(), pa.int64(), pa.null(), pa.list_(pa.binary())])
def test_column_called_image_that_holds_none_stays_what_it_is(kind: pa.DataType) -> None:
    made = planned(schema(image=kind))
    assert made.columns.image is None
    values = pa.array(["https://example.org/a.jpg"]) if kind == pa.string() else pa.nulls(1, kind)
    table = pa.table({"image": values, "_id": ["1"]})
    assert made.conform(table)["image"].to_pylist() == values.to_pylist()


def test_sizes_name_key_and_split() -> None:
    rows = rows_of(["a", "b"], **{"_split": ["train", "test"]})
    sizes = weigh_rows(Rows(rows.table, ROLES))
    assert sizes["_key"].to_numpy().tolist() == rows.keys.tolist()
    assert sizes["split"].to_pylist() == ["train", "test"]
    assert weigh_rows(rows_of(["a"]))["split"].to_pylist() == ["train"]
