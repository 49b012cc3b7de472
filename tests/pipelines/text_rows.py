"""Rows of texts for the tests of steps."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from pipelines.rows import ID, KEY, Columns, Rows

WORDS = ["the", "and", "river", "stone", "Über", "naïve", "東京", "42", "don't", "go,", "ran."]


def text_rows(texts: Sequence[str | None], type: pa.DataType | None = None, **columns) -> Rows:
    table = pa.table(
        {
            "text": pa.array(texts, type or pa.string()),
            ID: pa.array([f"r{i}" for i in range(len(texts))], pa.string()),
            KEY: pa.array(range(len(texts)), pa.int64()),
            **columns,
        }
    )
    return Rows(table, Columns(text="text"))


def cut(rows: Rows, sizes: Iterable[int]) -> list[Rows]:
    """Cut rows into batches of the given sizes; the last takes the rest."""
    batches, start = [], 0
    for size in [*sizes, len(rows)]:
        size = min(size, len(rows) - start)
        batches.append(rows.slice(start, size))
        start += size
    return batches
