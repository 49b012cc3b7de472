"""Pick rows of the ledger to show: a few of each reason, beside what they duplicate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

A_REASON = 4
"""Examples of each step and reason."""


@dataclass(frozen=True)
class Content:
    """What a row holds, as it stands in the input."""

    text: str | None = None
    image: bytes | None = None
    label: str | None = None


@dataclass(frozen=True)
class Example:
    """One row that was dropped or quarantined, and what it duplicates."""

    record: dict[str, Any]
    """Its ledger record: id, step, op, reason, value, threshold, other, detail, error, where."""
    content: Content | None
    """None where the row could not be read."""
    other: Content | None
    """The row it duplicates, None where it duplicates none."""


def pick(ledger: pa.Table) -> pa.Table:
    """Return up to A_REASON records of each (step, reason) that dropped or quarantined rows.

    Those of the smallest hash of their id, so that the choice does not depend on the run.
    """
    gone = ledger.filter(pc.is_in(ledger["fate"], pa.array(["dropped", "quarantined"])))
    if not len(gone):
        return gone
    digest = xxhash.xxh3_64_intdigest
    hashes = np.fromiter((digest(i.encode()) for i in gone["id"].to_pylist()), np.uint64, len(gone))
    gone = gone.append_column("_hash", pa.array(hashes)).sort_by(
        [("step", "ascending"), ("reason", "ascending"), ("_hash", "ascending")]
    )
    kind = pc.binary_join_element_wise(gone["step"].cast(pa.string()), gone["reason"], ":")
    _, first, group = np.unique(
        kind.to_numpy(zero_copy_only=False).astype(str), return_index=True, return_inverse=True
    )
    rank = np.arange(len(gone)) - first[group]
    return gone.filter(pa.array(rank < A_REASON)).drop_columns(["_hash"])


def examples(
    ledger: pa.Table, fetch: Callable[[list[int]], pa.Table], columns: dict[str, str | None]
) -> list[Example]:
    """Return examples with their contents, read again from the input.

    Args:
        ledger: the whole ledger.
        fetch: returns the input rows of some position keys, with a `_key` column.
        columns: names of the text, image and label columns.
    """
    records = pick(ledger).to_pylist()
    others = {r["other"] for r in records if r["other"] is not None}
    keepers = ledger.filter(pc.is_in(ledger["id"], pa.array(sorted(others), pa.string())))
    key_of = {row["id"]: row["key"] for row in keepers.select(["id", "key"]).to_pylist()}
    readable = [r["key"] for r in records if r["step"] > 0]
    rows = fetch(sorted({*readable, *key_of.values()})) if readable or key_of else None
    contents = {} if rows is None else _contents(rows, columns)
    return [
        Example(r, contents.get(r["key"]), contents.get(key_of.get(r["other"], -1)))
        for r in records
    ]


def _contents(rows: pa.Table, columns: dict[str, str | None]) -> dict[int, Content]:
    def values(role: str) -> list[Any]:
        name = columns.get(role)
        if name is None or name not in rows.column_names:
            return [None] * len(rows)
        return rows[name].to_pylist()

    found = {}
    for key, text, image, label in zip(
        rows["_key"].to_pylist(), values("text"), values("image"), values("label"), strict=True
    ):
        data = image["bytes"] if isinstance(image, dict) else image
        found[key] = Content(text, data, None if label is None else str(label))
    return found
