"""A small ledger, for the tests of what looks rows up in one."""

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.ledger.entries import LEDGER_SCHEMA

ROWS = [
    {"key": 0, "id": "d00", "fate": "kept", "split": "train"},
    {
        "key": 1, "id": "d01", "fate": "dropped", "step": 4, "op": "near_dedup",
        "reason": "duplicate", "value": 0.91, "threshold": 0.8, "other": "d00",
    },
    {
        "key": 2, "id": "d02", "fate": "dropped", "step": 1, "op": "word_count",
        "reason": "too_short", "value": 3.0, "threshold": 20.0,
    },
    {
        "key": 3, "id": "a.jsonl#line 4, byte 90", "fate": "quarantined", "step": 0, "op": "read",
        "reason": "unreadable", "file": "a.jsonl", "where": "line 4, byte 90",
        "error": "not JSON: unexpected end",
    },
    {"key": 5, "id": "d00+1", "fate": "derived", "other": "d00", "split": "train"},
    {"key": 6, "id": "twin", "fate": "kept"},
    {
        "key": 7, "id": "twin", "fate": "dropped", "step": 2, "op": "language",
        "reason": "wrong_language", "value": 0.97, "threshold": float("nan"), "detail": "de",
    },
]  # fmt: skip


def write_ledger(folder, rows, files=2):
    ledger = folder / "_curate" / "ledger"
    ledger.mkdir(parents=True)
    for number in range(files):
        table = pa.Table.from_pylist(rows[number::files], schema=LEDGER_SCHEMA)
        pq.write_table(table, ledger / f"{number}.parquet")
    return folder
