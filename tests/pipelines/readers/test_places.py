import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.readers import Images, Jsonl, Parquet
from pipelines.readers.places import hive_columns, placed, split_folders
from pipelines.readers.read_plan import fetch, make_plan, read_task
from pipelines.readers.reader import Chunk, Piece
from pipelines.rows import ID, KEY, SPLIT


def rows(read, target=1 << 20, required=()):
    plan = make_plan(read, target_bytes=target)
    chunks = [c for task in plan.tasks for c in read_task(read, task, required=required)]
    assert not [bad for chunk in chunks for bad in chunk.bad]
    return [row for chunk in chunks for row in chunk.table.to_pylist()]


def write(folder, name, *lines):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_split_folders_are_splits_only_where_all_are():
    assert split_folders(["train/a", "Val/b/c"]) == {"train": "train", "Val": "validation"}
    assert split_folders(["train/a", "cat/b"]) == {}
    assert split_folders(["train/a", "b"]) == {}
    assert split_folders(["a", "b"]) == {}


def test_hive_folders_are_columns():
    assert hive_columns("label=x/y=1%2F2/a=b.parquet") == {"label": "x", "y": "1/2"}
    assert hive_columns("label=__HIVE_DEFAULT_PARTITION__/a") == {"label": None}
    assert hive_columns("=x/a") == {}


@pytest.mark.parametrize("target", [10, 1 << 20])
def test_folders_of_splits_become_splits(target, tmp_path):
    write(tmp_path, "train/a.jsonl", {"text": "a"}, {"text": "b"})
    write(tmp_path, "test/b.jsonl", {"text": "c"})
    found = rows(Jsonl(path=str(tmp_path)), target)
    assert [(row["text"], row[SPLIT]) for row in found] == [
        ("c", "test"),
        ("a", "train"),
        ("b", "train"),
    ]
    assert SPLIT not in rows(Jsonl(path=str(tmp_path), splits="ignore"), target)[0]
    assert SPLIT not in rows(Jsonl(path=str(tmp_path / "test")), target)[0]


@pytest.mark.parametrize("target", [10, 1 << 20])
def test_column_split_becomes_the_split(target, tmp_path):
    write(tmp_path, "a.jsonl", *({"text": s, "split": s} for s in ("train", "TEST", "dev", "x")))
    found = rows(Jsonl(path=str(tmp_path)), target)
    assert [row.get(SPLIT) or "train" for row in found] == ["train", "test", "validation", "train"]
    assert [row["split"] for row in found] == ["train", "TEST", "dev", "x"]


def test_hive_label_fills_the_role_and_comes_back_when_fetched(tmp_path):
    for label in ("cat", "dog"):
        folder = tmp_path / f"label={label}/day=7"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"text": [label]}), folder / "a.parquet")
    read = Parquet(path=str(tmp_path), label="label")
    found = rows(read, required=("text", "label"))
    assert [(row["label"], row["day"]) for row in found] == [("cat", "7"), ("dog", "7")]
    again = fetch(read, make_plan(read), [row[KEY] for row in found])
    assert again["label"].to_pylist() == ["cat", "dog"]


def test_column_of_the_file_wins_over_its_folder(tmp_path):
    write(tmp_path, "label=x/a.jsonl", {"text": "a", "label": "y"})
    assert [row["label"] for row in rows(Jsonl(path=str(tmp_path)))] == ["y"]


def test_image_classes_lie_below_the_folders_of_splits(tmp_path):
    for name in ("train/cat/1.png", "test/dog/2.png", "test/cat/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = {row[ID]: (row[SPLIT], row["label"]) for row in rows(Images(path=str(tmp_path)))}
    assert found == {
        "train/cat/1.png": ("train", "cat"),
        "test/dog/2.png": ("test", "dog"),
        "test/cat/3.png": ("test", "cat"),
    }


def test_column_that_names_output_folders_is_refused(tmp_path):
    table = pa.table({KEY: [0], ID: ["a"], SPLIT: ["../../elsewhere"]})
    with pytest.raises(UserError, match="'_split', which curate keeps for itself"):
        placed(Chunk(table, []), Jsonl(path=str(tmp_path)), [Piece(0, "", "a", 0, 1)])
