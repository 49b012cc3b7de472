import bz2
import gzip
import lzma

import orjson
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.readers import Jsonl
from pipelines.readers.formats.jsonl import DEEPEST
from pipelines.readers.read_plan import make_plan, read_task
from pipelines.readers.reader import REST_LOST
from pipelines.rows.keys import file_of, position_of

COMPRESSED = {
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
LINES = [
    b'{"text": "one", "n": 1}',
    b"",
    b'{"text": "two", "n": 2.5}\r',
    b"  \t",
    b'{"text": "three", "n": null, "tags": ["a"]}',
]


def write(path, lines, newline=b"\n"):
    path.write_bytes(b"".join(line + newline for line in lines))
    return Jsonl(path=str(path))


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.sampled_from([0.5, -2.0, 1e30]),
    st.text(max_size=3),
    st.lists(st.integers(-9, 9), max_size=2),
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(-9, 9), max_size=2),
)
lines = st.one_of(
    st.dictionaries(st.sampled_from(["text", "x", "y"]), values, max_size=3).map(orjson.dumps),
    st.sampled_from([b"", b" ", b"{", b"[1]", b"\xff", b'{"text": "\xc3\x28"}']),
)


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(lines, max_size=12), st.integers(1, 60), st.integers(1, 5), st.booleans())
def test_jsonl_split_gives_the_same_rows(tmp_path, read_all, content, target, rows, ends):
    read = write(tmp_path / "a.jsonl", content)
    if not ends:
        (tmp_path / "a.jsonl").write_bytes(b"\n".join(content))
    whole, bad = read_all(read, required=("text",))
    split, split_bad = read_all(
        read, required=("text",), target_bytes=target, rows=rows, chunk_bytes=7
    )
    assert split.to_pylist() == whole.to_pylist()
    assert split.num_rows == 0 or split.schema.equals(whole.schema)
    assert split_bad == bad
    assert whole.num_rows + len(bad) == sum(not line.isspace() and line != b"" for line in content)


def test_jsonl_keys_and_ids_are_byte_offsets(tmp_path, read_all):
    read = write(tmp_path / "a.jsonl", LINES)
    table, bad = read_all(read)
    data = (tmp_path / "a.jsonl").read_bytes()
    offsets = [data.index(f'{{"text": "{word}"'.encode()) for word in ("one", "two", "three")]
    keys = table["_key"].to_numpy()
    assert position_of(keys).tolist() == offsets
    assert file_of(keys).tolist() == [0, 0, 0]
    assert table["_id"].to_pylist() == [f"a.jsonl#{offset}" for offset in offsets]
    assert bad == []


def test_jsonl_numbers_become_doubles_and_lists_stay(tmp_path, read_all):
    table, _ = read_all(write(tmp_path / "a.jsonl", LINES))
    assert table["n"].to_pylist() == [1.0, 2.5, None]
    assert table["tags"].to_pylist() == [None, None, ["a"]]


def test_jsonl_dates_stay_strings(tmp_path, read_all):
    table, _ = read_all(write(tmp_path / "a.jsonl", [b'{"when": "2020-01-01T00:00:00"}']))
    assert table.schema.field("when").type == pa.string()


def test_jsonl_column_of_clashing_types_becomes_text(tmp_path, read_all):
    content = [b'{"x": 1}', b'{"x": "a"}', b'{"x": {"k": [1]}}', b'{"x": null}']
    table, _ = read_all(write(tmp_path / "a.jsonl", content))
    assert table["x"].to_pylist() == ["1", "a", '{"k":[1]}', None]


def test_jsonl_objects_without_fields_are_rows(tmp_path, read_all):
    table, bad = read_all(write(tmp_path / "a.jsonl", [b"{}", b"{}"]))
    assert table["_id"].to_pylist() == ["a.jsonl#0", "a.jsonl#3"]
    assert bad == []


def test_jsonl_byte_order_mark_is_skipped(tmp_path, read_all):
    read = write(tmp_path / "a.jsonl", [b'\xef\xbb\xbf{"text": "a"}', b'{"text": "b"}'])
    table, bad = read_all(read)
    assert table["_id"].to_pylist() == ["a.jsonl#0", "a.jsonl#17"]
    assert bad == []


