"""Drop rows whose content equals that of another row, letter for letter."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.exchange.mail import Mail, Message, Round
from pipelines.maths.arrays import Int64, UInt64, utf8_bytes
from pipelines.rows import HOME, ID, KEY, Rows, whole
from pipelines.rows.chance import Chance
from pipelines.rows.keys import of_earlier_run
from pipelines.rows.merging import is_bytes, is_text
from pipelines.rows.texts import texts_of
from pipelines.steps.corpus import Site, post_by_hash, send_home, verdict_table
from pipelines.steps.dedup.against import Dedup
from pipelines.steps.dedup.clusters.conflicts import (
    labels_of,
    note_conflicts,
    settle_conflicts,
    unlabelled,
    with_conflicts,
)
from pipelines.steps.dedup.clusters.keepers import ROW_ID, earlier_detail, keeper_order

Ignorable = Literal["case", "space", "punctuation"]
_BYTES = 16
_STORED = ("_high", "_low")
_PUNCTUATION = r"[\pP$+<=>^`|~]+"
"""Unicode punctuation and the other signs of ASCII; emoji and other symbols carry meaning."""


class ExactDedup(Dedup):
    """Drop rows whose content equals that of a kept row.

    Content is compared by its 128-bit xxh3 digest; two nulls are equal, as in SQL's `distinct`.
    Values are equal whatever type their file gives them: 1 and 1.0, a moment in seconds and in
    nanoseconds, a number and a text of its digits. One shuffle of about 60 bytes per row. One of
    the equal rows is kept: see `prefer` and `keep`.
    Reason: `duplicate`, with the id of the kept row, or `label_conflict`: see `conflicts`.
    """

    op: Literal["exact_dedup"] = "exact_dedup"
    columns: tuple[str, ...] = ()
    """Columns that must be equal together; the text (or else the image) column if empty."""
    ignore: tuple[Ignorable, ...] = ()
    """Differences in text columns that do not count: case, punctuation, and space (a run of white
    space is one space). A text that consists of nothing else is compared as it is."""

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, digest (two 64-bit halves) and what decides the keeper."""
        high, low = self._digests(rows)
        return pa.table({KEY: rows.keys, "high": high, "low": low, **self.keeper_columns(rows)})

    def stored(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return id and digest of each row."""
        return pa.table(dict(zip((ID, *_STORED), (rows.ids, *self._digests(rows)), strict=True)))

    def _digests(self, rows: Rows) -> tuple[UInt64, UInt64]:
        if rows.are_earlier:
            high, low = (rows.column(name).to_numpy() for name in _STORED)
            return high, low
        names = self.columns or (rows.columns.text or rows.columns.image,)
        return digests([self._comparable(rows, name) for name in names])

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post signatures by digest."""
        signed = unlabelled(signed).append_column(HOME, pa.repeat(np.int64(number), len(signed)))
        return post_by_hash("digest", signed, signed["high"].to_numpy(), shards)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the one round: equal digests meet."""

        def solve(address: str, mail: Mail) -> Iterator[Message]:
            return self._solve(mail["digest"], site.chance.step)

        return (Round(("digest",), solve),)

    def _solve(self, table: pa.Table, step: int) -> Iterator[Message]:
        groups = groups_of_equals(table["high"].to_numpy(), table["low"].to_numpy())
        shared = groups >= 0
        table, groups = table.filter(pa.array(shared)), groups[shared]
        order = keeper_order(groups, table)
        table, groups = table.take(pa.array(order)), groups[order]
        first = np.ones(len(groups), dtype=np.bool_)
        first[1:] = groups[1:] != groups[:-1]
        keeper = np.flatnonzero(first)[np.cumsum(first) - 1]
        keys, rank = table[KEY].to_numpy(), np.arange(len(table))
        labels, known = labels_of(table)
        known &= ~of_earlier_run(keys[keeper])
        settled = settle_conflicts(keeper, rank, labels, known, self.conflicts)
        dropped, other = settled.other != rank, settled.other
        yield from note_conflicts(step, self.op, int(settled.differs.sum()), self.conflicts)
        verdicts = verdict_table(
            keys[dropped],
            "duplicate",
            value=1.0,
            threshold=1.0,
            other=whole(table[ROW_ID]).take(pa.array(other[dropped])),
            detail=earlier_detail(keys[other[dropped]]),
        )
        verdicts = with_conflicts(verdicts, settled.conflict[dropped], settled.differs[dropped])
        yield from send_home(verdicts, table[HOME].to_numpy()[dropped])

    def _comparable(self, rows: Rows, name: str | None) -> pa.Array:
        """Return a column as text or bytes that are the same where its values are; texts folded."""
        if name is not None and name == rows.columns.image:
            return rows.image_bytes
        values = rows.column(name, "text or image")
        if pa.types.is_dictionary(values.type):
            values = values.dictionary_decode()
        if is_bytes(values.type):
            return values.cast(pa.binary())
        if pa.types.is_date(values.type):  # a day equals the moment it begins
            values = values.cast(pa.timestamp("ms" if pa.types.is_date64(values.type) else "s"))
        texts = texts_of(values)
        return fold(texts, self.ignore) if is_text(values.type) else texts


def fold(texts: pa.Array, ignore: Iterable[Ignorable]) -> pa.Array:
    """Return texts without what is to be ignored; those that consist of nothing else stay whole."""
    folded = texts
    if "case" in ignore:
        folded = pc.utf8_lower(folded)
    if "punctuation" in ignore:
        folded = pc.replace_substring_regex(folded, _PUNCTUATION, "")
    if "space" in ignore:
        folded = pc.replace_substring_regex(folded, r"[\s\pZ]+", " ")
        folded = pc.utf8_trim_whitespace(folded)
    return pc.if_else(pc.equal(folded, ""), texts, folded)


def digests(columns: list[pa.Array]) -> tuple[UInt64, UInt64]:
    """Return the 128-bit digest of each row over some columns, as high and low halves."""
    parts = [_digest(column) for column in columns]
    if len(parts) > 1:
        rows = np.concatenate([part.view(np.uint8).reshape(-1, _BYTES) for part in parts], axis=1)
        parts = [_digest(pa.array([row.tobytes() for row in rows], pa.binary()))]
    return parts[0][:, 0].astype(np.uint64), parts[0][:, 1].astype(np.uint64)


def _digest(column: pa.Array) -> UInt64:
    """Return the digest of each text or bytes, big-endian, shape (n, 2); that of a null is 0."""
    digest = xxhash.xxh3_128_digest
    flat, offsets = utf8_bytes(column)
    data = memoryview(flat.data)
    raw = b"".join([digest(data[i:j]) for i, j in pairwise(offsets.tolist())])
    halves = np.frombuffer(raw, dtype=">u8").reshape(-1, 2).copy()
    if column.null_count:
        halves[column.is_null().to_numpy(zero_copy_only=False)] = 0
    return halves


def groups_of_equals(high: UInt64, low: UInt64) -> Int64:
    """Return a group number for each row that shares its digest with another, -1 for the rest."""
    groups = np.full(len(high), -1, dtype=np.int64)
    if not len(high):
        return groups
    order = np.lexsort((low, high))
    equal = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    numbers = np.cumsum(np.concatenate([[True], ~equal])) - 1
    groups[order] = np.where(np.bincount(numbers)[numbers] > 1, numbers, -1)
    return groups
