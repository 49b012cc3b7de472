"""The ledger: one row for each input record and each derived row, telling its fate and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.ledger.losses import Losses
from pipelines.readers.reader import Bad
from pipelines.rows import DEFAULT_SPLIT, KEY, PARENT, SPLIT, Rows
from pipelines.rows.keys import copy_of, file_of, position_of
from pipelines.rows.verdicts import Verdicts

UNREADABLE, RAISED = "unreadable", "raised"
"""The reasons of quarantined rows: could not be read, made a step raise."""

FATES = KEPT, DROPPED, QUARANTINED, DERIVED = "kept", "dropped", "quarantined", "derived"

LONGEST_ERROR = 1000
"""Characters of an error that are kept."""

LEDGER_SCHEMA = pa.schema(
    [
        ("key", pa.int64()),
        ("id", pa.string()),
        ("fate", pa.string()),
        ("step", pa.int16()),
        ("op", pa.string()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("other", pa.string()),
        ("detail", pa.string()),
        ("file", pa.string()),
        ("where", pa.string()),
        ("error", pa.string()),
        ("split", pa.string()),
    ]
)
"""`step` counts from 1; 0 is reading. `value` was measured and `threshold` is what it was held
against; `other` is the id of the row this one duplicates or was derived from."""


@dataclass(frozen=True)
class LedgerRecord:
    """One line of the ledger."""

    key: int
    id: str
    fate: str
    step: int
    op: str | None = None
    reason: str | None = None
    value: float | None = None
    threshold: float | None = None
    other: str | None = None
    detail: str | None = None
    file: str | None = None
    where: str | None = None
    error: str | None = None
    split: str | None = None


COUNTED = (
    *("entered", "kept", "dropped", "quarantined", "derived", "edited"),
    *("seconds", "shuffled"),
)
"""Numbers of a tally that are summed over shards."""


@dataclass
class Tally:
    """What one step did to the rows that entered it."""

    step: int
    op: str
    entered: int = 0
    kept: int = 0
    dropped: int = 0
    quarantined: int = 0
    derived: int = 0
    edited: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    shuffled: int = 0
    """Bytes that the rounds of the step sent to each other."""
    measured: dict[str, float] = field(default_factory=dict)
    """Figures that the step found out about itself, such as its recall."""
    lost: Losses = field(default_factory=Losses)
    """Rows of the input that were dropped or quarantined, by label."""

    def add(self, other: Tally) -> None:
        """Add the counts of the same step over other rows."""
        for name in COUNTED:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for reason, count in other.reasons.items():
            self.count(reason, count)
        for name, value in other.measured.items():
            self.measured[name] = self.measured.get(name, 0.0) + value
        self.lost.add(other.lost)

    def count(self, reason: str, rows: int) -> None:
        """Count rows that were dropped or quarantined for a reason."""
        self.reasons[reason] = self.reasons.get(reason, 0) + rows


def records(n: int, fate: str, **columns: Any) -> pa.Table:
    """Return `n` ledger rows of one fate; a column is an array, one value for all, or absent."""
    arrays = []
    for column in LEDGER_SCHEMA:
        value = fate if column.name == "fate" else columns.get(column.name)
        if isinstance(value, np.ndarray):
            value = pa.array(value, from_pandas=True)
        if isinstance(value, (pa.Array, pa.ChunkedArray)):
            arrays.append(value.cast(column.type))
        elif value is None:
            arrays.append(pa.nulls(n, column.type))
        else:
            arrays.append(pa.repeat(pa.scalar(value, column.type), n))
    return pa.table(arrays, schema=LEDGER_SCHEMA)


def unreadable(bad: list[Bad], places: Places) -> pa.Table:
    """Return the records of what a reader could not read."""
    return records(
        len(bad),
        QUARANTINED,
        key=pa.array([b.key for b in bad], pa.int64()),
        id=pa.array([places.id(b.key, b.file) for b in bad], pa.string()),
        step=0,
        op="read",
        reason=UNREADABLE,
        file=pa.array([b.file for b in bad], pa.string()),
        where=pa.array([b.where for b in bad], pa.string()),
        error=pa.array([b.error[:LONGEST_ERROR] for b in bad], pa.string()),
    )


def judged(rows: Rows, verdicts: Verdicts, step: int, op: str) -> pa.Table:
    """Return the records of the rows a filter drops."""
    out = np.flatnonzero(~verdicts.keep)
    names = pa.array(verdicts.reasons, pa.string())
    detail = verdicts.detail
    return records(
        len(out),
        DROPPED,
        key=rows.keys[out],
        id=rows.ids.take(pa.array(out)),
        step=step,
        op=op,
        reason=names.take(pa.array(verdicts.code[out] - 1)),
        value=verdicts.value[out],
        threshold=verdicts.threshold[out],
        detail=None if detail is None else detail.take(pa.array(out)),
    )


def failed(
    rows: Rows, culprits: Iterable[tuple[int, Exception]], step: int, op: str, places: Places
) -> pa.Table:
    """Return the records of the rows on which a step raised."""
    found = list(culprits)
    at = pa.array([i for i, _ in found], pa.int64())
    keys = rows.keys[at.to_numpy()]
    return records(
        len(found),
        QUARANTINED,
        key=keys,
        id=rows.ids.take(at),
        step=step,
        op=op,
        reason=RAISED,
        file=pa.array([places.file(k) for k in keys.tolist()], pa.string()),
        where=pa.array([places.where(k) for k in keys.tolist()], pa.string()),
        error=pa.array([_said(error) for _, error in found], pa.string()),
    )


def _said(error: Exception) -> str:
    """Return an error in words that any file can hold."""
    words = f"{type(error).__name__}: {error}"[:LONGEST_ERROR]
    return words.encode("utf-8", "backslashreplace").decode()


def dropped_records(verdicts: pa.Table, ids: pa.Array, step: int, op: str) -> pa.Table:
    """Return the records of the rows a corpus step drops; `ids` aligns with `verdicts`."""
    names = ("reason", "value", "threshold", "other", "detail")
    return records(
        len(verdicts),
        DROPPED,
        key=verdicts[KEY],
        id=ids,
        step=step,
        op=op,
        **{name: verdicts[name] for name in names},
    )


def survivors(rows: Rows) -> list[pa.Table]:
    """Return the records of the rows of the output: kept input rows and derived ones."""
    derived = copy_of(rows.keys) > 0
    found = []
    for fate, mine in ((KEPT, ~derived), (DERIVED, derived)):
        if not mine.any():
            continue
        of_fate = rows.filter(mine)
        columns = {"key": of_fate.keys, "id": of_fate.ids, "split": DEFAULT_SPLIT}
        if SPLIT in rows.table.column_names:
            columns["split"] = of_fate.table[SPLIT]
        if fate == DERIVED:
            columns["other"] = of_fate.table[PARENT]
        found.append(records(len(of_fate), fate, **columns))
    return found


def fates_of(ledger: pa.Table) -> dict[str, int]:
    """Return how many input rows met each fate; `lost` are derived rows that did not stay."""
    derived = copy_of(ledger["key"].to_numpy()) > 0
    counts = {fate: pc.equal(ledger["fate"], fate).to_numpy() for fate in FATES}
    found = {fate: int((is_fate & ~derived).sum()) for fate, is_fate in counts.items()}
    found[DERIVED] = int(counts[DERIVED].sum())
    return {**found, "lost": int((derived & ~counts[DERIVED]).sum())}


@dataclass(frozen=True)
class Places:
    """Names where a row stands in the input, from its key."""

    names: dict[int, str]
    """Name by file number; by position where each file is a row."""
    unit: str | None
    """What positions count, `byte` or `row`; None where each file is a row."""

    def id(self, key: int, file: str) -> str:
        """Return what a row of `file` is called that has no id of its own."""
        return f"{file}#{_position(key)}" if self.unit else file

    def file(self, key: int) -> str:
        """Return the name of the file of a row."""
        number = int(file_of(np.array(key))) if self.unit else _position(key)
        return self.names.get(number, "")

    def where(self, key: int) -> str:
        """Return the position of a row in its file, as `byte 2041` or `row 17`."""
        return f"{self.unit} {_position(key)}" if self.unit else "the file"


def _position(key: int) -> int:
    return int(position_of(np.array(key)))
