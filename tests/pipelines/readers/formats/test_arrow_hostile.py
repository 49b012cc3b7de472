"""Arrow files made to harm: each costs its own rows, with a reason, and little memory."""

import re

import numpy as np
import pyarrow as pa
import pytest

from pipelines.readers import Arrow
from pipelines.readers.formats import arrow, messages

ROWS = 8
TEXTS = [f"a text too long to lie in a view {i}" for i in range(ROWS)]
EDGES = pa.array(range(ROWS + 1), pa.int32())
CODES = pa.array([0] * ROWS, pa.int8())
PLACES = pa.array(range(ROWS), pa.int32())
NUMBERS = pa.array(range(ROWS))


def raw(*values, kind):
    return pa.py_buffer(np.array(values, kind).tobytes())


def union(codes=(0,) * ROWS, places=range(ROWS)):
    kind = pa.dense_union([pa.field("n", pa.int64()), pa.field("t", pa.string())])
    buffers = [None, raw(*codes, kind=np.int8), raw(*places, kind=np.int32)]
    children = [NUMBERS, pa.array(TEXTS)]
    return pa.Array.from_buffers(kind, ROWS, buffers, children=children)


def sparse(codes):
    kind = pa.sparse_union([pa.field("n", pa.int64()), pa.field("t", pa.string())])
    children = [NUMBERS, pa.array(TEXTS)]
    return pa.Array.from_buffers(kind, ROWS, [None, raw(*codes, kind=np.int8)], children=children)


def list_view(offsets, sizes):
    buffers = [None, raw(*offsets, kind=np.int32), raw(*sizes, kind=np.int32)]
    return pa.Array.from_buffers(pa.list_view(pa.int64()), ROWS, buffers, children=[NUMBERS])


def dictionary(indices):
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), ["a", "b"], safe=False)


def view(index):
    views = b"".join(np.array([20, 0, index, 0], np.int32).tobytes() for _ in range(ROWS))
    return pa.Array.from_buffers(
        pa.string_view(), ROWS, [None, pa.py_buffer(views), pa.py_buffer(b"x" * 20)]
    )


def in_struct(array):
    return pa.StructArray.from_arrays([array], ["u"])


def in_list(array):
    return pa.ListArray.from_arrays(EDGES, array)


DAMAGED = {
    "union codes": union(codes=[99] * ROWS),
    "union places": union(places=[1 << 30] * ROWS),
    "union places below zero": union(places=[-(1 << 30)] * ROWS),
    "union in a struct": in_struct(union(places=[1 << 30] * ROWS)),
    "union in a list": in_list(union(places=[1 << 30] * ROWS)),
    "union in a list in a struct": in_struct(in_list(union(codes=[-7] * ROWS))),
    "sparse union": sparse([99] * ROWS),
    "list view offsets": list_view([1 << 30] * ROWS, [1] * ROWS),
    "list view sizes": list_view([0] * ROWS, [1 << 30] * ROWS),
    "list view below zero": list_view([-5] * ROWS, [1] * ROWS),
    "dictionary": dictionary([1 << 30] * ROWS),
    "dictionary below zero": dictionary([-1] * ROWS),
    "dictionary in a list": in_list(dictionary([77] * ROWS)),
    "view": view(1 << 20),
    "view below zero": view(-1),
    "view in a list": in_list(view(9)),
}


def save(path, column, new=pa.ipc.new_stream, **options):
    table = pa.table({"text": pa.array(TEXTS[: len(column)]), "c": column})
    options = pa.ipc.IpcWriteOptions(**options)
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    return Arrow(path=str(path))


@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
@pytest.mark.parametrize("kind", DAMAGED)
def test_arrow_column_whose_structure_is_damaged_loses_its_rows(tmp_path, read_all, kind, new):
    table, bad = read_all(save(tmp_path / "a.arrow", DAMAGED[kind], new))
    assert table.num_rows == 0
    assert [b.where for b in bad] == [f"row {i}" for i in range(ROWS)]
    assert all("damaged" in b.error or "cannot be read" in b.error for b in bad)


