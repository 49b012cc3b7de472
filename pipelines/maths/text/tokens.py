r"""Word tokens of a batch of texts, found and hashed once in flat arrays and shared by all steps.

A token is what the regular expression `\w+` matches in the lowercased text, with the marks that
belong to its letters (vowel signs and accents of category M, zero-width joiners) and apostrophes
between letters, as Unicode's word boundaries have it (UAX #29); in scripts written without spaces
(Han, kana, Thai, Lao, Khmer, Burmese) each character is a token. Characters are lowercased one by
one, and only where that keeps their number of UTF-8 bytes: a final sigma is σ, and two dozen rare
capitals (İ, ẞ, the Kelvin sign, ...) stay as they are. The work is done on the UTF-8 bytes with
look-up tables; only characters outside ASCII are decoded.
"""

from __future__ import annotations

import functools
import unicodedata
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

_TABLED = 0x20000
"""Code points with an entry of their own; of those beyond, ideographs are all that are words."""
_IDEOGRAPHS = (0x20000, 0x32400)
_SELECTORS = (0xE0100, 0xE01F0)
"""Variation selectors, the only marks beyond."""
_APOSTROPHE, _CURLY = ord("'"), (0xE2, 0x80, 0x98, 0x99)
_OUTSIDE, _WORD, _ALONE, _MARK = 0, 1, 2, 3
_JOINERS = (0x200C, 0x200D)
"""Zero-width joiner and non-joiner: parts of words in Persian and in Indic scripts."""

_UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
)
"""Ranges of scripts that put no space between words: each character is a token of its own."""


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
    lower, starts, lengths, offsets = _scan(texts)
    return Tokens(hash_spans(lower, starts, lengths), offsets)


def token_spans(texts: pa.Array) -> tuple[Int64, Int64, Int64]:
    """Return where the tokens of `tokenize` stand, at half its cost.

    Returns:
        first byte and length in bytes of each token, in the bytes of all texts as `utf8_bytes`
        returns them; and the n + 1 offsets of the texts' tokens.
    """
    _, starts, lengths, offsets = _scan(texts)
    return starts, lengths, offsets


def _scan(texts: pa.Array) -> tuple[Bytes, Int64, Int64, Int64]:
    """Return the lowercased bytes and 16 spare ones, starts and lengths of tokens, and offsets."""
    raw, ends = utf8_bytes(texts)
    size = len(raw)
    lower = np.zeros(size + 16, dtype=np.uint8)
    if size == 0:
        none = np.empty(0, np.int64)
        return lower, none, none, np.zeros(len(texts) + 1, np.int64)
    np.take(_LOWER, raw, out=lower[:size])
    inside = np.zeros(size + 1, dtype=np.bool_)
    np.take(_IS_WORD, raw, out=inside[:size])
    cut = np.zeros(size + 1, dtype=np.bool_)
    cut[ends] = True
    _classify_beyond_ascii(raw, lower, inside, cut)
    _join_apostrophes(raw, inside, cut)

    begins = inside[:-1].copy()
    begins[1:] &= ~inside[:-2] | cut[1:-1]
    stops = inside[:-1] & (~inside[1:] | cut[1:])
    starts = np.flatnonzero(begins)
    lengths = np.flatnonzero(stops) - starts + 1
    return lower, starts, lengths, np.searchsorted(starts, ends)


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


