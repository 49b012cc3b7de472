import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines.readers import Csv
from pipelines.readers.reader import REST_LOST


def make(tmp_path, data, name="a.csv", **options):
    (tmp_path / name).write_bytes(data)
    return Csv(path=str(tmp_path / name), **options)


cells = st.text(st.sampled_from('ab",\n\r é'), max_size=5)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(cells, cells), max_size=8), st.integers(1, 4), st.integers(1, 30))
def test_csv_reads_back_what_was_written(tmp_path, read_all, rows, most, nbytes):
    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([("text", "b"), *rows])
    data = out.getvalue().encode()
    table, bad = read_all(make(tmp_path, data), rows=most, chunk_bytes=nbytes)
    assert bad == []
    if rows:
        got = zip(table["text"].to_pylist(), table["b"].to_pylist(), strict=True)
        assert list(got) == rows
        whole, _ = read_all(make(tmp_path, data))
        assert whole.equals(table)


def test_csv_ids_are_offsets_of_records(tmp_path, read_all):
    data = '\ufefftext,b\r\n"é\nx",1\r\n\r\ny,2\r\n'.encode()
    table, _ = read_all(make(tmp_path, data))
    at = [data.index(b'"'), data.index(b"y,2")]
    assert table["_id"].to_pylist() == [f"a.csv#{offset}" for offset in at]
    assert table["text"].to_pylist() == ["é\nx", "y"]


def test_csv_values_stay_text(tmp_path, read_all):
    table, _ = read_all(make(tmp_path, b"text,n,id\na,007,x1\nb,,x2\n"))
    assert table["n"].to_pylist() == ["007", ""]
    assert table["_id"].to_pylist() == ["x1", "x2"]


def test_csv_bad_records_do_not_take_others_along(tmp_path, read_all):
    data = b'text,b\nok,1\none\n"q"x,2\nt\xff,3\na,b,c\n"two\nlines",4\nlast,"open\nx,1\n'
    table, bad = read_all(make(tmp_path, data), required=("text",))
    assert table["text"].to_pylist() == ["ok", "two\nlines"]
    assert [b.where for b in bad] == [
        "line 3, byte 12",
        "line 4, byte 16",
        "line 5, byte 23",
        "line 6, byte 28",
        "line 9, byte 48",
    ]
    assert bad[0].error == "1 fields, but the header has 2"
    assert bad[1].error.startswith("broken quoting")
    assert bad[2].error == "invalid UTF-8: byte 0xff at byte 1 of column 'text'"
    assert bad[3].error == "3 fields, but the header has 2"
    assert bad[4].error.endswith(f"a quote is never closed, so {REST_LOST}")
    assert [b.rest_lost for b in bad] == [False, False, False, False, True]


def test_csv_quote_left_open_on_the_last_line_loses_that_line_alone(tmp_path, read_all):
    table, bad = read_all(make(tmp_path, b'text,b\nok,1\nlast,"open'))
    assert table["text"].to_pylist() == ["ok"]
    assert [(b.where, b.rest_lost) for b in bad] == [("line 3, byte 12", False)]
    assert REST_LOST not in bad[0].error


def test_csv_tab_is_the_delimiter_of_tsv(tmp_path, read_all):
    table, _ = read_all(make(tmp_path, b'text\tb\n5" pipe\t1\n', "a.tsv", quote=None))
    assert table["text"].to_pylist() == ['5" pipe']


def test_csv_header_can_be_given(tmp_path, read_all):
    read = make(tmp_path, b"ham;hi\nspam;win\n", delimiter=";", header=("label", "text"))
    table, _ = read_all(read, required=("text", "label"))
    assert table["label"].to_pylist() == ["ham", "spam"]


def test_csv_unnamed_column_gets_a_name(tmp_path, read_all):
    table, _ = read_all(make(tmp_path, b",text\n0,a\n"))
    assert table.column_names[:2] == ["unnamed_0", "text"]


def test_csv_without_the_text_column_is_refused(tmp_path, read_all):
    said = r"a.csv has no text column 'text'; it has: texts, b; did you mean 'texts'\?"
    with pytest.raises(ValueError, match=said):
        read_all(make(tmp_path, b"texts,b\n1,2\n"), required=("text",))


def test_csv_with_a_column_twice_is_refused(tmp_path, read_all):
    with pytest.raises(ValueError, match="two columns called 'a'"):
        read_all(make(tmp_path, b"a,a\n1,2\n"))


@pytest.mark.parametrize("data", [b"", b"\xef\xbb\xbf", b"text,b\n", b"text,b", b"\n\n"])
def test_csv_without_records_gives_none(tmp_path, read_all, data):
    table, bad = read_all(make(tmp_path, data))
    assert (table.num_rows, bad) == (0, [])


def test_csv_truncated_gz_is_said(tmp_path, read_all):
    import gzip

    data = b"text,b\n" + b"".join(b'"%d\n",x\n' % (i * 7919) for i in range(5000))
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data)[:-400])
    table, bad = read_all(Csv(path=str(tmp_path)))
    assert 0 < table.num_rows < 5000
    assert [b.rest_lost for b in bad] == [True]
    assert f"{REST_LOST}: truncated .gz stream" in bad[0].error


def test_csv_long_fields_are_read(tmp_path, read_all):
    table, bad = read_all(make(tmp_path, b"text\n" + b"x" * 300_000 + b"\n"))
    assert len(table["text"][0].as_py()) == 300_000
    assert bad == []
