r"""Word tokens of a batch of texts, found and hashed once in flat arrays and shared by all steps.

A token is what the regular expression `\w+` matches in the lowercased text, with what belongs to it
by Unicode's word boundaries (UAX #29): marks (vowel signs and accents of category M, zero-width
joiners), invisible format characters (a soft hyphen), and between letters an apostrophe, a middle
dot or the Hebrew gershayim. In scripts written without spaces (Han, kana, Thai, Lao, Khmer,
Burmese) each character, with its marks, is a token. Tokens that differ in format characters or in
the form of their apostrophes (`don’t`, `don't`) have one hash. Characters are lowercased one by
one, and only where that keeps their number of UTF-8 bytes: a final sigma is σ, and two dozen rare
capitals (İ, ẞ, the Kelvin sign, ...) stay as they are. The work is done on the UTF-8 bytes with
look-up tables; only characters outside ASCII are decoded.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import (
    ODD,
    Bytes,
    Int64,
    Mask,
    UInt64,
    hash_spans,
    mix,
    offsets_of,
    utf8_bytes,
)
from pipelines.maths.text.beyond_ascii import (
    classify_beyond,
    hebrew_quotes,
    join_letters,
    lowercase_beyond,
    unify_apostrophes,
)

_APOSTROPHE = ord("'")


@dataclass(frozen=True)
class Tokens:
    """Tokens of n texts: `hashes[offsets[i]:offsets[i + 1]]` are those of text i, in order."""

    hashes: UInt64
    offsets: Int64

    @property
    def counts(self) -> Int64:
        """Number of tokens per text, shape (n,)."""
        return np.diff(self.offsets)

    def filter(self, keep: Mask) -> Tokens:
        """Return the tokens of the texts where `keep` holds."""
        counts = self.counts
        hashes = self.hashes[np.repeat(keep, counts)]
        return Tokens(hashes, offsets_of(counts[keep]))


def tokenize(texts: pa.Array) -> Tokens:
    """Find and hash the tokens of a string array; a null has none."""
    lower, starts, lengths, offsets, unhashed = _scan(texts)
    if unhashed.size:
        lower, starts, lengths = _without(unhashed, lower, starts, lengths)
    return Tokens(hash_spans(lower, starts, lengths), offsets)


def token_spans(texts: pa.Array) -> tuple[Int64, Int64, Int64]:
    """Return where the tokens of `tokenize` stand, at half its cost.

    Returns:
        first byte and length in bytes of each token, in the bytes of all texts as `utf8_bytes`
        returns them; and the n + 1 offsets of the texts' tokens.
    """
    _, starts, lengths, offsets, _ = _scan(texts)
    return starts, lengths, offsets


def _scan(texts: pa.Array) -> tuple[Bytes, Int64, Int64, Int64, Int64]:
    """Return the lowercased bytes and 16 spare ones; starts, lengths and offsets of the tokens.

    Last come the ascending positions of bytes inside tokens that their hashes leave out.
    """
    raw, ends = utf8_bytes(texts)
    size = len(raw)
    lower = np.zeros(size + 16, dtype=np.uint8)
    unhashed = np.empty(0, np.int64)
    if size == 0:
        return lower, unhashed, unhashed, np.zeros(len(texts) + 1, np.int64), unhashed
    np.take(_LOWER, raw, out=lower[:size])
    inside = np.zeros(size + 1, dtype=np.bool_)
    np.take(_IS_WORD, raw, out=inside[:size])
    cut = np.zeros(size + 1, dtype=np.bool_)
    cut[ends] = True
    found = classify_beyond(raw, inside, cut)
    if found.lead.size:
        lowercase_beyond(found, lower)
        unhashed = unify_apostrophes(found, lower, inside)
        join_letters(hebrew_quotes(raw), 1, inside, cut)
    join_letters(np.flatnonzero(raw == _APOSTROPHE), 1, inside, cut)

    begins = inside[:-1].copy()
    begins[1:] &= ~inside[:-2] | cut[1:-1]
    stops = inside[:-1] & (~inside[1:] | cut[1:])
    starts = np.flatnonzero(begins)
    lengths = np.flatnonzero(stops) - starts + 1
    return lower, starts, lengths, np.searchsorted(starts, ends), unhashed


def _without(
    unhashed: Int64, lower: Bytes, starts: Int64, lengths: Int64
) -> tuple[Bytes, Int64, Int64]:
    """Return the bytes with a copy, without what is unhashed, of each token that has any."""
    changed = np.unique(np.searchsorted(starts, unhashed, side="right") - 1)
    begins, sizes = starts[changed], lengths[changed]
    ends = offsets_of(sizes)
    at = np.arange(ends[-1]) + np.repeat(begins - ends[:-1], sizes)
    keep = np.isin(at, unhashed, invert=True)
    kept = offsets_of(keep)[ends]
    starts, lengths = starts.copy(), lengths.copy()
    starts[changed] = len(lower) + kept[:-1]
    lengths[changed] = np.diff(kept)
    return np.concatenate([lower, lower[at[keep]], np.zeros(16, np.uint8)]), starts, lengths


def shingles(tokens: Tokens, size: int) -> Tokens:
    """Return the hash of each window of `size` consecutive tokens.

    A text of fewer tokens has one shingle, made of all its tokens; a text without tokens has none,
    so that it is similar to nothing.
    """
    odd = np.uint64(ODD)
    counts, first = tokens.counts, tokens.offsets[:-1]
    padded = np.concatenate([tokens.hashes, np.zeros(size, np.uint64)])
    total = len(tokens.hashes)
    window = np.zeros(total, dtype=np.uint64)
    for i in range(size):
        window *= odd
        window += padded[i : i + total]
    short = np.flatnonzero((counts < size) & (counts > 0))
    valid = np.ones(total, dtype=np.bool_)
    for back in range(1, size):  # the last size - 1 tokens of a text start no window
        at = tokens.offsets[1:][counts >= back] - back
        valid[at] = False
    if short.size:
        whole_text = np.zeros(short.size, dtype=np.uint64)
        for i in range(size):
            at = np.minimum(first[short] + i, total - 1)
            whole_text = whole_text * odd + np.where(
                i < counts[short], tokens.hashes[at], np.uint64(0)
            )
        window[first[short]] = whole_text
        valid[first[short]] = True
    hashes = mix(window[valid])
    per_text = np.where(counts >= size, counts - size + 1, np.minimum(counts, 1))
    return Tokens(hashes, offsets_of(per_text))


_IS_WORD = np.array([chr(b).isalnum() or chr(b) == "_" if b < 128 else False for b in range(256)])
_LOWER = np.array([ord(chr(b).lower()) if b < 128 else b for b in range(256)], dtype=np.uint8)
