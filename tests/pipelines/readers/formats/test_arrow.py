import re

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.readers import Arrow, HuggingFace
from pipelines.readers.reader import REST_LOST
from pipelines.rows.keys import position_of


def write(path, rows=10, batch=3, kind="stream", metadata=None):
    table = pa.table({"text": [f"text {i}" for i in range(rows)], "n": list(range(rows))})
    table = table.cast(table.schema.with_metadata(metadata))
    new = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=batch)
    return Arrow(path=str(path))


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.sampled_from(["stream", "file"]),
    st.integers(0, 30),
    st.integers(1, 9),
    st.integers(1, 900),
    st.integers(1, 7),
)
def test_arrow_split_gives_the_same_rows(tmp_path, read_all, kind, rows, batch, target, most):
    read = write(tmp_path / "a.arrow", rows, batch, kind)
    whole, bad = read_all(read)
    split, split_bad = read_all(read, target_bytes=target, rows=most, chunk_bytes=99)
    assert bad == split_bad == []
    assert split.to_pylist() == whole.to_pylist()
    assert whole["_id"].to_pylist() == [f"a.arrow#{i}" for i in range(rows)] if rows else True
    assert whole.num_rows == rows


def test_arrow_feather_with_compression_is_read(tmp_path, read_all):
    import pyarrow.feather as feather

    feather.write_feather(pa.table({"text": ["a", "b"]}), str(tmp_path / "a.feather"))
    table, _ = read_all(Arrow(path=str(tmp_path)))
    assert table["text"].to_pylist() == ["a", "b"]


def test_arrow_dictionaries_are_kept(tmp_path, read_all):
    column = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pa.table({"text": ["x", "y", "z"], "label": column})
    with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as f, pa.ipc.new_stream(f, table.schema) as w:
        w.write_table(table, max_chunksize=1)
    read, _ = read_all(Arrow(path=str(tmp_path)), target_bytes=50, required=("text", "label"))
    assert read["label"].to_pylist() == ["a", "b", "a"]


@pytest.mark.parametrize("target", [1 << 20, 100])
def test_arrow_truncated_stream_keeps_what_came_before(tmp_path, read_all, target):
    read = write(tmp_path / "a.arrow", 9, 3)
    data = (tmp_path / "a.arrow").read_bytes()
    (tmp_path / "a.arrow").write_bytes(data[:-60])
    table, bad = read_all(read, target_bytes=target)
    assert table["n"].to_pylist() == [0, 1, 2, 3, 4, 5]
    assert [(b.where, b.rest_lost) for b in bad] == [("from row 6 on", True)]
    assert REST_LOST in bad[0].error


@pytest.mark.parametrize("target", [1 << 20, 100])
def test_arrow_every_row_of_a_damaged_batch_is_bad(tmp_path, read_all, target):
    write(tmp_path / "plain.arrow", 11, 4, "file")
    table = pa.ipc.open_file(pa.memory_map(str(tmp_path / "plain.arrow"))).read_all()
    table = table.append_column("d", pa.array(list("ab") * 5 + ["c"]).dictionary_encode())
    path, options = tmp_path / "a.arrow", pa.ipc.IpcWriteOptions(compression="zstd")
    with pa.OSFile(str(path), "wb") as f, pa.ipc.new_file(f, table.schema, options=options) as w:
        w.write_table(table, max_chunksize=4)
    data = bytearray(path.read_bytes())
    frames = [at.start() for at in re.finditer(rb"\x28\xb5\x2f\xfd", data)]
    second = frames[len(frames) // 2]  # of three batches of as many frames, after a dictionary's
    data[second : second + 4] = b"\0\0\0\0"
    path.write_bytes(data)
    table, bad = read_all(Arrow(path=str(path)), target_bytes=target, rows=3)
    assert table["n"].to_pylist() == [0, 1, 2, 3, 8, 9, 10]
    assert [b.where for b in bad] == [f"row {i}" for i in range(4, 8)]
    assert [int(position_of(b.key)) for b in bad] == [4, 5, 6, 7]
    assert all("record batch 1 cannot be read" in b.error and not b.rest_lost for b in bad)


def test_arrow_damaged_header_of_a_batch_loses_the_rest(tmp_path, read_all):
    read = write(tmp_path / "a.arrow", 9, 3, "file")
    data = bytearray((tmp_path / "a.arrow").read_bytes())
    starts = [at.start() for at in re.finditer(b"\xff\xff\xff\xff", data)]
    data[starts[2] + 8 : starts[2] + 40] = b"\xfe" * 32  # after schema and first batch
    (tmp_path / "a.arrow").write_bytes(data)
    table, bad = read_all(read)
    assert table["n"].to_pylist() == [0, 1, 2]
    assert [(b.where, b.rest_lost) for b in bad] == [("from row 3 on", True)]


@pytest.mark.parametrize("content", [b"", b"not arrow at all", b"ARROW1\0\0"])
def test_arrow_file_that_is_none_is_bad_once(tmp_path, read_all, content):
    (tmp_path / "a.arrow").write_bytes(content)
    table, bad = read_all(Arrow(path=str(tmp_path)), target_bytes=3)
    assert table.num_rows == 0
    assert [(b.where, b.rest_lost) for b in bad] == [("from row 0 on", True)]


def save_to_disk(folder, splits):
    for split in splits:
        (folder / split).mkdir(parents=True)
        write(folder / split / "data-00000-of-00001.arrow", 2, metadata={"huggingface": split})
        write(folder / split / "cache-123.arrow", 5)
        state = {"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}
        (folder / split / "state.json").write_bytes(orjson.dumps(state))
    (folder / "dataset_dict.json").write_bytes(orjson.dumps({"splits": splits}))


def test_arrow_saved_dataset_is_read_by_split_without_caches(tmp_path, read_all):
    save_to_disk(tmp_path / "d", ["train", "test"])
    table, _ = read_all(Arrow(path=str(tmp_path / "d"), split="test"))
    assert table["_id"].to_pylist() == [f"data-00000-of-00001.arrow#{i}" for i in range(2)]
    assert table.schema.metadata == {b"huggingface": b"test"}
    same, _ = read_all(Arrow(path=str(tmp_path / "d" / "test")))
    assert same.equals(table)


@pytest.mark.parametrize("split", [None, "tset"])
def test_arrow_split_must_be_one_of_those_saved(tmp_path, split):
    save_to_disk(tmp_path / "d", ["train", "test"])
    with pytest.raises(ValueError, match="one of train, test"):
        Arrow(path=str(tmp_path / "d"), split=split).list_files()


def test_arrow_split_of_something_else_is_refused(tmp_path):
    write(tmp_path / "a.arrow")
    with pytest.raises(ValueError, match=r"read.split is 'train'"):
        Arrow(path=str(tmp_path / "a.arrow"), split="train").list_files()


def test_huggingface_reads_the_cache_files(tmp_path, read_all, monkeypatch):
    datasets = pytest.importorskip("datasets")
    write(tmp_path / "x-train.arrow", 3)

    def load(path, config, split, revision):
        assert (path, config, split, revision) == ("owner/name", None, "train", "v1")
        return datasets.Dataset.from_file(str(tmp_path / "x-train.arrow"))

    monkeypatch.setattr(datasets, "load_dataset", load)
    table, _ = read_all(HuggingFace(path="owner/name", revision="v1"), required=("text",))
    assert table["_id"].to_pylist() == [f"x-train.arrow#{i}" for i in range(3)]
