"""Cut out runs of words that the corpus has twice, wherever they begin."""

from collections.abc import Iterator, Mapping
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
from pipelines.maths.arrays import hash_strings, offsets_of
from pipelines.maths.text.spans import bytes_of_tokens, equal_runs, merged
from pipelines.maths.text.winnowing import gram_size, least_hashes, runs_of, selected, window_hashes
from pipelines.rows import HOME, KEY, Rows, whole
from pipelines.rows.chance import Chance
from pipelines.rows.views import tokens_of
from pipelines.steps.corpus import Site, post_by_hash, send_home, verdict_table
from pipelines.steps.dedup.cuts import TextCutter, of_so_many


class SubstringDedup(TextCutter):
    """Cut out every run of `tokens` words that the corpus has more than once, except one copy.

    Words are compared in lower case and without what stands between them. Each window of `tokens`
    words that occurs twice is found, in two rows or in one; 64-bit hashes of n windows mistake
    n²/2^65 pairs (0.03 for a billion). The copy that stays is in the row that comes first by a hash
    of the ids, and is the first in that row. The words of all other copies are cut, so that one
    period is left of a text that repeats itself. The two ends of a cut may join to a new run that
    the corpus has already.

    This is ExactSubstr of Lee et al. 2022, "Deduplicating Training Data Makes Language Models
    Better", by hashes instead of a suffix array: winnowing posts 24 bytes for one word in 13, and
    only windows whose fingerprint occurs twice post 8 to 10 bytes each. A partition holds the
    windows of all copies of its fingerprints; to post less, drop repeated rows before
    (`exact_dedup`). Reasons: `nothing_left`, with the number of words left; `repeated`, with the
    share of repeated words.
    """

    op: Literal["substring_dedup"] = "substring_dedup"
    after_sign: ClassVar[tuple[str, ...]] = ("keep", "action", "drop_share", "rest_at_least")

    tokens: int = Field(default=50, ge=4)
    """Words of the shortest run that counts as repeated (in Chinese, Thai, ... each character is a
    word)."""
    keep: Literal["first", "none"] = "first"
    """Whether one copy of what is repeated stays, or none does."""
    action: Literal["cut", "drop"] = "cut"
    """Whether repeated runs are cut out of texts, or texts with too many of them are dropped."""
    drop_share: float = Field(default=0.5, gt=0, le=1)
    """With `action: drop`, a row is dropped if at least this share of its words would be cut."""

    def adds(self) -> tuple[str, ...]:
        """Return the column that counts the characters cut."""
        return super().adds() if self.action == "cut" else ()

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key and hash of each fingerprint."""
        tokens = tokens_of(rows)
        at, hashes = selected(tokens, self.tokens)
        texts = np.searchsorted(tokens.offsets, at, side="right") - 1
        return pa.table({KEY: rows.keys[texts], "hash": hashes})

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post each fingerprint of a shard once, and to the shard itself those it has twice."""
        hashes = signed["hash"].to_numpy()
        order = np.argsort(hashes, kind="stable")
        opens, counts = equal_runs(hashes[order])
        several = counts > 1
        known = signed.take(pa.array(order[np.repeat(several, counts)]))
        if len(known):
            yield message(home(number), "repeated", known)
        first = signed.take(pa.array(order[opens]))
        first = first.append_column(HOME, pa.repeat(np.int64(number), len(first)))
        first = first.append_column("several", pa.array(several))
        yield from post_by_hash("fingerprint", first, hashes[order][opens], shards)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return four rounds: fingerprints meet, shards post windows, these meet, rows are cut."""

        def windows(address: str, mail: Mail) -> Iterator[Message]:
            return self._windows(site, home_number(address), mail["repeated"])

        def cut(address: str, mail: Mail) -> Iterator[Message]:
            return self._cut(site, home_number(address), mail["span"])

        return (
            Round(("fingerprint",), _repeated),
            Round(("repeated",), windows),
            Round(("window",), self._meet),
            Round(("span",), cut),
        )

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Say how much was repeated."""
        spans, words, size = (measured.get(name, 0) for name in ("spans", "words", "bytes"))
        return (
            f"{spans:,.0f} repeated runs of {words:,.0f} words in all ({size / 1e6:,.1f} MB) were "
            f"cut, or went with rows of which too little was left"
        )

    def _windows(self, site: Site, number: int, repeated: pa.Table) -> Iterator[Message]:
        """Post the windows of one shard whose least gram is repeated, one line per run of them.

        Equal windows have the same least gram, by whose hash they are sent, so that they meet.
        """
        known = np.unique(repeated["hash"].to_numpy())
        for rows in site.rows(number, np.unique(repeated[KEY].to_numpy())):
            tokens = tokens_of(rows)
            grams = window_hashes(tokens.hashes, gram_size(self.tokens))
            least = least_hashes(tokens, grams, self.tokens)
            starts, lengths = runs_of(tokens, least)
            place = np.minimum(np.searchsorted(known, least[starts]), len(known) - 1)
            found = known[place] == least[starts]
            starts, lengths = starts[found], lengths[found]
            texts = np.searchsorted(tokens.offsets, starts, side="right") - 1
            offsets = offsets_of(lengths)
            at = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
            hashes = window_hashes(tokens.hashes, self.tokens)[at]
            posted = pa.table(
                {
                    KEY: rows.keys[texts],
                    HOME: pa.repeat(np.int64(number), len(starts)),
                    "rank": hash_strings(rows.ids)[texts],
                    "start": (starts - tokens.offsets[texts]).astype(np.int32),
                    "windows": pa.ListArray.from_arrays(offsets.astype(np.int32), pa.array(hashes)),
                }
            )
            yield from post_by_hash("window", posted, least[starts], site.shards)

    def _meet(self, address: str, mail: Mail) -> Iterator[Message]:
        """Tell rows which spans of their tokens are cut: all that are repeated, except one copy."""
        # Sorted, so that the first of equal windows is in the row of the smallest rank.
        lines = mail["window"].sort_by([(n, "ascending") for n in ("rank", KEY, "start")])
        lists = whole(lines["windows"])
        hashes, offsets = lists.flatten().to_numpy(), offsets_of(lists.value_lengths())
        order = np.argsort(hashes)
        opens, counts = equal_runs(hashes[order])
        cut = np.zeros(len(hashes), dtype=np.bool_)
        cut[order[np.repeat(counts > 1, counts)]] = True
        if self.keep == "first":
            cut[np.minimum.reduceat(order, opens)] = False
        # Neighbouring windows of a run that are cut are one span.
        first = cut.copy()
        first[1:] &= ~cut[:-1]
        first[offsets[:-1]] = cut[offsets[:-1]]
        last = cut.copy()
        last[:-1] &= ~cut[1:]
        last[offsets[1:] - 1] = cut[offsets[1:] - 1]
        at, end = np.flatnonzero(first), np.flatnonzero(last)
        run = np.searchsorted(offsets, at, side="right") - 1
        start = lines["start"].to_numpy()[run] + at - offsets[run]
        spans = {KEY: lines[KEY].to_numpy()[run], "start": start}
        spans["stop"] = start + end - at + self.tokens
        for to, part in scatter(pa.table(spans), lines[HOME].to_numpy()[run], home):
            yield message(to, "span", part)

    def _cut(self, site: Site, number: int, spans: pa.Table) -> Iterator[Message]:
        """Find the bytes to cut in the rows of one shard, or the rows to drop."""
        keys, at = np.unique(spans[KEY].to_numpy(), return_inverse=True)
        at, first, after = merged(at, spans["start"].to_numpy(), spans["stop"].to_numpy())
        repeated = np.bincount(at, weights=after - first).astype(np.int64)
        figures = dict.fromkeys(("spans", "words", "bytes"), 0)
        for rows in site.rows(number, keys):
            here = np.searchsorted(keys, rows.keys)
            own = np.full(len(keys), -1)
            own[here] = np.arange(len(rows))
            mine = own[at] >= 0
            texts = own[at[mine]]
            starts, stops, words = bytes_of_tokens(rows.text, texts, first[mine], after[mine])
            lost = repeated[here]
            detail = of_so_many(lost, words, "words stand elsewhere")
            if self.action == "drop":
                share = lost / words
                verdicts = verdict_table(
                    rows.keys, "repeated", value=share, threshold=self.drop_share, detail=detail
                ).filter(pa.array(share >= self.drop_share))
                yield from send_home(verdicts, np.full(len(verdicts), number))
                continue
            edits = pa.table({KEY: rows.keys[texts], "start": starts, "stop": stops})
            yield from self.settle(number, rows.keys, words - lost, detail, edits)
            figures["spans"] += len(starts)
            figures["words"] += int(lost.sum())
            figures["bytes"] += int((stops - starts).sum())
        if self.action == "cut":
            yield measure(site.chance.step, **figures)


def _repeated(address: str, mail: Mail) -> Iterator[Message]:
    """Tell shards which of their fingerprints other shards have too."""
    table = mail["fingerprint"]
    order = np.argsort(table["hash"].to_numpy(), kind="stable")
    _, counts = equal_runs(table["hash"].to_numpy()[order])
    table = table.take(pa.array(order[np.repeat(counts > 1, counts)]))
    table = table.filter(pa.array(~table["several"].to_numpy()))  # the others know already
    for to, part in scatter(table.select([KEY, "hash"]), table[HOME].to_numpy(), home):
        yield message(to, "repeated", part)