def test_arrow_map_with_null_keys_loses_its_rows(tmp_path, read_all):
    """Written as a list of pairs, which has the layout of a map, under the schema of a map."""
    pairs = pa.array([[{"key": None, "value": i}] for i in range(ROWS)])
    pairs = pairs.cast(pa.list_(pa.struct({"key": pa.string(), "value": pa.int64()})))
    parts = []
    for column in (pa.array([], pa.map_(pa.string(), pa.int64())), pairs):
        path = tmp_path / "part"
        save(path, column)
        with pa.OSFile(str(path), "rb") as file:
            parts.append((path.read_bytes(), messages.message_at(file, 0).stop))
        path.unlink()
    (map_data, map_schema_stop), (data, schema_stop) = parts
    (tmp_path / "a.arrow").write_bytes(map_data[:map_schema_stop] + data[schema_stop:])
    table, bad = read_all(Arrow(path=str(tmp_path)))
    assert (table.num_rows, len(bad)) == (0, ROWS)
    assert "should have no nulls" in bad[0].error


@pytest.mark.parametrize("metadata", [b"", b"\xff\0nonsense", b"[" * 9000])
@pytest.mark.parametrize("name", [b"arrow.uuid", b"arrow.fixed_shape_tensor", b"nobody.knows"])
def test_arrow_extension_with_nonsense_metadata_harms_nothing_else(
    tmp_path, read_all, name, metadata
):
    about = {b"ARROW:extension:name": name, b"ARROW:extension:metadata": metadata}
    field = pa.field("c", pa.binary(4), metadata=about)
    schema = pa.schema([pa.field("text", pa.string()), field], metadata={"huggingface": "[[["})
    table = pa.table([TEXTS, [b"abcd"] * ROWS], schema=schema)
    path = tmp_path / "a.arrow"
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table)
    table, bad = read_all(Arrow(path=str(path)))
    assert table.num_rows == ROWS or [b.rest_lost for b in bad] == [True]


def bad_texts(kind):
    column = pa.array([t.encode() for t in TEXTS[:-1]] + [b"long and not UTF-8: \xff"])
    if kind == pa.string_view():
        views = column.cast(pa.binary_view())
        return pa.Array.from_buffers(kind, ROWS, views.buffers())
    texts = pa.StringArray.from_buffers(ROWS, *column.buffers()[1:])
    if pa.types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(PLACES, texts)
    if pa.types.is_union(kind):
        return pa.UnionArray.from_dense(CODES, PLACES, [texts])
    return pa.ListArray.from_arrays(EDGES, texts)


@pytest.mark.parametrize(
    "kind",
    [
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.dense_union([pa.field("t", pa.string())]),
        pa.list_(pa.string()),
    ],
)
def test_arrow_text_that_is_not_utf8_costs_its_own_row(tmp_path, read_all, kind):
    table, bad = read_all(save(tmp_path / "a.arrow", bad_texts(kind)))
    assert table["text"].to_pylist() == TEXTS[:-1]
    assert [b.where for b in bad] == [f"row {ROWS - 1}"]
    assert re.search("invalid UTF-?8", bad[0].error, re.I)


BIG = "x" * (2 << 20)
SHARED = {
    "dictionary": pa.DictionaryArray.from_arrays(np.zeros(ROWS, np.int32), [BIG]),
    "runs": pa.RunEndEncodedArray.from_arrays(pa.array([ROWS], pa.int32()), [BIG]),
    "lists": pa.ListViewArray.from_arrays([0] * ROWS, [1] * ROWS, pa.array([BIG])),
}


@pytest.mark.parametrize("kind", SHARED)
def test_arrow_values_that_share_their_bytes_are_cut_by_what_they_take(tmp_path, kind):
    from pipelines.readers.read_plan import make_plan, read_task

    read = save(tmp_path / "a.arrow", SHARED[kind])
    chunks = [c for task in make_plan(read).tasks for c in read_task(read, task)]
    assert sum(map(len, chunks)) == ROWS
    assert max(chunk.table.nbytes for chunk in chunks) < 3 * len(BIG)


@pytest.mark.parametrize("kind", [*SHARED, "plain"])
def test_arrow_row_that_is_too_large_is_bad_by_itself(tmp_path, read_all, kind, monkeypatch):
    monkeypatch.setattr("pipelines.readers.tables.LARGEST_ROW", 1 << 20)
    column = SHARED.get(kind, pa.array(["x", BIG, *["y"] * (ROWS - 2)]))
    table, bad = read_all(save(tmp_path / "a.arrow", column), chunk_bytes=1 << 20)
    assert table.num_rows == (ROWS - 1 if kind == "plain" else 0)
    assert re.match(r"a row of about 2,097,\d+ bytes; at most 1,048,576 are read", bad[0].error)
    assert bad[0].where == ("row 1" if kind == "plain" else "row 0")


