import gzip
import os
import time
import uuid

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import files, listings
from pipelines.readers import Arrow, Csv, Images, Jsonl, Parquet, Text
from pipelines.readers.read_plan import ReadPlan, fetch, make_plan, read_task
from pipelines.readers.reader import ChunkSize
from pipelines.rows.keys import pack


def lines(*texts):
    return b"".join(b'{"text": "%s"}\n' % text.encode() for text in texts)


def texts(read, plan, **options):
    chunks = [c for task in plan.tasks for c in read_task(read, task, **options)]
    return [text for chunk in chunks for text in chunk.table["text"].to_pylist()]


def ranges(plan):
    return [[(p.name, p.start, p.stop) for p in task.pieces] for task in plan.tasks]


def test_plan_bundles_small_files_and_cuts_large_ones(tmp_path):
    for name, size in (("a", 30), ("b", 60), ("c", 20), ("d", 250), ("e", 10)):
        (tmp_path / f"{name}.jsonl").write_bytes(b" " * size)
    plan = make_plan(Jsonl(path=str(tmp_path)), target_bytes=100)
    assert ranges(plan) == [
        [("a.jsonl", 0, 30), ("b.jsonl", 0, 60)],
        [("c.jsonl", 0, 20)],
        [("d.jsonl", 0, 83)],
        [("d.jsonl", 83, 166)],
        [("d.jsonl", 166, 250)],
        [("e.jsonl", 0, 10)],
    ]
    assert [p.file for task in plan.tasks for p in task.pieces] == [0, 1, 2, 3, 3, 3, 4]


