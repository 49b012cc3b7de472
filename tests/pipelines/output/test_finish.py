from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_rows import PLACES, rows_of

from pipelines.engine.segment_run import SegmentRun
from pipelines.engine.segments import segments_of
from pipelines.exchange.mail import PLAN, note, run_rounds
from pipelines.ledger.books import Books
from pipelines.ledger.counts import Note
from pipelines.output.finish import (
    END,
    ShardSummary,
    SplitSize,
    _data_orders,
    finish_rounds,
    report_shard,
)
from pipelines.output.layout import assign
from pipelines.output.orders import LedgerOrder
from pipelines.output.summary import OutputSummary, read_summary, read_written
from pipelines.output.writer import Finished, write_file
from pipelines.readers.reader import Chunk
from pipelines.rows import Columns, Rows
from pipelines.rows.profile import ProfileCounts

SHARDS = st.lists(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 300)), max_size=12),
    min_size=1,
    max_size=5,
)


NOTHING = OutputSummary("", Columns(), None, (), (), ProfileCounts(), ProfileCounts(), ())


def summary_of(number: int, splits: dict[str, SplitSize]) -> ShardSummary:
    counts = ProfileCounts(), ProfileCounts()
    return ShardSummary(
        *(number, splits, (str(number),), 0, {}, (), (), (), (), Columns(), (), *counts)
    )


@given(SHARDS, st.integers(1, 400))
def test_every_row_goes_into_one_file_and_no_file_is_empty(
    shards: list[list[tuple[str, int]]], target: int
) -> None:
    tables, found = {}, []
    for number, rows in enumerate(shards):
        sizes = pa.table(
            {
                "_key": pa.array([number * 100 + i for i in range(len(rows))], pa.int64()),
                "split": pa.array([split for split, _ in rows], pa.string()),
                "bytes": pa.array([size for _, size in rows], pa.int64()),
            }
        )
        tables[number] = sizes
        splits = {}
        for name in {split for split, _ in rows}:
            mine = [size for split, size in rows if split == name]
            splits[name] = SplitSize(sum(mine), max(mine), mine[-1])
        found.append(summary_of(number, splits))
    wanted = {
        split: [
            n * 100 + i
            for n, rows in enumerate(shards)
            for i, r in enumerate(rows)
            if r[0] == split
        ]
        for split in "ab"
    }
    written: dict[str, list[int]] = {"a": [], "b": []}
    for order in _data_orders(found, target, NOTHING, "arrow"):
        mine: list[int] = []
        for part in order.parts:
            keys, file = assign(tables[part.shard], order.split, part.start, order.room)
            mine += keys[file == order.index].tolist()
        assert mine
        written[order.split] += mine
    assert written == wanted


def shard(work: Path, number: int, rows: Rows) -> Any:
    (only,) = segments_of(())
    run = SegmentRun(str(work), number, only, 0, Books(PLACES))
    state = run.start(iter([Chunk(rows.table, [])]), lambda _: Columns(text="text"))
    return report_shard(str(work), number, [], state)


def finished(work: str) -> Finished:
    (only,) = segments_of(())
    return Finished(work, work, only.name)


def test_finish_writes_files_and_says_what_is_in_them(tmp_path: Path) -> None:
    work = str(tmp_path)
    messages = [
        shard(tmp_path, 1, rows_of(["c"], 5, x=["s"])),
        note("near_dedup", "capped", 2),
        shard(tmp_path, 0, rows_of(["a", "b"], x=[7, 8])),
        note("near_dedup", "capped", 3),
    ]
    assert {address for address, _ in messages} == {PLAN}
    assert run_rounds(messages, finish_rounds(finished(work), 1000)) == []
    assert [(w.file, w.rows) for w in read_written(work)] == [
        ("_curate/ledger/part-00000-of-00001.parquet", 3),
        ("train/data-00000-of-00001.arrow", 3),
    ]
    summary = read_summary(work)
    said = "column 'x' is int64 in some files and string in others; it is kept as string"
    assert summary.notes == (
        Note(op="near_dedup", note="capped", count=5),
        Note(op="read", note=said, count=1),
    )
    assert summary.before.rows == summary.after.rows == 3
    with pa.OSFile(f"{work}/out/train/data-00000-of-00001.arrow") as source:
        table = pa.ipc.open_stream(source).read_all()
    assert table.select(["text", "x", "_id"]).to_pydict() == {
        "text": ["a", "b", "c"],
        "x": ["7", "8", "s"],
        "_id": ["a.jsonl#0", "a.jsonl#1", "a.jsonl#5"],
    }
    assert list((tmp_path / "writing").iterdir()) == []


def test_layout_of_values_that_become_text_is_that_of_text(tmp_path: Path) -> None:
    many, few = [10**i for i in range(15)], ["x"] * 15
    texts = [str(n) for n in many]
    names = []
    for name, values in (("numbers", many), ("texts", texts)):
        folder = tmp_path / name
        messages = [
            shard(folder, 0, rows_of(["t"] * 15, x=values)),
            shard(folder, 1, rows_of(["t"] * 15, 20, x=few)),
        ]
        run_rounds(messages, finish_rounds(finished(str(folder)), 150))
        names.append([(w.file, w.rows) for w in read_written(str(folder))])
    assert names[0] == names[1]
    assert len(names[0]) > 5


def test_file_that_could_not_be_written_leaves_no_trace_in_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("pipelines.output.writer._write_ledger", fail)
    with pytest.raises(OSError, match="full"):
        write_file(finished(str(tmp_path)), LedgerOrder("_curate/ledger/x.parquet", 0, ()))
    assert not (tmp_path / "out").exists()


def test_end_of_a_run_without_rows_is_an_empty_list(tmp_path: Path) -> None:
    messages = [shard(tmp_path, 0, rows_of([]))]
    assert messages[0][0] == PLAN
    assert END != PLAN
    run_rounds(messages, finish_rounds(finished(str(tmp_path)), 1000))
    (entry,) = read_written(str(tmp_path))
    assert entry.fates is not None
    assert (entry.rows, set(entry.fates.values())) == (0, {0})
    assert np.all([path.suffix != ".arrow" for path in (tmp_path / "out").rglob("*")])
