"""Small batches for tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from pipelines.ledger.entries import Places
from pipelines.rows import ID, KEY, Columns, Rows, keys

PLACES = Places({0: "a.jsonl"}, "byte")


def rows_of(texts: Sequence[str | None], first: int = 0, **columns: Sequence[Any]) -> Rows:
    """Return rows of file 0 at positions `first`, `first` + 1, …"""
    positions = range(first, first + len(texts))
    return Rows(
        pa.table(
            {
                "text": pa.array(texts, pa.string()),
                **{name: pa.array(values) for name, values in columns.items()},
                KEY: pa.array(keys.pack(0, list(positions))),
                ID: [f"a.jsonl#{p}" for p in positions],
            }
        ),
        Columns(text="text"),
    )
