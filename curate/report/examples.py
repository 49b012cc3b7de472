"""Pick rows of the ledger to show: a few of each reason, beside what they duplicate."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from pipelines import files
from pipelines.ledger.counts import Note
from pipelines.ledger.entries import DROPPED, LEDGER_SCHEMA, QUARANTINED, LedgerRecord
from pipelines.rows import KEY, Columns
from pipelines.rows.keys import MAX_COPIES
from pipelines.steps.dedup.clusters.conflicts import OTHER_LABEL
from pipelines.steps.dedup.clusters.keepers import EARLIER

A_REASON = 4
"""Examples of each step and reason."""
A_WARNING = 3
"""Examples of each warning."""


@dataclass(frozen=True)
class Content:
    """What a row holds, as it stands in the input."""

    text: str | None = None
    image: bytes | None = None
    label: str | None = None


@dataclass(frozen=True)
class Example:
    """One row that was dropped or quarantined, and what it duplicates."""

    record: LedgerRecord
    content: Content | None
    """None where the row could not be read."""
    other: Content | None
    """The row it duplicates, None where it duplicates none."""


@dataclass(frozen=True)
class Ledger:
    """The ledger of an output folder, read file by file: it may be larger than the memory."""

    out: str
    """The output folder."""
    files: tuple[str, ...]
    """Names of its files below that folder, in order."""

    def __iter__(self) -> Iterator[pa.Table]:
        """Yield the records of each file, in the order of the input."""
        for name in self.files:
            with files.open_arrow(f"{self.out}/{name}") as source:
                yield pq.read_table(source)


def quarantined(ledger: Iterable[pa.Table], most: int) -> list[LedgerRecord]:
    """Return the first quarantined records."""
    found: list[LedgerRecord] = []
    for part in ledger:
        gone = part.filter(pc.equal(part["fate"], QUARANTINED))
        found += _records(gone.slice(0, most - len(found)))
        if len(found) >= most:
            break
    return found


def pick(ledger: pa.Table) -> pa.Table:
    """Return up to A_REASON records of each (step, reason) that dropped or quarantined rows.

    Those of the smallest hash of their id, so that the choice does not depend on the run.
    """
    gone = ledger.filter(pc.is_in(ledger["fate"], pa.array([DROPPED, QUARANTINED])))
    if not len(gone):
        return gone
    digest = xxhash.xxh3_64_intdigest
    hashes = np.fromiter((digest(i.encode()) for i in gone["id"].to_pylist()), np.uint64, len(gone))
    gone = gone.append_column("_hash", pa.array(hashes)).sort_by(
        [("step", "ascending"), ("reason", "ascending"), ("_hash", "ascending")]
    )
    kind = pc.binary_join_element_wise(
        gone["step"].cast(pa.string()), pc.fill_null(gone["reason"], ""), ":"
    )
    codes = kind.combine_chunks().dictionary_encode().indices.to_numpy()
    _, first, group = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.arange(len(gone)) - first[group]
    return gone.filter(pa.array(rank < A_REASON)).drop_columns(["_hash"])


def examples(
    ledger: Iterable[pa.Table] | pa.Table,
    fetch: Callable[[list[int]], pa.Table],
    columns: Columns,
) -> list[Example]:
    """Return examples with their contents, read again from the input.

    Args:
        ledger: the whole ledger, as one table or in parts; it is gone through twice.
        fetch: returns the input rows of some position keys, with a `_key` column.
        columns: names of the text, image and label columns.
    """
    parts = [ledger] if isinstance(ledger, pa.Table) else ledger
    records = _records(pick(pa.concat_tables([LEDGER_SCHEMA.empty_table(), *map(pick, parts)])))
    return _with_contents(records, parts, fetch, columns)


def warned_examples(
    wanted: Sequence[tuple[Note, Sequence[int]]],
    shown: Sequence[Example],
    ledger: Iterable[pa.Table],
    fetch: Callable[[list[int]], pa.Table],
    columns: Columns,
) -> list[list[Example]]:
    """Return, for each warning of a run, a few of the rows it is about, with their contents.

    Args:
        wanted: the warnings; to those of a class, the keys of rows of the class.
        shown: examples of each reason, from which those of a step are taken.
        ledger: in parts; gone through twice if there is a warning of a class or of labels.
        fetch: as for `examples`.
        columns: as for `examples`.
    """
    keys = pa.array(sorted({key for _, mine in wanted for key in mine}), pa.int64())
    steps = {note.step for note, _ in wanted if note.warning == "labels"}
    records: list[LedgerRecord] = []
    for part in ledger if len(keys) or steps else ():
        gone = part.filter(pc.is_in(part["fate"], pa.array([DROPPED, QUARANTINED])))
        differs = pc.fill_null(pc.match_substring(gone["detail"], OTHER_LABEL), False)
        records += _records(pick(gone.filter(differs)))
        records += _records(gone.filter(pc.is_in(gone["key"], keys)))
    unique = {(record.key, record.step): record for record in records}
    ordered = [unique[key] for key in sorted(unique)]
    found = _with_contents(ordered, ledger, fetch, columns)
    return [_shown_of(note, set(mine), found, shown) for note, mine in wanted]


def _shown_of(
    note: Note, keys: set[int], found: Sequence[Example], shown: Sequence[Example]
) -> list[Example]:
    """Return at most A_WARNING of the examples that one warning is about."""
    mine = [e for e in (shown if note.warning == "step" else found) if e.record.step == note.step]
    if note.warning == "class":
        mine = [e for e in mine if e.record.key in keys]
    elif note.warning == "labels":
        mine = [e for e in mine if OTHER_LABEL in (e.record.detail or "")]
        mine.sort(key=lambda e: xxhash.xxh3_64_intdigest(e.record.id.encode()))
    else:
        mine = [e for e in mine if e.record.fate == DROPPED]
    return mine[:A_WARNING]


def _with_contents(
    records: Sequence[LedgerRecord],
    parts: Iterable[pa.Table],
    fetch: Callable[[list[int]], pa.Table],
    columns: Columns,
) -> list[Example]:
    """Return records of a ledger with the contents of the rows that they are about and name."""
    others = pa.array(sorted({str(r.other) for r in records if _is_here(r)}), pa.string())
    key_of: dict[str, int] = {}
    for part in parts if len(others) else ():
        found = part.select(["id", "key"]).filter(pc.is_in(part["id"], others)).to_pydict()
        key_of |= dict(zip(found["id"], map(_original, found["key"]), strict=True))
    readable = [_original(r.key) for r in records if r.step > 0]
    rows = fetch(sorted({*readable, *key_of.values()})) if readable or key_of else None
    contents = {} if rows is None else _contents(rows, columns)
    return [
        Example(
            r,
            contents.get(_original(r.key)),
            contents.get(key_of.get(str(r.other), -1)) if _is_here(r) else None,
        )
        for r in records
    ]


def _records(table: pa.Table) -> list[LedgerRecord]:
    return [LedgerRecord(**row) for row in table.to_pylist()]


def _is_here(record: LedgerRecord) -> bool:
    """Tell whether a record names another row of this run: one of an earlier run is not here."""
    return bool(record.other) and EARLIER not in (record.detail or "")


def _original(key: int) -> int:
    """Return the key of the input row that a row is or was derived from."""
    return key & ~MAX_COPIES


def _contents(rows: pa.Table, columns: Columns) -> dict[int, Content]:
    def values(name: str | None) -> list[Any]:
        if name is None or name not in rows.column_names:
            return [None] * len(rows)
        return list(rows[name].to_pylist())

    found = {}
    for key, text, image, label in zip(
        rows[KEY].to_pylist(),
        values(columns.text),
        values(columns.image),
        values(columns.label),
        strict=True,
    ):
        data = image["bytes"] if isinstance(image, dict) else image
        found[key] = Content(text, data, None if label is None else str(label))
    return found