def test_jsonl_user_ids_are_kept_and_gaps_filled(tmp_path, read_all):
    content = [b'{"id": 7}', b'{"id": null}', b'{"_id": {"$oid": "f0"}}']
    table, _ = read_all(write(tmp_path / "a.jsonl", content))
    assert table["_id"].to_pylist() == ["7", "a.jsonl#10", '{"$oid":"f0"}']
    assert table["id"].to_pylist() == [7, None, None]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": "a"', "broken JSON at character"),
        (b"[1, 2]", "a list, not an object: b'[1, 2]'"),
        (b'{"text": "\xff"}', "invalid UTF-8: byte 0xff at byte 10 of the record"),
        (b'{"text": null}', "text 'text' is null"),
        (b'{"body": "a"}', "no text 'text'; the record has: body"),
        (b'{"text": 12}', "text 'text' is no string but a number: 12"),
        (b'{"text": {"a": 1}}', """text 'text' is no string but an object: {"a":1}"""),
        (b'{"text": "\\ud800"}', "broken JSON"),
    ],
)
def test_jsonl_bad_line_says_where_and_what(tmp_path, read_all, line, said):
    read = write(tmp_path / "a.jsonl", [b'{"text": "ok"}', b"", line, b'{"text": "after"}'])
    table, bad = read_all(read, required=("text",))
    assert table["text"].to_pylist() == ["ok", "after"]
    assert [(b.where, b.file) for b in bad] == [("line 3, byte 16", "a.jsonl")]
    assert said in bad[0].error


def test_jsonl_missing_text_names_what_is_there(tmp_path, read_all):
    read = write(tmp_path / "a.jsonl", [b'{"texts": "a", "url": "b"}'])
    table, bad = read_all(read, required=("text",))
    assert table.num_rows == 0
    assert "the record has: texts, url; did you mean `read: {text: texts}`?" in bad[0].error


def test_jsonl_field_within_a_column_says_how_to_lift_it_out(tmp_path, read_all):
    (tmp_path / "a.jsonl").write_bytes(b'{"meta": {"text": "a"}}')
    read = Jsonl(path=str(tmp_path / "a.jsonl"), text="meta.text")
    _, bad = read_all(read, required=("text",))
    assert "'meta.text' would be a field within column 'meta'" in bad[0].error
    assert "jq -c '.meta_text = .meta.text'" in bad[0].error
    assert "`read: {text: meta_text}`" in bad[0].error


def test_jsonl_line_numbers_hold_in_later_pieces(tmp_path, read_all):
    content = [b'{"text": "a"}'] * 20 + [b"oops"] + [b'{"text": "b"}'] * 20
    read = write(tmp_path / "a.jsonl", content)
    for target in (17, 50, 10_000):
        _, bad = read_all(read, target_bytes=target)
        assert [b.where for b in bad] == ["line 21, byte 280"]


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_jsonl_compressed_reads_like_plain(tmp_path, read_all, suffix):
    plain = write(tmp_path / "a.jsonl", LINES)
    data = (tmp_path / "a.jsonl").read_bytes()
    press = COMPRESSED[suffix]
    (tmp_path / f"a.jsonl{suffix}").write_bytes(press(data[:30]) + press(data[30:]))
    packed = Jsonl(path=str(tmp_path / f"a.jsonl{suffix}"))
    table, bad = read_all(packed, chunk_bytes=9)
    assert bad == []
    assert table.drop_columns("_id").equals(read_all(plain)[0].drop_columns("_id"))


@pytest.mark.parametrize("suffix", COMPRESSED)
def test_jsonl_truncated_stream_keeps_what_came_before(tmp_path, read_all, suffix):
    data = b"".join(b'{"text": "%d"}\n' % (i * 7919) for i in range(3000))
    press = COMPRESSED[suffix]
    packed = press(data) + press(data)[:-200]
    (tmp_path / f"a.jsonl{suffix}").write_bytes(packed)
    table, bad = read_all(Jsonl(path=str(tmp_path)))
    assert 3000 <= table.num_rows < 6000
    assert [b.rest_lost for b in bad] == [True]
    said = f"{REST_LOST}: truncated {suffix} stream: it ends after {len(packed)} bytes"
    assert bad[0].error.startswith(said)
    assert bad[0].key > table["_key"][-1].as_py()


