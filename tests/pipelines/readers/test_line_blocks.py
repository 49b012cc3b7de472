"""Lines that are too long, streams that expand to much, streams after a damaged one."""

import bz2
import gzip
import json
import lzma
import tracemalloc

import pytest
import zstandard

from pipelines.readers import Csv, Jsonl, Text, line_blocks
from pipelines.readers.formats import text_files
from pipelines.readers.read_plan import make_plan, read_task
from pipelines.readers.reader import REST_LOST, ChunkSize

COMPRESS = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
LONGEST = 1000
SMALL = ChunkSize(4, 300)


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    for module in (line_blocks, text_files):
        monkeypatch.setattr(module, "LONGEST_LINE", LONGEST)


def read(source, target=1 << 20, size=SMALL):
    plan = make_plan(source, target_bytes=target)
    chunks = [c for task in plan.tasks for c in read_task(source, task, size=size)]
    good = [row["_id"] for chunk in chunks for row in chunk.table.to_pylist()]
    return good, [(b.where, b.error) for chunk in chunks for b in chunk.bad]


def line(i, length=0):
    return json.dumps({"text": f"{i}{'x' * length}"}).encode() + b"\n"


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("target", [64, 1 << 20])
def test_line_too_long_harms_only_itself(suffix, target, tmp_path):
    data = line(0) + line(1, 5000) + line(2) + line(3, 900) + line(4, 2000)
    (tmp_path / f"a.jsonl{suffix}").write_bytes(COMPRESS[suffix](data))
    good, bad = read(Jsonl(path=str(tmp_path)), target)
    starts = [0, 14, 14 + 5014, 2 * 14 + 5014, 3 * 14 + 5014 + 900]
    assert good == [f"a.jsonl{suffix}#{starts[i]}" for i in (0, 2, 3)]
    assert bad == [
        ("line 2, byte 14", "a line of 5,014 bytes; at most 1,000 are read"),
        (f"line 5, byte {starts[4]}", "a line of 2,014 bytes; at most 1,000 are read"),
    ]


def test_last_line_too_long_without_a_newline(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(line(0) + b"x" * 5000)
    good, bad = read(Jsonl(path=str(tmp_path)))
    assert len(good) == 1
    assert bad == [("line 2, byte 14", "a line of 5,000 bytes; at most 1,000 are read")]


def test_csv_line_too_long_harms_only_itself(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text,n\na,1\n" + b"b" * 5000 + b",2\nc,3\n")
    good, bad = read(Csv(path=str(tmp_path)))
    assert good == ["a.csv#7", "a.csv#5014"]
    assert bad == [("line 3, byte 11", "a line of 5,003 bytes; at most 1,000 are read")]


def test_paragraph_too_long_harms_only_itself(tmp_path):
    data = b"a\nb\n\n" + b"c\n" * 2000 + b"\nd\n\n" + b"e" * 3000 + b"\n\nf\n"
    (tmp_path / "a.txt").write_bytes(data)
    good, bad = read(Text(path=str(tmp_path), rows="paragraph"))
    assert good == ["a.txt#0", "a.txt#4006", "a.txt#7011"]
    assert [error for _, error in bad] == [
        "a paragraph of more than 1,000 bytes",
        "a line of 3,001 bytes; at most 1,000 are read",
    ]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_file_too_large_for_one_row(suffix, tmp_path):
    (tmp_path / f"a.txt{suffix}").write_bytes(COMPRESS[suffix](b"x" * 5000))
    assert read(Text(path=str(tmp_path))) == (
        [],
        [("the file", "more than 1,000 bytes of text in one file")],
    )


@pytest.mark.parametrize("suffix", [s for s in COMPRESS if s])
def test_bomb_takes_little_memory(suffix, tmp_path):
    data = bytes(64 << 20) + b"\n" + line(1)
    (tmp_path / f"a.jsonl{suffix}").write_bytes(COMPRESS[suffix](data))
    del data
    tracemalloc.start()
    good, bad = read(Jsonl(path=str(tmp_path)), size=ChunkSize())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert good == [f"a.jsonl{suffix}#{(64 << 20) + 1}"]
    assert bad[0][1] == "a line of 67,108,865 bytes; at most 1,000 are read"
    assert peak < 40 << 20


@pytest.mark.parametrize("at", [0.05, 0.5, 0.95])
def test_streams_after_a_damaged_one_are_read(at, tmp_path):
    def member(first):
        return gzip.compress(b"".join(line(i, i % 97) for i in range(first, first + 3000)))

    members = [member(0), bytearray(member(3000)), member(6000)]
    place = int(len(members[1]) * at)
    members[1][place : place + 8] = b"\xff" * 8
    (tmp_path / "a.jsonl.gz").write_bytes(b"".join(members))
    good, bad = read(Jsonl(path=str(tmp_path)), size=ChunkSize())
    assert 6000 <= len(good) < 9000
    assert len(set(good)) == len(good)
    ((_, error),) = bad
    assert error.startswith(f"{REST_LOST} up to the next stream in it: damaged .gz stream")
    again = read(Jsonl(path=str(tmp_path)), size=ChunkSize(7, 999))
    assert again == (good, bad)


def test_streams_after_a_damaged_one_in_a_csv(tmp_path):
    head = gzip.compress(b"text,n\n" + b"".join(b"row %d,%d\n" % (i, i) for i in range(2000)))
    broken = bytearray(gzip.compress(b"".join(b"no %d,%d\n" % (i, i) for i in range(2000))))
    broken[100:120] = b"\xff" * 20
    tail = gzip.compress(b"".join(b"end %d,%d\n" % (i, i) for i in range(2000)))
    (tmp_path / "a.csv.gz").write_bytes(head + bytes(broken) + tail)
    good, bad = read(Csv(path=str(tmp_path)), size=ChunkSize())
    assert len(good) >= 4000
    assert REST_LOST in bad[0][1]
