"""Parquet files made to harm: each costs its own rows, with a reason, and little memory."""

import lzma

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.errors import UserError
from pipelines.readers import Images, Jsonl, Parquet, parquet_pages
from pipelines.readers.formats import image_files, image_metadata, parquet
from pipelines.readers.read_plan import make_plan, read_task

LARGE = "x" * (1 << 20)
ROWS = 3000


def shared(rows=ROWS, kind=None):
    """Return a column of one value of a MiB, which a file holds once."""
    values = pa.array([LARGE, "small"], kind or pa.string())
    return pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), values)


def save(path, column, **options):
    pq.write_table(pa.table({"text": column}), path, store_schema=False, **options)
    return Parquet(path=str(path))


@pytest.mark.parametrize("kind", [pa.string(), pa.binary()])
def test_parquet_value_that_a_dictionary_names_often_is_written_out_in_bounds(tmp_path, kind):
    """Three gigabytes from a file of one megabyte, 4 MiB at a time."""
    read = save(tmp_path / "a.parquet", shared(kind=kind))
    chunks = (c for task in make_plan(read).tasks for c in read_task(read, task))
    for _, chunk in zip(range(3), chunks, strict=False):
        assert chunk.table.schema.field("text").type == kind
        assert chunk.table.nbytes < 6 << 20
        assert len(chunk.table["text"][0].as_py()) == len(LARGE)


def test_parquet_dictionaries_of_small_values_stay_in_large_batches(tmp_path):
    texts = [f"{i} " * 500 for i in range(2000)]
    file = save(tmp_path / "a.parquet", pa.array(texts))
    with parquet._open(file.path) as opened:
        assert parquet._bounded(file.path, opened, 0, 8192) == (8192, [])


def test_parquet_nested_values_of_a_dictionary_are_told_by_what_they_take(tmp_path, read_all):
    lists = pa.ListArray.from_arrays(pa.array(range(0, ROWS + 1, 100), pa.int32()), shared())
    table, bad = read_all(save(tmp_path / "a.parquet", lists))
    assert (table.num_rows, len(bad)) == (0, ROWS // 100)
    assert bad[0].error == "a row of about 104,857,600 bytes; at most 67,108,864 are read"


def test_parquet_values_that_build_on_each_other_are_read_by_few(tmp_path, read_all, monkeypatch):
    monkeypatch.setattr(parquet, "_EXPANDED", 8 << 20)
    encoding = {"column_encoding": {"text": "DELTA_BYTE_ARRAY"}, "use_dictionary": False}
    read = save(tmp_path / "a.parquet", pa.array([LARGE] * 40), **encoding)
    with parquet._open(read.path) as opened:
        rows, _ = parquet._bounded(read.path, opened, 0, 8192)
    assert 1 <= rows <= 9
    table, bad = read_all(read)
    assert (table.num_rows, bad) == (40, [])


def test_parquet_page_that_unpacks_to_too_much_costs_its_row_group(tmp_path, read_all, monkeypatch):
    column = pa.array(["a"] * 10 + [LARGE] * 10 + ["b"] * 10)
    options = {"compression": "zstd", "use_dictionary": False, "row_group_size": 10}
    read = save(tmp_path / "a.parquet", column, **options)
    monkeypatch.setattr(parquet_pages, "LARGEST_PAGE", 1 << 20)
    table, bad = read_all(read)
    assert table["text"].to_pylist() == ["a"] * 10 + ["b"] * 10
    assert [b.where for b in bad] == [f"row {i}" for i in range(10, 20)]
    assert "row group 1 cannot be read: a page unpacks to" in bad[0].error


@pytest.mark.parametrize("target", [1 << 30, 100])
def test_parquet_file_that_claims_more_rows_than_it_can_hold_is_lost(
    tmp_path, read_all, target, monkeypatch
):
    read = save(tmp_path / "a.parquet", pa.nulls(200_000, pa.string()), row_group_size=100_000)
    monkeypatch.setattr(parquet, "VALUES_OF_NO_BYTES", 1000)
    table, bad = read_all(read, target_bytes=target)
    assert table.num_rows == 0
    assert [b.rest_lost for b in bad] == [True]
    assert "row group 0 claims 100,000 rows in" in bad[0].error


def test_parquet_row_group_that_is_damaged_and_claims_many_rows_is_told_once(
    tmp_path, read_all, monkeypatch
):
    read = save(tmp_path / "a.parquet", pa.array(["a"] * 500_000))
    monkeypatch.setattr(parquet_pages, "LARGEST_PAGE", 1)
    table, bad = read_all(read)
    assert table.num_rows == 0
    assert [(b.where, b.rest_lost) for b in bad] == [("from row 0 on", True)]


def test_parquet_column_that_claims_more_values_than_it_can_hold_is_lost(
    tmp_path, read_all, monkeypatch
):
    lists = pa.ListArray.from_arrays(pa.array([0, 90_000], pa.int32()), pa.array([1] * 90_000))
    read = save(tmp_path / "a.parquet", lists)
    monkeypatch.setattr(parquet_pages, "VALUES_OF_NO_BYTES", 1000)
    _, bad = read_all(read)
    assert "a column claims 90,000 values in a file of" in bad[0].error


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_headers_of_pages_are_read_as_they_were_written(tmp_path, version, compression):
    texts = [f"text {i}" * (i % 50) for i in range(20_000)]
    options = {"data_page_version": version, "compression": compression, "data_page_size": 9000}
    pq.write_table(pa.table({"text": texts, "n": range(20_000)}), tmp_path / "a", **options)
    group = pq.read_metadata(tmp_path / "a").row_group(0)
    with pa.OSFile(str(tmp_path / "a"), "rb") as file:
        pages = [parquet_pages.column_of_group(file, group.column(i)) for i in (0, 1)]
    assert [column.values for column in pages] == [20_000, 20_000]
    assert pages[0].dictionary > 100_000
    assert pages[0].prefixed == 0


@pytest.mark.parametrize("rows", [0, 3])
def test_parquet_without_columns_has_no_rows(tmp_path, read_all, rows):
    table = pa.table({"a": [1] * rows}).select([])
    pq.write_table(table, tmp_path / "a.parquet")
    read, bad = read_all(Parquet(path=str(tmp_path)))
    assert (read.num_rows, bad) == (0, [])


def test_parquet_that_shrinks_while_it_is_read_is_no_signal(tmp_path):
    read = save(tmp_path / "a.parquet", pa.array([f"{i}" * 90 for i in range(9000)]))
    chunks = (c for task in make_plan(read).tasks for c in read_task(read, task))
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:5000])
    assert [b.rest_lost for chunk in chunks for b in chunk.bad] == [True]


