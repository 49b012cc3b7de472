import gzip

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.readers import Text
from pipelines.readers.reader import REST_LOST

SLOW_OK = settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
contents = st.lists(st.sampled_from([b"a", b"b b", b"", b" ", b"\xc3\xa9\r", b"\xff"]), max_size=9)


def test_text_folder_is_one_row_per_file(tmp_path, read_all):
    (tmp_path / "sub").mkdir()
    (tmp_path / "b.txt").write_bytes(b"\xef\xbb\xbfsecond\n")
    (tmp_path / "sub" / "a.txt.gz").write_bytes(gzip.compress(b"third"))
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "c.txt").write_bytes(b"ab\xff")
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"third")[:-3])
    table, bad = read_all(Text(path=str(tmp_path)), rows=2, required=("text",))
    assert table["text"].to_pylist() == ["first", "second\n", "third"]
    assert table["_id"].to_pylist() == ["a.txt", "b.txt", "sub/a.txt.gz"]
    assert (table["_key"].to_numpy() >> 7).tolist() == [0, 1, 4]
    assert [(b.file, b.where, b.key >> 7) for b in bad] == [
        ("c.txt", "the file", 2),
        ("d.txt.gz", "the file", 3),
    ]
    assert bad[0].error == "invalid UTF-8: byte 0xff at byte 2 of the record"
    assert "truncated .gz" in bad[1].error
    assert not any(b.rest_lost for b in bad)  # each is one row, and it is here


def test_text_file_that_vanished_is_bad(tmp_path):
    from pipelines.readers.read_plan import make_plan, read_task

    (tmp_path / "a.txt").write_text("a")
    read = Text(path=str(tmp_path))
    plan = make_plan(read)
    (tmp_path / "a.txt").unlink()
    (chunk,) = read_task(read, plan.tasks[0])
    assert chunk.bad[0].error == "cannot be read: No such file or directory"


@SLOW_OK
@given(contents, st.integers(1, 9), st.integers(1, 4))
def test_text_lines_split_gives_the_same_rows(tmp_path, read_all, lines, target, rows):
    (tmp_path / "a.txt").write_bytes(b"\n".join(lines))
    read = Text(path=str(tmp_path), rows="line")
    whole, bad = read_all(read)
    split, split_bad = read_all(read, target_bytes=target, rows=rows, chunk_bytes=3)
    assert split.to_pylist() == whole.to_pylist()
    assert split_bad == bad
    assert whole.num_rows + len(bad) == sum(bool(line.strip()) for line in lines)


def test_text_lines_say_where_they_are_bad(tmp_path, read_all):
    (tmp_path / "a.txt").write_bytes(b"ok\r\n\nb\xffd\n")
    table, bad = read_all(Text(path=str(tmp_path), rows="line", text="body"))
    assert table.select(["body", "_id"]).to_pylist() == [{"body": "ok", "_id": "a.txt#0"}]
    assert (bad[0].where, bad[0].key >> 7) == ("line 3, byte 5", 5)


@SLOW_OK
@given(contents, st.integers(1, 9), st.integers(1, 4))
def test_text_paragraphs_do_not_depend_on_chunks(tmp_path, read_all, lines, nbytes, rows):
    data = b"\n".join(lines)
    (tmp_path / "a.txt").write_bytes(data)
    read = Text(path=str(tmp_path), rows="paragraph")
    table, bad = read_all(read, rows=rows, chunk_bytes=nbytes)
    whole, whole_bad = read_all(read)
    assert table.to_pylist() == whole.to_pylist()
    assert bad == whole_bad
    paragraphs, open_ = [], False
    for line in lines:
        if line.strip() and not open_:
            paragraphs.append([])
        open_ = bool(line.strip())
        if open_:
            paragraphs[-1].append(line)
    assert whole.num_rows + len(bad) == len(paragraphs)
    good = [b"\n".join(p).decode() for p in paragraphs if b"\xff" not in p]
    assert (whole["text"].to_pylist() if good else []) == good


def test_text_paragraphs_have_offsets_and_lines(tmp_path, read_all):
    (tmp_path / "a.txt").write_bytes(b"\none\ntwo\n\n \nthree\xff\n\nfour")
    table, bad = read_all(Text(path=str(tmp_path), rows="paragraph"))
    assert table["text"].to_pylist() == ["one\ntwo", "four"]
    assert table["_id"].to_pylist() == ["a.txt#1", "a.txt#20"]
    assert bad[0].where == "line 6, byte 12"


@pytest.mark.parametrize("rows", ["line", "paragraph"])
def test_text_truncated_stream_is_said(tmp_path, read_all, rows):
    data = b"".join(b"%d\n\n" % (i * 7919) for i in range(3000))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(data)[:-200])
    table, bad = read_all(Text(path=str(tmp_path), rows=rows))
    assert 0 < table.num_rows < 3000
    assert [b.rest_lost for b in bad] == [True]
    assert bad[0].error.startswith(f"{REST_LOST}: truncated .gz")


def test_text_has_no_label(tmp_path, read_all):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(ValueError, match="no label column 'label'; it has: text"):
        read_all(Text(path=str(tmp_path)), required=("label",))
