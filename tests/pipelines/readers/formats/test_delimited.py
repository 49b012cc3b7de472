import csv
import gzip
import io
import random

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
    assert table["text"].to_pylist() == ["ok", "two\nlines", "x"]
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
    assert bad[4].error == "broken quoting: a quote opened here is never closed"
    assert not any(b.rest_lost for b in bad)


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


def ids(table):
    return [int(i) if i.isdecimal() else i for i in table["id"].to_pylist()]


def numbered(count, **changed):
    """Return lines `7,text 7,ham`, with those named `n7` changed."""
    lines = [changed.get(f"n{i}", f"{i},text {i},ham") for i in range(1, count + 1)]
    return "\n".join(["id,text,label", *lines, ""]).encode()


def test_csv_stray_quotes_that_close_lose_their_own_lines(tmp_path, read_all):
    data = numbered(1500, n502='502,"text 502,ham', n1002='1002,text 1002",ham')
    for size in (1, 100, 1 << 20):
        table, bad = read_all(make(tmp_path, data), chunk_bytes=size, required=("text",))
        assert ids(table) == [i for i in range(1, 1501) if i not in (502, 1002)]
        assert [b.where.split(",")[0] for b in bad] == ["line 503", "line 1003"]
        assert "closes in line 1003, but the lines between are like the other" in bad[0].error
        assert bad[1].error.endswith("it may be a part of the broken record of line 503")


@pytest.mark.parametrize(
    ("closing", "lost"),
    [
        ('1002,"text 1002",ham', [502]),
        ('1002,"text" 1002,ham', [502, 1002]),
        ('"1002,text 1002,ham', [502]),
        ("1002,text 1002,ham", [502]),
        ('1002,text 1002,ham"', [502, 1002]),
    ],
)
def test_csv_stray_quote_loses_one_record(tmp_path, read_all, closing, lost):
    data = numbered(1500, n502='502,"text 502,ham', n1002=closing)
    table, bad = read_all(make(tmp_path, data), chunk_bytes=5000)
    found = ids(table)
    if closing.startswith('"'):
        lost = [*lost, 1002]  # a quote of its own, never closed
    assert found == [i for i in range(1, 1501) if i not in lost]
    assert len(bad) == len(lost)
    assert len({b.key for b in bad}) == len(bad)


def test_csv_ragged_line_among_the_swallowed_is_lost_alone(tmp_path, read_all):
    data = numbered(100, n20='20,"text, 20,ham', n40="40,text", n60='60,text",ham')
    table, bad = read_all(make(tmp_path, data))
    assert ids(table) == [i for i in range(1, 101) if i not in (20, 40, 60)]
    assert bad[1].error == (
        "2 fields, but the header has 3; it may be a part of the broken record of line 21"
    )


@pytest.mark.parametrize(
    "value",
    [
        "Good food, nice\nand cheap, too\nwe come again, and soon",
        "def f(a, b):\n    return a, b\n\nprint(f(1, 2), 3)\n",
        "id,text,label\n1,one,ham\n2,two,spam\n3,three,ham",
        "1,one,ham\n2,two,spam\n3,three,ham\n",
        "1,one,ham\n2,two,spam\n3,three,ham",
        "a,b\n" * 300,
        "\n\n\n",
        'she said "hi",\n"you", he said\n',
    ],
)
@pytest.mark.parametrize("label", ["ham", "", "spam, ham"])
def test_csv_text_over_several_lines_is_one_record(tmp_path, read_all, value, label):
    out = io.StringIO(newline="")
    rows = [(i, f"text {i}", "ham") for i in range(50)]
    csv.writer(out).writerows([("id", "text", "label"), *rows, (50, value, label), *rows])
    table, bad = read_all(make(tmp_path, out.getvalue().encode()))
    assert bad == []
    assert table["text"][50].as_py() == value


def test_csv_tables_in_a_column_are_believed(tmp_path, read_all):
    out = io.StringIO(newline="")
    rows = [(f"q{i}", "name,city\n" + f"Ann,Rome {i}\nJo,Bonn" * (i % 9)) for i in range(300)]
    csv.writer(out).writerows([("question", "text"), *rows])
    table, bad = read_all(make(tmp_path, out.getvalue().encode()))
    assert bad == []
    assert table["text"].to_pylist() == [text for _, text in rows]


def test_csv_few_records_of_text_tell_nothing(tmp_path, read_all):
    rows = [("", ""), ("a", "b"), (",\n", ""), ("a,b\na", "b"), ("é,é\na,b\na", "é")]
    for quoting in (csv.QUOTE_ALL, csv.QUOTE_MINIMAL):
        out = io.StringIO(newline="")
        csv.writer(out, quoting=quoting).writerows([("text", "b"), *rows])
        table, bad = read_all(make(tmp_path, out.getvalue().encode()))
        assert bad == []
        assert list(zip(table["text"].to_pylist(), table["b"].to_pylist(), strict=True)) == rows


