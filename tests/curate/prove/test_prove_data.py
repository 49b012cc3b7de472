import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from curate.prove.prove_data import given, split_paths
from training.pool.shards import read_table

ROWS = [{"text": f"text {i}", "label": "ab"[i % 2]} for i in range(6)]


def lines(path, rows=ROWS):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_given_reads_any_format(tmp_path):
    lines(tmp_path / "a.jsonl")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text(
        "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
    )
    Dataset.from_list(ROWS).save_to_disk(tmp_path / "saved")
    for name in ("a.jsonl", "a.parquet", "a.csv", "saved", "a.jso*"):
        side = given("raw", tmp_path / name)
        assert side.columns({}) == ["text", "label"]
        folder = side.bring("train", tmp_path / "brought" / name[:3], {}, print)
        table = read_table("raw", folder)
        assert table["text"].to_pylist() == [row["text"] for row in ROWS]
    assert folder != tmp_path / "saved"


def test_given_dataset_is_read_where_it_lies(tmp_path):
    both = {"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS[:2])}
    DatasetDict(both).save_to_disk(tmp_path / "saved")
    side = given("raw", tmp_path / "saved")
    assert side.has_test
    assert side.bring("test", tmp_path / "new", {}, print) == tmp_path / "saved"
    assert not (tmp_path / "new").exists()


def test_given_splits_go_by_names_of_files(tmp_path):
    lines(tmp_path / "train-00.jsonl")
    lines(tmp_path / "more.jsonl")
    lines(tmp_path / "test.jsonl", ROWS[:2])
    side = given("raw", tmp_path)
    assert side.has_test
    train = read_table("raw", side.bring("train", tmp_path / "out/raw", {}, print))
    test = read_table("test", side.bring("test", tmp_path / "out/test", {}, print))
    assert (train.num_rows, test.num_rows) == (12, 2)


@pytest.mark.parametrize(
    ("kind", "names", "splits"),
    [
        ("images", ["cat/1.png", "test/1.png"], {"train"}),
        ("images", ["train/cat/1.png", "test/cat/1.png"], {"train", "test"}),
        ("images", ["train/1.png", "test/1.png", "dog/1.png"], {"train"}),
        ("jsonl", ["a.jsonl", "contest.jsonl"], {"train"}),
        ("jsonl", ["a.jsonl", "test.jsonl"], {"train", "test"}),
        ("jsonl", ["test-0.jsonl", "test-1.jsonl"], {"train"}),
        ("parquet", ["data/train-0-of-1.parquet", "data/validation-0.parquet"], 2),
        ("parquet", ["data/train-0-of-1.parquet", "eval/0.parquet"], {"train", "test"}),
    ],
)
def test_splits_are_told_by_whole_words(tmp_path, kind, names, splits):
    found = split_paths(str(tmp_path), kind, names)
    assert len(found) == splits if isinstance(splits, int) else set(found) == splits
    if len(found) == 1:
        assert found == {"train": (str(tmp_path),)}


def test_given_says_what_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"curated: no file .*nearest folder"):
        given("curated", tmp_path / "gone.jsonl")