def batches(path, new=pa.ipc.new_stream, **options):
    table = pa.table({"text": [t * 50 for t in TEXTS] * 4})
    options = pa.ipc.IpcWriteOptions(**options)
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=ROWS)
    return table


@pytest.mark.parametrize("target", [1 << 20, 3000])
@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_batch_that_unpacks_to_too_much_is_lost_alone(
    tmp_path, read_all, new, target, monkeypatch
):
    batches(tmp_path / "a.arrow", new, compression="zstd")
    monkeypatch.setattr(arrow, "LARGEST_BATCH", 1000)
    table, bad = read_all(Arrow(path=str(tmp_path)), target_bytes=target)
    assert (table.num_rows, len(bad)) == (0, 4 * ROWS)
    assert re.search(r"record batch 0 unpacks to 1\d,\d+ bytes; at most 1,000", bad[0].error)


@pytest.mark.parametrize("target", [1 << 20, 3000])
def test_arrow_damaged_batch_of_a_stream_costs_only_its_rows(tmp_path, read_all, target):
    whole = batches(tmp_path / "a.arrow", compression="zstd")
    data = bytearray((tmp_path / "a.arrow").read_bytes())
    frames = [at.start() for at in re.finditer(rb"\x28\xb5\x2f\xfd", data)]
    data[frames[2] : frames[2] + 4] = b"\0\0\0\0"  # two to a batch
    (tmp_path / "a.arrow").write_bytes(data)
    table, bad = read_all(Arrow(path=str(tmp_path)), target_bytes=target)
    assert table["text"].to_pylist() == [
        *whole["text"].to_pylist()[:ROWS],
        *whole["text"].to_pylist()[2 * ROWS :],
    ]
    assert [b.where for b in bad] == [f"row {i}" for i in range(ROWS, 2 * ROWS)]


@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_file_that_shrinks_while_it_is_read_is_no_signal(tmp_path, new):
    batches(tmp_path / "a.arrow", new)
    read = Arrow(path=str(tmp_path))
    from pipelines.readers.reader import ChunkSize, Piece

    path = tmp_path / "a.arrow"
    piece = Piece(0, str(path), "a.arrow", 0, path.stat().st_size)
    chunks = read.read(piece, size=ChunkSize(rows=4))
    first = next(chunks)
    path.write_bytes(path.read_bytes()[:600])
    rest = list(chunks)
    assert first.table["text"].to_pylist()[0] == TEXTS[0] * 50
    assert [b.rest_lost for chunk in rest for b in chunk.bad] == [True]


def test_arrow_large_body_lies_on_disk_and_reads_the_same(tmp_path, read_all, monkeypatch):
    whole = batches(tmp_path / "a.arrow")
    monkeypatch.setattr(messages, "_IN_MEMORY", 1000)
    table, bad = read_all(Arrow(path=str(tmp_path)))
    assert bad == []
    assert table["text"].to_pylist() == whole["text"].to_pylist()


@pytest.mark.parametrize("cut", [8, 100, 700, -1, -30])
def test_arrow_file_that_ends_early_keeps_what_came_before(tmp_path, read_all, cut):
    batches(tmp_path / "a.arrow", pa.ipc.new_file)
    path = tmp_path / "a.arrow"
    path.write_bytes(path.read_bytes()[:cut])
    table, bad = read_all(Arrow(path=str(tmp_path)))
    assert [b.rest_lost for b in bad] == [True]
    assert table.num_rows == (4 * ROWS if cut < 0 else 0)


@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
def test_arrow_damaged_batch_that_claims_millions_of_rows_is_told_once(tmp_path, read_all, new):
    table = pa.table({"text": [f"{i}" for i in range(1234)]})
    path = tmp_path / "a.arrow"
    with pa.OSFile(str(path), "wb") as sink, new(sink, table.schema) as writer:
        writer.write_table(table)
    data, told = path.read_bytes(), (1234).to_bytes(8, "little")
    assert told in data
    path.write_bytes(data.replace(told, (16_000_000).to_bytes(8, "little")))
    table, bad = read_all(Arrow(path=str(path)))
    assert table.num_rows == 0
    assert [b.rest_lost for b in bad] == [True]
    assert "a record batch claims 16,000,000 rows in" in bad[0].error