def test_plan_flags_large_files_that_cannot_be_split(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text\n" + b"x\n" * 100)
    (tmp_path / "b.jsonl.gz").write_bytes(os.urandom(60))
    (tmp_path / "c.jsonl").write_bytes(b" " * 300)
    pq.write_table(pa.table({"text": ["x"] * 9}), tmp_path / "d.parquet")
    pq.write_table(pa.table({"text": ["x"] * 9}), tmp_path / "e.parquet", row_group_size=3)
    assert [t.spool for t in make_plan(Csv(path=str(tmp_path)), target_bytes=100).tasks] == [True]
    assert [t.spool for t in make_plan(Csv(path=str(tmp_path)), target_bytes=110).tasks] == [False]
    plan = make_plan(Jsonl(path=str(tmp_path)), target_bytes=100)
    assert [t.spool for t in plan.tasks] == [True, False, False, False]
    plan = make_plan(Parquet(path=str(tmp_path)), target_bytes=200)
    assert plan.tasks[0].spool
    assert not any(task.spool for task in plan.tasks[1:])
    assert len(plan.tasks) > 2


def test_plan_survives_saving(tmp_path):
    for i in range(5):
        (tmp_path / f"{i}.csv").write_bytes(b"text\n" + b"x\n" * 100 * i)
    plan = make_plan(Csv(path=str(tmp_path)), target_bytes=300)
    for path in (str(tmp_path / "plan.arrow"), f"memory://{uuid.uuid4().hex}/plan.arrow"):
        plan.save(path)
        assert tuple(ReadPlan.task(path, i) for i in range(len(plan.tasks))) == plan.tasks
    assert any(task.spool for task in plan.tasks)


def test_plan_of_ten_thousand_files_is_quick(tmp_path, monkeypatch):
    names = [f"{i:05}.jsonl" for i in range(10_000)]
    listed = [listings.File(f"/data/{name}", name, 50_000, "1") for name in names]
    monkeypatch.setattr(listings, "look", lambda *_, **__: listings.Listing(tuple(listed)))
    start = time.process_time()
    plan = make_plan(Jsonl(path="/data"), target_bytes=1 << 20)
    plan.save(str(tmp_path / "plan.arrow"))
    task = ReadPlan.task(str(tmp_path / "plan.arrow"), 400)
    assert time.process_time() - start < 1
    assert len(plan.tasks) == 500
    assert task == plan.tasks[400]
    assert [p.file for t in plan.tasks for p in t.pieces] == list(range(10_000))


def test_plan_small_files_share_chunks(tmp_path):
    for i in range(50):
        (tmp_path / f"{i:02}.jsonl").write_bytes(lines(f"{i} a", f"{i} b"))
    read = Jsonl(path=str(tmp_path))
    plan = make_plan(read)
    chunks = list(read_task(read, plan.tasks[0], size=ChunkSize(40, 1 << 20)))
    assert [len(chunk.table) for chunk in chunks] == [40, 40, 20]
    assert chunks[0].table["text"].num_chunks == 1
    keys = [key for chunk in chunks for key in chunk.table["_key"].to_pylist()]
    assert keys == sorted(keys)


@pytest.mark.parametrize("limit", [1, 4, 5, 99])
def test_plan_limit_takes_the_first_records_bad_ones_too(tmp_path, limit):
    (tmp_path / "a.jsonl").write_bytes(lines("0", "1") + b"oops\n" + lines("3"))
    (tmp_path / "b.jsonl").write_bytes(lines("4", "5"))
    read = Jsonl(path=str(tmp_path))
    for rows, target in ((8192, 1 << 20), (1, 10), (3, 20)):
        plan = make_plan(read, target_bytes=target, limit=limit)
        chunks = [c for t in plan.tasks for c in read_task(read, t, size=ChunkSize(rows, 1 << 20))]
        assert sum(map(len, chunks)) == min(limit, 6)
        got = [row["text"] for c in chunks for row in c.table.to_pylist()]
        assert got == [t for t in ("0", "1", "3", "4", "5") if int(t) < limit]
        plan.save(str(tmp_path / "plan"))
        assert ReadPlan.task(str(tmp_path / "plan"), 0).limit == limit


@pytest.mark.parametrize("options", [{"limit": 0}, {"target_bytes": 0}])
def test_plan_refuses_sizes_below_one(tmp_path, options):
    (tmp_path / "a.jsonl").write_bytes(lines("a"))
    with pytest.raises(ValueError, match="at least 1"):
        make_plan(Jsonl(path=str(tmp_path)), **options)


def test_plan_fingerprint_follows_the_input(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(lines("a"))
    read = Jsonl(path=str(tmp_path))
    one = make_plan(read).fingerprint
    assert make_plan(read, target_bytes=3).fingerprint == one
    assert make_plan(read, limit=1).fingerprint != one
    os.utime(path, (1, 1))
    two = make_plan(read).fingerprint
    path.write_bytes(lines("ab"))
    assert len({one, two, make_plan(read).fingerprint}) == 3


def test_plan_reads_remote_files(tmp_path):
    root = f"memory://{uuid.uuid4().hex}"
    data = lines(*(f"text {i}" for i in range(30)))
    files.write_bytes_atomically(f"{root}/in/a.jsonl", data)
    files.write_bytes_atomically(f"{root}/in/b.jsonl.gz", gzip.compress(data))
    read = Jsonl(path=f"{root}/in/*")
    plan = make_plan(read, target_bytes=200)
    assert texts(read, plan) == [f"text {i}" for i in range(30)] * 2
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": list("abcdefgh")}), sink, row_group_size=2)
    files.write_bytes_atomically(f"{root}/p/a.parquet", sink.getvalue().to_pybytes())
    read = Parquet(path=f"{root}/p")
    assert texts(read, make_plan(read, target_bytes=100)) == list("abcdefgh")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, pa.schema([("text", pa.string())])) as writer:
        writer.write_table(pa.table({"text": list("abcdefgh")}), max_chunksize=3)
    files.write_bytes_atomically(f"{root}/s/a.arrow", sink.getvalue().to_pybytes())
    read = Arrow(path=f"{root}/s")
    assert texts(read, make_plan(read, target_bytes=100)) == list("abcdefgh")


def sources(folder):
    table = pa.table({"text": [f"text {i}" for i in range(40)]})
    data = lines(*table["text"].to_pylist())
    for name in ("jsonl", "gz", "parquet", "arrow", "csv", "text", "line", "images"):
        (folder / name).mkdir()
    (folder / "jsonl" / "a.jsonl").write_bytes(data)
    (folder / "gz" / "a.jsonl.gz").write_bytes(gzip.compress(data))
    pq.write_table(table, folder / "parquet" / "a.parquet", row_group_size=7)
    with pa.ipc.new_stream(str(folder / "arrow" / "a.arrow"), table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    rows = "\n".join(["text", *table["text"].to_pylist()])
    (folder / "csv" / "a.csv").write_text(rows)
    (folder / "line" / "a.txt").write_text(rows)
    for i in range(9):
        (folder / "text" / f"{i}.txt").write_text(f"text {i}")
        (folder / "images" / f"{i}.png").write_bytes(b"x%d" % i)
    return [
        Jsonl(path=str(folder / "jsonl")),
        Jsonl(path=str(folder / "gz")),
        Parquet(path=str(folder / "parquet")),
        Arrow(path=str(folder / "arrow")),
        Csv(path=str(folder / "csv")),
        Text(path=str(folder / "line"), rows="line"),
        Text(path=str(folder / "line"), rows="paragraph"),
        Text(path=str(folder / "text")),
        Images(path=str(folder / "images")),
    ]


def test_plan_fetches_rows_by_key(tmp_path):
    for read in sources(tmp_path):
        plan = make_plan(read, target_bytes=100)
        rows = [
            row
            for task in plan.tasks
            for chunk in read_task(read, task)
            for row in chunk.table.to_pylist()
        ]
        chosen = [rows[-1], rows[len(rows) // 2], rows[0]]
        got = fetch(read, plan, [row["_key"] + copy for row in chosen for copy in (0, 3)])
        wanted = {row["_key"]: row for row in chosen}
        assert got.to_pylist() == [wanted[key] for key in sorted(wanted)]


def test_plan_fetches_nothing_for_no_key(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines("a"))
    read = Jsonl(path=str(tmp_path))
    plan = make_plan(read)
    assert fetch(read, plan, []).num_rows == 0
    assert fetch(read, plan, pack(0, [5])).num_rows == 0
    assert fetch(read, plan, pack(7, [0])).num_rows == 0