@pytest.mark.parametrize("ids", ["{}", "row{}", "2024-01-{}", "a b"])
def test_csv_few_lines_swallowed_are_found_by_numbers_and_codes(tmp_path, read_all, ids):
    lines = [f"{ids.format(i)},some text" for i in range(10)]
    lines[3], lines[5] = lines[3].replace(",", ',"'), f'{lines[5]}"'
    table, bad = read_all(make(tmp_path, "\n".join(["a,text", *lines]).encode()))
    found = (table.num_rows, len(bad))
    assert found == ((8, 0) if ids == "a b" else (8, 2))


def test_csv_rest_of_a_broken_text_makes_no_records(tmp_path, read_all):
    text = '"foo "x" bar\nbaz, qux\nend"\n'
    data = "text,label\n" + "a b,1\n" * 30 + f"{text[:-1]},1\n" + "c,2\n" * 3
    table, bad = read_all(make(tmp_path, data.encode()))
    assert table["text"].to_pylist() == ["a b"] * 30 + ["c"] * 3
    assert [b.where.split(",")[0] for b in bad] == ["line 32", "line 33", "line 34"]
    assert bad[1].error.startswith("values unlike those of other records")


def test_csv_record_over_lines_with_a_stray_field_is_one(tmp_path, read_all):
    data = b'id,text\n1,a\n2,"x\n3,y",z,4\n5,b\n'
    table, bad = read_all(make(tmp_path, data))
    assert ids(table) == [1, 5]
    assert [(b.where, b.error) for b in bad] == [
        ("line 3, byte 12", "4 fields, but the header has 2; it ends in line 4")
    ]


def test_csv_quote_open_for_too_long_is_a_stray_one(tmp_path, read_all, monkeypatch):
    monkeypatch.setattr("pipelines.readers.formats.csv_lines.LONGEST_RECORD", 1000)
    monkeypatch.setattr("pipelines.readers.formats.csv_records.LONGEST_RECORD", 1000)
    data = numbered(400, n50='50,"text,ham', n51='51",",ham', n390='390,"text",ham')
    seen = []
    for size in (1, 300, 1 << 20):
        table, bad = read_all(make(tmp_path, data), chunk_bytes=size)
        assert ids(table) == [i for i in range(1, 401) if i not in (50, 51)]
        seen.append([(b.where, b.error) for b in bad])
    assert seen[0] == seen[1] == seen[2]
    assert "is not closed within" in seen[0][0][1]


def test_csv_quote_open_in_a_line_too_long_takes_no_other_along(tmp_path, read_all, monkeypatch):
    monkeypatch.setattr("pipelines.readers.formats.csv_lines.LONGEST_RECORD", 1000)
    long = "x" * 2000
    data = numbered(40, n20=f'20,"{long},ham', n30=f"30,{long},ham")
    for size in (1, 1 << 20):
        table, bad = read_all(make(tmp_path, data), chunk_bytes=size)
        assert ids(table) == [i for i in range(1, 41) if i != 20]
        assert len(bad) == 1


def test_csv_lines_that_all_leave_a_quote_open_cost_no_more_than_others(tmp_path, read_all):
    data = b"a,b\n" + b'x","y\n' * 20_000  # read to the end from each: 200 million lines
    table, bad = read_all(make(tmp_path, data))
    assert (table.num_rows, len(bad)) == (0, 20_000)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_csv_line_ends_of_all_kinds(tmp_path, read_all, end):
    data = "\ufeff" + end.join(["id,text", '1,"é\r\nb\rc\n\nd"', "", "2,é", "3,z"])
    for size in (1, 1 << 20):
        table, bad = read_all(make(tmp_path, data.encode()), chunk_bytes=size)
        assert bad == []
        assert table["text"].to_pylist() == ["é\r\nb\rc\n\nd", "é", "z"]
        at = [data.encode().index(f"{end}{i},".encode()) + len(end) for i in (1, 2, 3)]
        assert (table["_key"].to_numpy() >> 7).tolist() == at


def test_csv_mixed_line_ends(tmp_path, read_all):
    data = b"id,text\n1,a\r\n2,b\r3,c\n4,d\re\n5,f\n"
    table, bad = read_all(make(tmp_path, data))
    assert ids(table) == [1, 2, 3, 5]
    assert [b.where for b in bad] == ["line 4, byte 21"]


def test_csv_nul_bytes_stay(tmp_path, read_all):
    table, bad = read_all(make(tmp_path, b"id,text\n1,a\0b\n2,c\n"))
    assert (table["text"].to_pylist(), bad) == (["a\0b", "c"], [])


def test_csv_quotes_escaped_with_a_backslash_lose_their_line(tmp_path, read_all):
    data = b'id,text\n1,a\n2,"say \\"hi\\" now"\n3,b\n4,"ends \\""\n5,c\n6,"d, e"\n7,f\n'
    table, bad = read_all(make(tmp_path, data))
    assert ids(table) == [1, 3, 5, 6, 7]
    assert [b.where.split(",")[0] for b in bad] == ["line 3", "line 5"]


