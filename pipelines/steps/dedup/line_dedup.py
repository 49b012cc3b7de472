"""Cut out lines or paragraphs that other rows have too: boilerplate, menus, quoted passages."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.exchange.mail import (
    Mail,
    Message,
    Round,
    home,
    home_number,
    measure,
    message,
    scatter,
)
from pipelines.maths.arrays import Int64, UInt64, hash_strings, utf8_bytes
from pipelines.maths.text.line_units import Units, split_lines, split_paragraphs
from pipelines.maths.text.spans import equal_runs, pieces
from pipelines.maths.text.tokens import token_spans
from pipelines.rows import HOME, KEY, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import Site, post_by_hash
from pipelines.steps.dedup.cuts import TextCutter, of_so_many
from pipelines.steps.dedup.exact_dedup import Ignorable, fold


@dataclass(frozen=True)
class Lines:
    """The lines or paragraphs of some texts that are long enough to be compared."""

    units: Units
    words: Int64
    """Words of each unit."""
    counts: Int64
    """Words of each text."""
    long: Int64
    """Positions of the units that are compared."""
    hashes: UInt64
    """Their hashes."""


class LineDedup(TextCutter):
    """Cut out lines or paragraphs that stand in other rows too.

    Units (lines or paragraphs) are equal if their 64-bit hashes are: among n different ones,
    n²/2^65 pairs are cut by mistake (0.03 for a billion). One shuffle of 32 bytes per unit; all
    rows with the same unit meet in one place. One row keeps a unit, with all its repeats: the first
    by a hash of the ids, so that a row which is the first for all its units stays whole. Reason:
    `nothing_left`, with the number of words left.

    After the deduplication of lines of C4 (Raffel et al. 2020) and RefinedWeb (Penedo et al. 2023),
    and of paragraphs of CCNet (Wenzek et al. 2020) and Dolma (Soldaini et al. 2024).
    """

    op: Literal["line_dedup"] = "line_dedup"
    after_sign: ClassVar[tuple[str, ...]] = ("keep", "copies", "rest_at_least")

    unit: Literal["line", "paragraph"] = "line"
    """What is compared and cut; paragraphs are separated by blank lines."""
    ignore: tuple[Ignorable, ...] = ()
    """Differences that do not count: case, punctuation, and space (a run of white space is one
    space). A unit that consists of nothing else is compared as it is."""
    keep: Literal["first", "none"] = "first"
    """Whether one row keeps the unit, or none does."""
    copies: int = Field(default=2, ge=2)
    """Number of rows that must have a unit for it to be cut. A greater number cuts boilerplate
    alone."""
    shortest: int = Field(default=3, ge=1)
    """Fewest words of a unit that may be cut; shorter and empty ones stay."""

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key and rank of the row, and the unit's hash, for each different unit of a row."""
        lines = self._lines(rows.text)
        texts = lines.units.texts[lines.long]
        order = np.lexsort((lines.hashes, texts))
        texts, hashes = texts[order], lines.hashes[order]
        new = np.ones(len(order), dtype=np.bool_)
        new[1:] = (texts[1:] != texts[:-1]) | (hashes[1:] != hashes[:-1])
        texts, hashes = texts[new], hashes[new]
        ranks = hash_strings(rows.ids)[texts]
        return pa.table({KEY: rows.keys[texts], "hash": hashes, "rank": ranks})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the units by hash."""
        signed = signed.append_column(HOME, pa.repeat(np.int64(number), len(signed)))
        return post_by_hash("line", signed, signed["hash"].to_numpy(), shards)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return two rounds: equal units meet; rows are told what they lose."""

        def cut(address: str, mail: Mail) -> Iterator[Message]:
            return self._cut(site, home_number(address), mail["cut"])

        return (Round(("line",), self._meet), Round(("cut",), cut))

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Say how much was repeated."""
        units, size = (measured.get(name, 0) for name in ("units", "bytes"))
        return (
            f"{units:,.0f} repeated {self.unit}s ({size / 1e6:,.1f} MB) were cut, or went with "
            f"rows of which too little was left"
        )

    def _meet(self, address: str, mail: Mail) -> Iterator[Message]:
        """Tell all rows with a unit that is repeated often enough, except the one that keeps it."""
        table = mail["line"]
        hashes = table["hash"].to_numpy()
        order = np.argsort(hashes)
        _, counts = equal_runs(hashes[order])
        repeated = np.repeat(counts >= self.copies, counts)
        table, counts = table.take(pa.array(order[repeated])), counts[counts >= self.copies]
        if self.keep == "first":
            groups = np.repeat(np.arange(len(counts)), counts)
            ranked = np.lexsort((table[KEY].to_numpy(), table["rank"].to_numpy(), groups))
            keepers = ranked[np.cumsum(counts) - counts]
            others = np.ones(len(table), dtype=np.bool_)
            others[keepers] = False
            table = table.filter(pa.array(others))
        for to, part in scatter(table.select([KEY, "hash"]), table[HOME].to_numpy(), home):
            yield message(to, "cut", part)

    def _cut(self, site: Site, number: int, cut: pa.Table) -> Iterator[Message]:
        """Find the units to cut in the rows of one shard."""
        keys, at = np.unique(cut[KEY].to_numpy(), return_inverse=True)
        hashes, code = np.unique(cut["hash"].to_numpy(), return_inverse=True)
        wanted = np.sort(at * len(hashes) + code)
        figures = dict.fromkeys(("units", "bytes"), 0)
        for rows in site.rows(number, keys):
            lines = self._lines(rows.text)
            units, texts = lines.units, lines.units.texts
            row = np.searchsorted(keys, rows.keys)[texts[lines.long]]
            place = np.minimum(np.searchsorted(hashes, lines.hashes), len(hashes) - 1)
            met = hashes[place] == lines.hashes
            met &= np.isin(row * len(hashes) + place, wanted)
            out = np.zeros(len(texts), dtype=np.bool_)
            out[lines.long[met]] = True
            _, bounds = utf8_bytes(rows.text)
            spans, starts, stops = units.gaps(out)
            lost = np.bincount(texts, weights=lines.words * out, minlength=len(rows))
            detail = of_so_many(
                np.bincount(texts[out], minlength=len(rows)),
                np.diff(units.offsets),
                f"{self.unit}s stand elsewhere",
            )
            starts, stops = starts - bounds[spans], stops - bounds[spans]
            edits = pa.table({KEY: rows.keys[spans], "start": starts, "stop": stops})
            left = lines.counts - lost.astype(np.int64)
            yield from self.settle(number, rows.keys, left, detail, edits)
            figures["units"] += int(out.sum())
            figures["bytes"] += int((stops - starts).sum())
        yield measure(site.chance.step, **figures)

    def _lines(self, texts: pa.Array) -> Lines:
        """Find, fold and hash the units of some texts."""
        units = split_lines(texts) if self.unit == "line" else split_paragraphs(texts)
        starts, _, offsets = token_spans(texts)
        first, last = (np.searchsorted(starts, edge) for edge in (units.starts, units.stops))
        long = np.flatnonzero(last - first >= self.shortest)
        strings = pieces(texts, units.starts[long], units.stops[long])
        hashes = hash_strings(fold(strings, self.ignore))
        return Lines(units, last - first, np.diff(offsets), long, hashes)
