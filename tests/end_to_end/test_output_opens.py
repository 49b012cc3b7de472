"""The output opens with `datasets`, in all the ways it can, and holds what went in."""

from __future__ import annotations

import datetime
import decimal
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.run.run import run_recipe

datasets = pytest.importorskip("datasets")

Make = Callable[..., Any]


def open_all_ways(out: Path, split: str = "train") -> Any:
    """Open an output in every way and return one split, after checking that all agree."""
    mapped = datasets.load_from_disk(str(out))[split]
    alone = datasets.load_from_disk(str(out / split))
    cache = str(out.parent / "cache")
    cached = datasets.load_dataset(str(out), cache_dir=cache)[split]
    streamed = datasets.load_dataset(str(out), streaming=True, cache_dir=cache)[split]
    assert mapped.features == alone.features == cached.features == streamed.features
    assert mapped.data.table == alone.data.table == cached.data.table
    assert len(list(streamed)) == len(mapped)
    manifest = json.loads((out / "_curate/manifest.json").read_text())
    assert datasets.Features.from_dict(manifest["features"]) == mapped.features
    return mapped


def run_table(recipe: Make, tmp_path: Path, *tables: pa.Table, **rest: Any) -> Any:
    (tmp_path / "in").mkdir()
    for i, table in enumerate(tables):
        pq.write_table(table, tmp_path / "in" / f"{i}.parquet", store_schema=True)
    read = {"format": "parquet", "path": str(tmp_path / "in"), **rest.pop("read", {})}
    run_recipe(recipe(read, **rest))
    return open_all_ways(tmp_path / "out")


WIDE: dict[str, pa.Array] = {
    "text": pa.array(["one", "two"]),
    "when": pa.array([datetime.datetime(2026, 1, 2), None], pa.timestamp("us", "UTC")),
    "naive": pa.array([datetime.datetime(2026, 1, 2), None], pa.timestamp("ns")),
    "day": pa.array([datetime.date(2026, 1, 2), None]),
    "time": pa.array([datetime.time(1, 2, 3), None], pa.time64("us")),
    "lasted": pa.array([datetime.timedelta(seconds=3), None], pa.duration("ms")),
    "price": pa.array([decimal.Decimal("1.50"), None], pa.decimal128(10, 2)),
    "large": pa.array(["x", None], pa.large_string()),
    "raw": pa.array([b"x", None], pa.large_binary()),
    "small": pa.array([1, None], pa.uint8()),
    "half": pa.array([1.5, None], pa.float16()),
    "yes": pa.array([True, None]),
    "tags": pa.array([["a", None], None], pa.list_(pa.string())),
    "turns": pa.array([[{"role": "user", "words": ["hi"]}], []]),
    "nested": pa.array([{"a": {"b": [1]}}, None]),
    "vector": pa.array([[1.0, 2.0], [3.0, 4.0]], pa.list_(pa.float32(), 2)),
    "big_list": pa.array([[1], None], pa.large_list(pa.int8())),
    "nothing": pa.nulls(2),
}


def test_output_holds_every_type_as_it_was(recipe: Make, tmp_path: Path) -> None:
    table = pa.table(WIDE)
    opened = run_table(recipe, tmp_path, table)
    assert opened.column_names == [*table.column_names, "_id"]
    stored = opened.data.table.select(table.column_names)
    assert stored.to_pylist() == table.to_pylist()
    kinds = {f.name: f.type for f in stored.schema}
    same = [name for name in table.column_names if name != "nothing"]
    assert [kinds[name] for name in same] == [table.schema.field(name).type for name in same]
    assert opened.features["nothing"] == datasets.Value("string")


