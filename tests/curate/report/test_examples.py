from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curate.report.examples import (
    A_REASON,
    A_WARNING,
    Ledger,
    examples,
    pick,
    quarantined,
    warned_examples,
)
from pipelines.ledger.counts import Note
from pipelines.ledger.entries import records
from pipelines.rows import Columns
from pipelines.steps.dedup.clusters.conflicts import OTHER_LABEL


def ledger_of(n: int) -> pa.Table:
    """Rows 0 … n - 1: a third kept, a third duplicates of row 0, a third unreadable or raised."""
    at = np.arange(n)
    key = at << 7
    ids = pa.array([f"r{i}" for i in at])
    kept, gone, bad = (np.flatnonzero(at % 3 == i) for i in range(3))
    return pa.concat_tables(
        [
            records(len(kept), "kept", key=key[kept], id=ids.take(kept)),
            records(
                *(len(gone), "dropped"),
                **{"key": key[gone], "id": ids.take(gone), "step": 2, "reason": "duplicate"},
                other="r0",
            ),
            records(
                *(len(bad), "quarantined"),
                **{"key": key[bad], "id": ids.take(bad), "step": 0, "reason": "unreadable"},
            ),
        ]
    ).sort_by("key")


def fetch_rows(asked: list[list[int]]) -> Callable[[list[int]], pa.Table]:
    def fetch(keys: list[int]) -> pa.Table:
        asked.append(keys)
        return pa.table({"_key": keys, "text": [f"text {key >> 7}" for key in keys]})

    return fetch


@pytest.mark.parametrize("cut", [1000, 7, 1])
def test_examples_do_not_depend_on_how_the_ledger_is_cut(cut: int) -> None:
    ledger = ledger_of(60)
    asked: list[list[int]] = []
    parts = [ledger.slice(start, cut) for start in range(0, 60, cut)]
    found = examples(parts, fetch_rows(asked), Columns(text="text"))
    assert found == examples(ledger, fetch_rows([]), Columns(text="text"))
    dropped = [e for e in found if e.record.fate == "dropped"]
    assert len(dropped) == len(found) - len(dropped) == A_REASON
    for example in dropped:
        assert example.content is not None
        assert example.other is not None
        assert example.content.text == f"text {example.record.key >> 7}"
        assert example.other.text == "text 0"
    assert all(e.content is None for e in found if e.record.step == 0)
    assert len(asked[0]) == A_REASON + 1


def test_derived_rows_show_the_row_they_came_from() -> None:
    lost = records(1, "quarantined", key=np.array([5 << 7 | 2]), id="r5~2", step=3, reason="raised")
    (example,) = examples(lost, fetch_rows([]), Columns(text="text"))
    assert example.content is not None
    assert example.content.text == "text 5"


def test_nothing_is_fetched_where_nothing_is_shown() -> None:
    kept = records(2, "kept", key=np.array([0, 128]), id="x")
    assert examples(kept, lambda _: pytest.fail("not needed"), Columns()) == []
    assert len(pick(kept)) == 0


def test_ledger_is_read_file_by_file(tmp_path: Path) -> None:
    table = ledger_of(30)
    for i in range(3):
        pq.write_table(table.slice(10 * i, 10), tmp_path / f"{i}.parquet")
    ledger = Ledger(str(tmp_path), ("0.parquet", "1.parquet", "2.parquet"))
    assert pa.concat_tables(ledger) == table
    assert pa.concat_tables(ledger) == table
    assert [r.id for r in quarantined(ledger, 5)] == ["r2", "r5", "r8", "r11", "r14"]
    assert len(quarantined(ledger, 100)) == 10


@pytest.mark.parametrize("cut", [1000, 7])
def test_warnings_show_rows_that_they_are_about(cut: int) -> None:
    ledger = ledger_of(90)
    said = ["linked through r9 (0.90); " + OTHER_LABEL if i % 6 == 1 else None for i in range(90)]
    at = ledger.column_names.index("detail")
    ledger = ledger.set_column(at, ledger.schema.field("detail"), pa.array(said))
    parts = [ledger.slice(start, cut) for start in range(0, 90, cut)]
    kinds = (("class", "a"), ("step", None), ("labels", None))
    notes = [Note(op="x", note="", count=1, step=2, warning=w, label=n) for w, n in kinds]
    keys = ([4 << 7, 13 << 7], [], [])
    columns = Columns(text="text")
    shown = examples(parts, fetch_rows([]), columns)
    wanted = list(zip(notes, keys, strict=True))
    of_class, of_step, of_labels = warned_examples(wanted, shown, parts, fetch_rows([]), columns)
    assert [e.record.key for e in of_class] == [4 << 7, 13 << 7]
    assert of_step == [e for e in shown if e.record.step == 2][:A_WARNING]
    assert len(of_labels) == A_WARNING
    assert all((e.record.key >> 7) % 6 == 1 for e in of_labels)
    for example in (*of_class, *of_labels):
        assert example.content is not None
        assert example.content.text == f"text {example.record.key >> 7}"
        assert example.other is not None
    whole = warned_examples(wanted, shown, [ledger], fetch_rows([]), columns)
    assert whole == [of_class, of_step, of_labels]


def test_run_without_warnings_looks_nothing_up() -> None:
    def never() -> pa.Table:
        yield pytest.fail("not needed")

    assert warned_examples([], [], never(), lambda _: pytest.fail("not needed"), Columns()) == []