def _classify_beyond_ascii(raw: Bytes, lower: Bytes, inside: Mask, cut: Mask) -> None:
    """Mark and lowercase the characters of two to four bytes, in place."""
    lead = np.flatnonzero(raw >= 0xC0)
    if not lead.size:
        return
    byte = raw[lead]
    width = 2 + (byte >= 0xE0).astype(np.int64) + (byte >= 0xF0)
    point = byte.astype(np.int64) & (0x7F >> width)
    for i in range(1, 4):
        more = width > i
        point[more] = point[more] << 6 | raw[lead[more] + i] & 0x3F
    kinds, lowered = _unicode_tables()
    entry = np.minimum(point, _TABLED)
    kind = kinds[entry]
    kind[(point >= _IDEOGRAPHS[0]) & (point < _IDEOGRAPHS[1])] = _ALONE
    kind[(point >= _SELECTORS[0]) & (point < _SELECTORS[1])] = _MARK
    for i in range(4):
        at = lead[((kind == _WORD) | (kind == _ALONE)) & (width > i)] + i
        inside[at] = True
    alone = kind == _ALONE
    cut[lead[alone]] = True
    cut[lead[alone] + width[alone]] = True
    marks = kind == _MARK
    if marks.any():
        _join_marks(lead[marks], width[marks], inside, cut)

    small = lowered[entry]
    small[point >= _TABLED] = point[point >= _TABLED]
    for w in (2, 3, 4):
        changed = (small != point) & (width == w)
        at, to = lead[changed], small[changed]
        for i in range(w - 1, 0, -1):
            lower[at + i] = 0x80 | to & 0x3F
            to = to >> 6
        lower[at] = (0xC0, 0xE0, 0xF0)[w - 2] | to


def _join_marks(lead: Int64, width: Int64, inside: Mask, cut: Mask) -> None:
    """Let marks that follow a word, or marks of a word, belong to it."""
    follows = np.zeros(len(lead), dtype=np.bool_)
    follows[1:] = (lead[1:] == lead[:-1] + width[:-1]) & ~cut[lead[1:]]
    joins = (lead > 0) & inside[lead - 1] & ~cut[lead]
    first = np.maximum.accumulate(np.where(follows, 0, np.arange(len(lead))))
    joined = joins[first]
    for i in range(4):
        inside[lead[joined & (width > i)] + i] = True


def _join_apostrophes(raw: Bytes, inside: Mask, cut: Mask) -> None:
    """Let an apostrophe between two letters belong to their word: `don't`, `l’homme`."""
    quotes = np.flatnonzero(raw == _APOSTROPHE)
    _join(quotes, 1, inside, cut)
    curly = np.flatnonzero(raw[:-2] == _CURLY[0])
    if curly.size:
        curly = curly[(raw[curly + 1] == _CURLY[1]) & np.isin(raw[curly + 2], _CURLY[2:])]
        _join(curly, len("’".encode()), inside, cut)


def _join(at: Int64, width: int, inside: Mask, cut: Mask) -> None:
    """Mark the characters of `width` bytes at `at` that stand between two parts of words."""
    at = at[(at > 0) & ~cut[at]]
    at = at[inside[at - 1] & inside[at + width] & ~cut[at + width]]
    for i in range(width):
        inside[at + i] = True


@functools.cache
def _unicode_tables() -> tuple[Bytes, Int64]:
    """Return kind and lowercase of each code point of the first two planes, then of those beyond.

    Lowercase only where it is one character of the same number of UTF-8 bytes.
    """
    kinds = np.zeros(_TABLED + 1, dtype=np.uint8)
    lowered = np.arange(_TABLED + 1, dtype=np.int64)
    for point in range(0x80, _TABLED):
        if 0xD800 <= point < 0xE000:
            continue
        char = chr(point)
        if not char.isalnum():
            if unicodedata.category(char)[0] == "M" or point in _JOINERS:
                kinds[point] = _MARK
            continue
        kinds[point] = _WORD
        small = char.lower()
        if len(small) == 1 and len(small.encode()) == len(char.encode()):
            lowered[point] = ord(small)
    for first, last in _UNSPACED:
        for point in range(first, last + 1):
            if unicodedata.category(chr(point))[0] in "LMN":
                kinds[point] = _ALONE
    return kinds, lowered


_IS_WORD = np.array([chr(b).isalnum() or chr(b) == "_" if b < 128 else False for b in range(256)])
_LOWER = np.array([ord(chr(b).lower()) if b < 128 else b for b in range(256)], dtype=np.uint8)
