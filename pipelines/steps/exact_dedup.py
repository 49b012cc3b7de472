"""Drop rows whose content stands elsewhere, letter for letter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from pipelines.keepers import ROW_ID, credentials, keeper_order
from pipelines.mail import Mail, Message, Round, message, scatter
from pipelines.rows import KEY, Rows
from pipelines.steps.corpus import HOME, Corpus, Site, send_home, verdict_table
from pipelines.steps.step import Chance

Ignorable = Literal["case", "space", "punctuation"]


class ExactDedup(Corpus):
    """Drop rows whose content equals that of a kept row.

    Content is compared by its 128-bit xxh3 digest. One shuffle of about 60 bytes a row. Of equal
    rows the one with the highest `prefer`, then the longest, then the smallest id is kept.
    Reason: `duplicate`, with the id of the kept row.
    """

    op: Literal["exact_dedup"] = "exact_dedup"
    columns: tuple[str, ...] = ()
    """Columns that must be equal together; the text (or else the image) column if empty."""
    ignore: tuple[Ignorable, ...] = ()
    """Differences that do not count, in text columns: case, space, punctuation."""
    prefer: str | None = None
    """Numeric column of which the row with the highest value is kept."""

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, digest (two 64-bit halves) and what decides the keeper."""
        high, low = digests([self._comparable(rows, name) for name in self._names(rows)])
        return pa.table(
            {KEY: rows.keys, "high": high, "low": low, **credentials(rows, self.prefer)}
        )

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post signatures by digest."""
        signed = signed.append_column(HOME, pa.repeat(np.int64(number), len(signed)))
        partition = signed["high"].to_numpy() % np.uint64(max(1, min(shards, 512)))
        for address, table in scatter(signed, partition, lambda p: f"digest:{p}"):
            yield message(address, "digest", table)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the one round: equal digests meet."""
        return (Round(("digest",), self._solve),)

    def _solve(self, address: str, mail: Mail) -> Iterable[Message]:
        table = mail["digest"]
        groups = groups_of_equals(table["high"].to_numpy(), table["low"].to_numpy())
        shared = groups >= 0
        table, groups = table.filter(pa.array(shared)), groups[shared]
        order = keeper_order(groups, table)
        table, groups = table.take(pa.array(order)), groups[order]
        first = np.ones(len(groups), dtype=np.bool_)
        first[1:] = groups[1:] != groups[:-1]
        keeper = np.flatnonzero(first)[np.cumsum(first) - 1]
        dropped = ~first
        verdicts = verdict_table(
            table[KEY].to_numpy()[dropped],
            "duplicate",
            value=1.0,
            threshold=1.0,
            other=table[ROW_ID].combine_chunks().take(pa.array(keeper[dropped])),
        )
        return send_home(verdicts, table[HOME].to_numpy()[dropped])

    def _names(self, rows: Rows) -> list[str | None]:
        if self.columns:
            return list(self.columns)
        return [rows.columns.text or rows.columns.image]

    def _comparable(self, rows: Rows, name: str | None) -> pa.Array:
        values = rows.image_bytes if name and name == rows.columns.image else rows.column(name)
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            return fold(values, self.ignore)
        return values


def fold(texts: pa.Array, ignore: Iterable[Ignorable]) -> pa.Array:
    """Return texts without the differences to be ignored."""
    if "case" in ignore:
        texts = pc.utf8_lower(texts)
    if "punctuation" in ignore:
        texts = pc.replace_substring_regex(texts, r"[\pP\pS]+", "")
    if "space" in ignore:
        texts = pc.utf8_trim_whitespace(pc.replace_substring_regex(texts, r"[\s\pZ]+", " "))
    return texts


def digests(columns: list[pa.Array]) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return the 128-bit digest of each row over some columns, as high and low halves."""
    n = len(columns[0])
    digest = xxhash.xxh3_128_digest
    plain = len(columns) == 1 and (
        pa.types.is_string(columns[0].type) or pa.types.is_binary(columns[0].type)
    )
    if plain:
        values = columns[0].cast(pa.binary())
        raw = b"".join(digest(v.as_buffer()) if v.is_valid else bytes(16) for v in values)
    else:
        rows = zip(*(column.to_pylist() for column in columns), strict=True)
        raw = b"".join(digest(repr(row).encode()) for row in rows)
    halves = np.frombuffer(raw, dtype=">u8").reshape(n, 2)
    return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)


def groups_of_equals(
    high: npt.NDArray[np.uint64], low: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int64]:
    """Return a group number for each row that shares its digest with another, -1 for the rest."""
    order = np.lexsort((low, high))
    equal = (high[order][1:] == high[order][:-1]) & (low[order][1:] == low[order][:-1])
    starts = np.concatenate([[True], ~equal]) if len(order) else np.empty(0, np.bool_)
    numbers = np.cumsum(starts) - 1
    sizes = np.bincount(numbers) if len(order) else np.empty(0, np.int64)
    groups = np.full(len(order), -1, dtype=np.int64)
    groups[order] = np.where(sizes[numbers] > 1, numbers, -1) if len(order) else -1
    return groups