def test_jsonl_gz_that_is_none_is_one_bad_record(tmp_path, read_all):
    (tmp_path / "a.jsonl.gz").write_bytes(b'{"text": "a"}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(b"")
    table, bad = read_all(Jsonl(path=str(tmp_path)))
    assert table.num_rows == 0
    assert "damaged .gz stream" in bad[0].error
    assert "truncated .gz stream: it ends after 0 bytes" in bad[1].error


def test_jsonl_gz_may_be_padded_with_zeros(tmp_path, read_all):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "a"}\n') + b"\0" * 600_000)
    table, bad = read_all(Jsonl(path=str(tmp_path)))
    assert (table.num_rows, bad) == (1, [])


def test_jsonl_unreadable_file_is_bad_once(tmp_path, read_all):
    write(tmp_path / "a.jsonl", [b'{"text": "a"}'] * 9)
    read = write(tmp_path / "b.jsonl", [b'{"text": "b"}'] * 9)
    read = read.model_copy(update={"path": str(tmp_path)})
    plan = make_plan(read, target_bytes=40)
    (tmp_path / "b.jsonl").unlink()
    chunks = [c for task in plan.tasks for c in read_task(read, task)]
    assert sum(c.table.num_rows for c in chunks) == 9
    bad = [b for c in chunks for b in c.bad]
    assert [b.file for b in bad] == ["b.jsonl"]
    assert "cannot be read: No such file" in bad[0].error


def test_jsonl_reserved_column_is_refused(tmp_path, read_all):
    with pytest.raises(ValueError, match=r"a.jsonl has a column '_key'.*rename it"):
        read_all(write(tmp_path / "a.jsonl", [b'{"_key": 1}']))


def test_jsonl_bad_records_have_no_say_in_types(tmp_path, read_all):
    content = [b'{"text": "a", "n": 1}', b'{"text": null, "n": "x", "more": 1}']
    table, _ = read_all(write(tmp_path / "a.jsonl", content), required=("text",))
    assert table.schema.field("n").type == pa.int64()
    assert "more" not in table.column_names


def test_jsonl_cannot_bring_images(tmp_path, read_all):
    with pytest.raises(ValueError, match=r"'image' is string, but image must be bytes"):
        read_all(write(tmp_path / "a.jsonl", [b'{"image": "a.png"}']), required=("image",))


@pytest.mark.parametrize("levels", [DEEPEST, 70, 150, 5000])
def test_jsonl_record_that_is_nested_too_deep_harms_only_itself(tmp_path, read_all, levels):
    deep = '{"text": "deep", "x": ' + "[" * (levels - 1) + "1" + "]" * (levels - 1) + "}"
    flat = '{"text": "' + "[{" * 200 + '"}'
    (tmp_path / "a.jsonl").write_text(f"{flat}\n{deep}\n{flat}\n")
    table, bad = read_all(Jsonl(path=str(tmp_path)))
    if levels == DEEPEST:
        assert (len(table), bad) == (3, [])
        return
    assert table["text"].to_pylist() == ["[{" * 200] * 2
    (one,) = bad
    assert one.where == f"line 2, byte {len(flat) + 1}"
    assert one.error.startswith(
        f"nested {levels} levels deep; at most {DEEPEST}" if levels < 1000 else "broken JSON"
    )


LONG = "123456789012345678901234567890"


@pytest.mark.parametrize(
    ("values", "read"),
    [
        ([LONG, "7"], [LONG, "7"]),
        ([LONG, "0.5", '"a"'], [LONG, "0.5", "a"]),
        ([f"[{LONG}]", "[1.5]"], [f"[{LONG}]", "[1.5]"]),
        ([f'{{"a":{LONG}}}', '{"a":2}'], [f'{{"a":{LONG}}}', '{"a":2}']),
        (["1e30", "7"], [1e30, 7.0]),
        (["9007199254740993", "0.5"], ["9007199254740993", "0.5"]),
    ],
)
def test_jsonl_integers_of_any_length_keep_their_digits(values, read, tmp_path, read_all):
    lines = [f'{{"text": "{i}", "n": {value}}}' for i, value in enumerate(values)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    table, bad = read_all(Jsonl(path=str(tmp_path / "a.jsonl")))
    assert not bad
    assert table["n"].to_pylist() == read