def test_image_file_that_is_too_large_is_bad(tmp_path, read_all, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"x" * 1001)
    (tmp_path / "b.png").write_bytes(b"x" * 1000)
    monkeypatch.setattr(image_files, "LARGEST_IMAGE", 1000)
    table, bad = read_all(Images(path=str(tmp_path)))
    assert table["_id"].to_pylist() == ["b.png"]
    assert [b.error for b in bad] == ["an image file of more than 1,000 bytes"]


def broken_texts():
    raw = pa.array([b"5.png", b"a\xffb"])
    return pa.StringArray.from_buffers(2, *raw.buffers()[1:])


METADATA = {
    "deep": ("metadata.jsonl", b'{"file_name": "5.png", "x": ' + b"[" * 70 + b"]" * 70 + b"}"),
    "very deep": ("metadata.jsonl", b'{"file_name": "5.png", "x": ' + b"[" * 90_000),
    "zero byte": ("metadata.jsonl", b'{"file_name": "\\u0000.png"}'),
    "long name": ("metadata.csv", b"file_name\n" + b"n" * 300 + b".png\n"),
    "list": ("metadata.jsonl", b"[1]"),
    "no parquet": ("metadata.parquet", b"PAR1 nonsense PAR1"),
    "texts": ("metadata.parquet", {"file_name": broken_texts()}),
    "year": (
        "metadata.parquet",
        {"file_name": ["5.png"], "x": pa.array([1 << 60], pa.timestamp("us"))},
    ),
    "no name": ("metadata.parquet", {"name": ["5.png"]}),
}


@pytest.mark.parametrize("kind", METADATA)
def test_images_metadata_that_is_damaged_is_a_sentence(tmp_path, kind):
    name, content = METADATA[kind]
    (tmp_path / "5.png").write_bytes(b"x")
    if isinstance(content, bytes):
        (tmp_path / name).write_bytes(content)
    else:
        pq.write_table(pa.table(content), tmp_path / name)
    with pytest.raises(UserError, match=name):
        make_plan(Images(path=str(tmp_path)))


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.parquet"])
def test_images_metadata_that_is_too_large_is_a_sentence(tmp_path, name, monkeypatch):
    (tmp_path / "5.png").write_bytes(b"x")
    if name == "metadata.csv":
        (tmp_path / name).write_text("file_name\n5.png\n" * 9000)
    else:
        pq.write_table(pa.table({"file_name": ["5.png"] * 50_000}), tmp_path / name)
    monkeypatch.setattr(image_metadata, "LARGEST", 100_000)
    with pytest.raises(UserError, match=r"100,000.*split it"):
        make_plan(Images(path=str(tmp_path)))


def test_xz_that_wants_much_memory_is_told(tmp_path, read_all):
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    packed = bytearray(lzma.compress(b'{"a": 1}\n', filters=filters))
    (tmp_path / "a.jsonl.xz").write_bytes(packed)
    (tmp_path / "b.jsonl.xz").write_bytes(lzma.compress(b'{"a": 1}\n', preset=9))
    table, bad = read_all(Jsonl(path=str(tmp_path)))
    assert table.num_rows == 1
    assert "a .xz stream that wants more than 268,435,456 bytes of memory" in bad[0].error
