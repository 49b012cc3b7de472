import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.readers import Parquet
from pipelines.readers.reader import REST_LOST
from pipelines.rows.keys import position_of

SLOW_OK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def write(path, rows=10, group=3, **options):
    texts = [f"text {i}" for i in range(rows)]
    table = pa.table({"text": texts, "label": [i % 2 for i in range(rows)]})
    pq.write_table(table, path, row_group_size=group, **options)
    return Parquet(path=str(path))


@SLOW_OK
@given(st.integers(0, 40), st.integers(1, 9), st.integers(1, 900), st.integers(1, 7))
def test_parquet_split_gives_the_same_rows(tmp_path, read_all, rows, group, target, most):
    read = write(tmp_path / "a.parquet", rows, group)
    whole, bad = read_all(read)
    split, split_bad = read_all(read, target_bytes=target, rows=most, chunk_bytes=99)
    assert bad == split_bad == []
    assert split.to_pylist() == whole.to_pylist()
    assert position_of(whole["_key"].to_numpy()).tolist() == list(range(rows)) if rows else True
    assert whole.num_rows == rows


def test_parquet_ids_are_rows_of_the_file(tmp_path, read_all):
    table, _ = read_all(write(tmp_path / "a.parquet", 4, 3))
    assert table["_id"].to_pylist() == [f"a.parquet#{i}" for i in range(4)]


def test_parquet_keeps_features_and_types(tmp_path, read_all):
    schema = pa.schema(
        [("text", pa.large_string()), ("when", pa.timestamp("ms"))],
        metadata={"huggingface": '{"info": {}}'},
    )
    pq.write_table(
        pa.table([["a"], pa.array([0], pa.timestamp("ms"))], schema=schema), tmp_path / "a.parquet"
    )
    table, _ = read_all(Parquet(path=str(tmp_path)))
    assert table.schema.field("text").type == pa.large_string()
    assert table.schema.field("when").type == pa.timestamp("ms")
    assert table.schema.metadata[b"huggingface"] == b'{"info": {}}'


def test_parquet_null_text_is_bad(tmp_path, read_all):
    pq.write_table(pa.table({"text": ["a", None, "c"]}), tmp_path / "a.parquet")
    table, bad = read_all(Parquet(path=str(tmp_path)), required=("text",))
    assert table["text"].to_pylist() == ["a", "c"]
    assert [(b.where, b.error) for b in bad] == [("row 1", "text 'text' is null")]


def test_parquet_string_that_is_not_utf8_is_bad(tmp_path, read_all):
    raw = pa.array([b"ok", b"a\xffb", b"x"], pa.binary())
    text = pa.StringArray.from_buffers(3, *raw.buffers()[1:])
    pq.write_table(pa.table({"text": text}), tmp_path / "a.parquet")
    table, bad = read_all(Parquet(path=str(tmp_path)))
    assert table["text"].to_pylist() == ["ok", "x"]
    assert bad[0].where == "row 1"
    assert bad[0].error.startswith("column 'text': invalid UTF-8: byte 0xff at byte 1")


def test_parquet_image_without_bytes_is_bad(tmp_path, read_all):
    images = [
        {"bytes": b"x", "path": None},
        {"bytes": b"", "path": None},
        {"bytes": None, "path": "a.png"},
        None,
    ]
    pq.write_table(pa.table({"image": images}), tmp_path / "a.parquet")
    table, bad = read_all(Parquet(path=str(tmp_path)), required=("image",))
    assert table.num_rows == 1
    assert [b.error for b in bad] == [
        "image 'image' has zero bytes",
        "image 'image' has no bytes, only the path 'a.png': embed it",
        "image 'image' is null",
    ]


@pytest.mark.parametrize("keep", [0, 5, 200])
def test_parquet_truncated_file_is_bad_once(tmp_path, read_all, keep):
    read = write(tmp_path / "a.parquet", 50, 5)
    data = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(data[:keep])
    table, bad = read_all(read, target_bytes=60)
    assert table.num_rows == 0
    assert [(b.where, b.rest_lost) for b in bad] == [("the file", True)]
    assert REST_LOST in bad[0].error


def test_parquet_every_row_of_a_damaged_row_group_is_bad(tmp_path, read_all):
    read = write(tmp_path / "a.parquet", 9, 3, compression="zstd")
    about = pq.read_metadata(tmp_path / "a.parquet").row_group(1).column(0)
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    start = about.dictionary_page_offset or about.data_page_offset
    data[start : start + about.total_compressed_size] = b"\xff" * about.total_compressed_size
    (tmp_path / "a.parquet").write_bytes(data)
    table, bad = read_all(read)
    assert table["text"].to_pylist() == [f"text {i}" for i in (0, 1, 2, 6, 7, 8)]
    assert [(b.where, position_of(b.key)) for b in bad] == [
        ("row 3", 3),
        ("row 4", 4),
        ("row 5", 5),
    ]
    assert all("row group 1 cannot be read" in b.error and not b.rest_lost for b in bad)
    assert read_all(read, target_bytes=50, rows=2)[1] == bad
    assert read_all(read, limit=5)[1] == bad[:2]


def test_parquet_text_of_another_type_is_refused(tmp_path, read_all):
    pq.write_table(pa.table({"text": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a.parquet: column 'text' is int64, but text must be"):
        read_all(Parquet(path=str(tmp_path)), required=("text",))


@pytest.mark.parametrize("name", ["_key", "_split", "_parent"])
def test_parquet_columns_of_ours_are_refused(tmp_path, read_all, name):
    pq.write_table(pa.table({"text": ["a"], name: ["b"]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=f"has a column '{name}', which curate keeps"):
        read_all(Parquet(path=str(tmp_path)))


def test_parquet_named_column_that_is_missing_is_refused(tmp_path, read_all):
    pq.write_table(pa.table({"text": ["a"], "topic": [1]}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"no label column 'topics'.*did you mean 'topic'"):
        read_all(Parquet(path=str(tmp_path), label="topics"))


def test_parquet_files_of_different_schemas_fit_together(tmp_path, read_all):
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"text": ["b"], "n": [0.5], "more": ["x"]}), tmp_path / "b.parquet")
    together, _ = read_all(Parquet(path=str(tmp_path)))
    apart, _ = read_all(Parquet(path=str(tmp_path)), target_bytes=1)
    assert together["n"].to_pylist() == [1.0, 0.5]
    assert together["more"].to_pylist() == [None, "x"]
    assert apart.equals(together)


@pytest.mark.parametrize("asked", ["data", "data.text"])
def test_parquet_field_within_a_column_says_how_to_lift_it_out(tmp_path, read_all, asked):
    pq.write_table(pa.table({"data": [{"text": "a"}]}), tmp_path / "a.parquet")
    read = Parquet(path=str(tmp_path / "a.parquet"), text=asked)
    with pytest.raises(ValueError, match=r"lift it out first .*`read: \{text: data_text\}`"):
        read_all(read, required=("text",))