def test_output_stores_what_datasets_cannot_hold_as_plain_values(
    recipe: Make, tmp_path: Path
) -> None:
    table = pa.table(
        {
            "text": pa.array(["one", "two", "three"]).dictionary_encode(),
            "label": pa.array(["cat", None, "dog"]).dictionary_encode(),
            "counts": pa.array([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
            "key": pa.array([b"0123456789abcdef"] * 3, pa.binary(16)).cast(pa.uuid()),
            "required": pa.array([1, 2, 3]),
        }
    )
    fields = [f.with_nullable(f.name != "required") for f in table.schema]
    opened = run_table(recipe, tmp_path, pa.table(table.columns, schema=pa.schema(fields)))
    assert opened["text"][:] == ["one", "two", "three"]
    assert opened.features["label"] == datasets.ClassLabel(names=["cat", "dog"])
    assert opened["label"][:] == [0, None, 1]
    assert opened["counts"][:] == [[{"key": "a", "value": 1}], [], None]
    assert opened["key"][:] == [b"0123456789abcdef"] * 3
    assert opened["required"][:] == [1, 2, 3]


def test_dictionaries_that_differ_between_batches_are_no_problem(
    recipe: Make, tmp_path: Path
) -> None:
    from pipelines.readers.reader import CHUNK_SIZE

    texts = [f"text {i}" for i in range(CHUNK_SIZE.rows + 10)]
    table = pa.table({"text": texts, "kind": pa.array([t[-1] for t in texts])})
    sorted_kinds = table.set_column(1, "kind", table["kind"].dictionary_encode())
    opened = run_table(recipe, tmp_path, sorted_kinds, table.slice(0, 3))
    assert opened["kind"][:] == [t[-1] for t in texts] + ["0", "1", "2"]


def test_types_that_differ_between_files_find_one_that_holds_all(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    lines(
        "in/a.jsonl",
        [{"text": "1", "wide": 1, "mixed": 7, "late": None, "never": None, "s": {"a": 1}}],
    )
    lines("in/b.jsonl", [{"text": "2", "wide": 0.5, "mixed": "seven", "late": 3, "s": {"b": "x"}}])
    path = lines("in/c.jsonl", [{"new": [True], "text": "3", "mixed": {"of": [7.0]}}]).parent
    run_recipe(recipe({"format": "jsonl", "path": str(path)}))
    opened = open_all_ways(tmp_path / "out")
    order = ["text", "wide", "mixed", "late", "never", "s", "new", "_id"]
    assert opened.column_names == order
    assert opened["wide"][:] == [1.0, 0.5, None]
    assert opened["mixed"][:] == ["7", "seven", '{"of":[7]}']
    assert opened["late"][:] == [None, 3, None]
    assert opened["never"][:] == [None, None, None]
    assert opened["s"][:] == [{"a": 1, "b": None}, {"a": None, "b": "x"}, None]
    assert opened["new"][:] == [None, None, [True]]
    assert opened["_id"][:] == ["a.jsonl#0", "b.jsonl#0", "c.jsonl#0"]


def test_text_labels_become_classes_and_a_class_called_none_is_one(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    labels = ["dog", None, "None", "cat", 3, 2.5, True, "dog"]
    path = lines("in.jsonl", [{"text": f"row {i}", "label": v} for i, v in enumerate(labels)])
    result = run_recipe(recipe({"format": "jsonl", "path": str(path)}))
    opened = open_all_ways(tmp_path / "out")
    names = ["2.5", "3", "None", "cat", "dog", "true"]
    assert opened.features["label"].names == names
    found = [None if v is None else names[v] for v in opened["label"][:]]
    assert found == ["dog", None, "None", "cat", "3", "2.5", "true", "dog"]
    counts = dict.fromkeys(names, 1) | {"dog": 2}
    assert result.manifest.profile.after.labels == counts


def test_numbers_as_labels_stay_numbers(recipe: Make, lines: Make, tmp_path: Path) -> None:
    path = lines("in.jsonl", [{"text": f"row {i}", "label": v} for i, v in enumerate([1, 0, None])])
    run_recipe(recipe({"format": "jsonl", "path": str(path)}))
    opened = open_all_ways(tmp_path / "out")
    assert opened.features["label"] == datasets.Value("int64")
    assert opened["label"][:] == [1, 0, None]


def test_features_of_the_input_are_kept(recipe: Make, picture: Make, tmp_path: Path) -> None:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["z", "a"]),
            "boxes": datasets.List(datasets.List(datasets.Value("float32"), length=4)),
            "other": datasets.Image(),
        }
    )
    rows = {
        "image": [{"bytes": picture(i), "path": None} for i in range(3)],
        "label": [0, 1, None],
        "boxes": [[[0, 0, 1, 1]], [], [[1, 2, 3, 4]]],
        "other": [{"bytes": picture(i), "path": "x.jpg"} for i in range(3)],
    }
    given = datasets.Dataset.from_dict(rows, features=features)
    given.save_to_disk(str(tmp_path / "in"))
    read = {"format": "arrow", "path": str(tmp_path / "in"), "image": "image"}
    run_recipe(recipe(read))
    opened = open_all_ways(tmp_path / "out")
    assert opened.features == {**features, "_id": datasets.Value("string")}
    assert opened["label"][:] == [0, 1, None]
    assert opened["boxes"][:] == rows["boxes"]
    assert opened[2]["image"].size == (32, 32)


def test_image_folder_opens_as_images_with_classes(
    recipe: Make, picture: Make, tmp_path: Path
) -> None:
    for i, label in enumerate(["dog", "cat", "dog"]):
        (tmp_path / "in" / label).mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / label / f"{i}.jpg").write_bytes(picture(i))
    steps = [{"op": "embed", "model": "image"}]
    run_recipe(recipe({"format": "images", "path": str(tmp_path / "in")}, steps))
    opened = open_all_ways(tmp_path / "out")
    assert opened.features["image"] == datasets.Image()
    assert opened.features["label"] == datasets.ClassLabel(names=["cat", "dog"])
    assert opened["label"][:] == [0, 1, 1]
    assert len(opened[0]["_embedding"]) == opened.features["_embedding"].length
    sink = io.BytesIO(picture(1))
    with datasets.Image().decode_example({"bytes": sink.getvalue(), "path": None}) as wanted:
        assert opened[0]["image"].tobytes() == wanted.tobytes()