def test_csv_header_may_hold_a_newline(tmp_path, read_all):
    table, bad = read_all(make(tmp_path, b'"a\nb",text\n1,x\n'))
    assert (table.column_names[:2], table["text"].to_pylist(), bad) == (["a\nb", "text"], ["x"], [])


def test_csv_other_quote_and_none(tmp_path, read_all):
    data = b"id,text\n1,'a\n,b'\n2,\"c\n3,'d\n4,e\n"
    table, bad = read_all(make(tmp_path, data, quote="'"))
    assert table["text"].to_pylist() == ["a\n,b", '"c', "e"]
    assert len(bad) == 1
    table, bad = read_all(make(tmp_path, data, quote=None))
    assert (ids(table), len(bad)) == ([1, "", 2, 3, 4], 0)


def test_csv_truncated_within_a_text_loses_the_rest(tmp_path, read_all):
    data = b"id,text\n" + b"".join(b"%d,x\n" % i for i in range(30))
    rest = "\n".join(f"{random.Random(i).random()} a, b" for i in range(9000)).encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data + b'30,"' + rest)[:-100])
    table, bad = read_all(Csv(path=str(tmp_path)))
    assert table.num_rows == 30
    assert [(b.key >> 7, b.rest_lost) for b in bad] == [(len(data), True)]


def test_csv_truncated_after_a_stray_quote_loses_its_line_and_the_rest(tmp_path, read_all):
    lines = [f"{i},{random.Random(i).random()}\n" for i in range(9000)]
    lines[40] = '40,"0.5\n'
    data = "".join(["id,text\n", *lines]).encode()
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data)[:-100])
    table, bad = read_all(Csv(path=str(tmp_path)))
    assert ids(table) == [i for i in range(table.num_rows + 1) if i != 40]
    assert [b.rest_lost for b in bad] == [False, True]


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.sampled_from(['"', ",", "\n", "a", "1", "\r", ' "', '"a",1\n', "b,2\n"]), max_size=40
    ),
    st.sampled_from([1, 3, 20]),
)
def test_csv_chunks_change_nothing_whatever_the_file_holds(tmp_path, read_all, tokens, nbytes):
    with pytest.MonkeyPatch.context() as patch:
        for module in ("csv_lines", "csv_records"):
            patch.setattr(f"pipelines.readers.formats.{module}.LONGEST_RECORD", 20)
        patch.setattr("pipelines.readers.formats.csv_records._LEARNED", 3)
        read = make(tmp_path, "".join(["text,b\n", *tokens]).encode())
        whole, whole_bad = read_all(read)
        table, bad = read_all(read, rows=2, chunk_bytes=nbytes)
    assert table.to_pylist() == whole.to_pylist()
    assert bad == whole_bad
    found = [*(table["_key"].to_pylist() if len(table) else []), *(b.key for b in bad)]
    assert len({*found}) == len(found)


words = st.sampled_from(["a", "b c", "d, e", 'f "g" h', "é", "ij"])
tables = st.lists(words, min_size=30, max_size=40)
damage = st.dictionaries(st.integers(0, 39), st.integers(0, 12), max_size=3)


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(tables, damage, st.booleans(), st.integers(1, 60))
def test_csv_stray_quotes_harm_no_other_record(tmp_path, read_all, texts, stray, every, nbytes):
    lines = written(texts, csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL)
    sound = list(lines)
    for line, at in stray.items():
        if line >= len(lines):
            continue
        at %= len(lines[line].rstrip())
        lines[line] = lines[line][:at] + '"' + lines[line][at:]
    data = "".join(["id,text,label\r\n", *lines]).encode()
    table, bad = read_all(make(tmp_path, data), chunk_bytes=nbytes)
    whole, whole_bad = read_all(make(tmp_path, data))
    assert table.equals(whole) or not table.num_rows == whole.num_rows == 0
    assert bad == whole_bad
    assert table.num_rows + len(bad) == len(lines)
    starts = [len("".join(["id,text,label\r\n", *lines[:i]]).encode()) for i in range(len(lines))]
    kept = dict(zip((table["_key"].to_numpy() >> 7).tolist(), table.to_pylist(), strict=True))
    assert {*kept} | {b.key >> 7 for b in bad} == {*starts}
    for i, (start, line) in enumerate(zip(starts, lines, strict=True)):
        if line == sound[i] and start in kept:
            row = kept[start]
            assert (row["id"], row["text"], row["label"]) == (str(i), texts[i], "ham")
        elif start in kept:
            (alone,) = csv.reader([line])
            assert [kept[start][name] for name in ("id", "text", "label")] == alone


def written(texts, quoting):
    out = io.StringIO(newline="")
    csv.writer(out, quoting=quoting).writerows((i, t, "ham") for i, t in enumerate(texts))
    return out.getvalue().splitlines(keepends=True)