def test_class_numbers_with_other_names_in_another_file_are_refused(
    recipe: Make, tmp_path: Path
) -> None:
    tables = []
    for names in (["cat", "dog"], ["dog", "cat"]):
        info = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
        table = pa.table({"text": ["x"], "label": [0]})
        tables.append(table.replace_schema_metadata({"huggingface": json.dumps(info)}))
    with pytest.raises(ValueError, match="different names to the classes of 'label'"):
        run_table(recipe, tmp_path, *tables)


def test_splits_open_by_name(recipe: Make, lines: Make, tmp_path: Path) -> None:
    path = lines("in.jsonl", [{"text": f"row {i}"} for i in range(200)])
    steps = [{"op": "split", "shares": {"train": 0.8, "validation": 0.1, "test": 0.1}}]
    run_recipe(recipe({"format": "jsonl", "path": str(path)}, steps))
    opened = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    sizes = {name: len(split) for name, split in opened.items()}
    assert sizes.keys() == {"train", "validation", "test"}
    assert sum(sizes.values()) == 200
    assert open_all_ways(tmp_path / "out", "validation").column_names == ["text", "_id"]


def test_each_output_is_read_as_itself_whatever_the_cache_holds(
    recipe: Make, lines: Make, tmp_path: Path
) -> None:
    cache = str(tmp_path / "cache")
    for out, texts in (("a/out", ["one"]), ("a/out", ["two", "three"]), ("b/out", ["four"])):
        path = lines("in.jsonl", [{"text": text, f"from_{out[0]}": 1} for text in texts])
        write = {"path": str(tmp_path / out), "overwrite": True}
        made = run_recipe(recipe({"format": "jsonl", "path": str(path)}, write=write)).out
        streamed = datasets.load_dataset(made, streaming=True, cache_dir=cache)["train"]
        for opened in (
            datasets.load_dataset(made, cache_dir=cache)["train"],
            datasets.load_from_disk(made)["train"],
            list(streamed),
        ):
            assert [row["text"] for row in opened] == texts
