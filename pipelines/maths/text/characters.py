"""Characters of a batch of texts as tokens, for shingles of characters.

A character is a Unicode code point of the text after simple case folding (one code point for one:
ẞ is ß, which stays as it is; ς and Σ are σ) and with each run of white space (that of `str.split`)
made one space, with none at either end. No Python runs per row.
"""

import functools

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Int64, Mask, UInt32, mix, offsets_of, utf8_bytes
from pipelines.maths.text.tokens import Tokens

_TABLED = 0x20000
"""Code points with an entry of their own; those beyond have no case and are no white space."""
_SPACE = np.uint32(0x20)
_CONTINUES, _TOP_BITS = 0x80, 0xC0
"""Bytes after the first of a character in UTF-8 begin with the bits 10."""


def character_tokens(texts: pa.Array) -> Tokens:
    """Return a hash of each character of a string array; a null has none."""
    points, offsets = characters(texts)
    return Tokens(mix(points.astype(np.uint64) + np.uint64(1)), offsets)


def characters(texts: pa.Array) -> tuple[UInt32, Int64]:
    """Return the code points of all texts, folded and collapsed, and the n + 1 offsets of texts."""
    raw, ends = utf8_bytes(texts)
    points = np.frombuffer(raw.tobytes().decode().encode("utf-32-le"), "<u4")
    if len(points) < len(raw):
        ends = offsets_of(raw & _TOP_BITS != _CONTINUES)[ends]
    folded, is_blank = _fold_tables()
    entry = np.minimum(points, _TABLED)
    blank = is_blank[entry]
    small = np.where(entry < _TABLED, folded[entry], points)
    small[blank] = _SPACE

    keep = ~blank
    keep[1:] |= ~blank[:-1]  # the first blank of a run
    filled = np.flatnonzero(np.diff(ends))
    keep[ends[:-1][filled]] &= ~blank[ends[:-1][filled]]
    small, offsets = _kept(small, ends, keep)
    filled = np.flatnonzero(np.diff(offsets))
    last = offsets[1:][filled] - 1
    keep = np.ones(len(small), dtype=np.bool_)
    keep[last] = small[last] != _SPACE
    return _kept(small, offsets, keep)


def _kept(points: UInt32, offsets: Int64, keep: Mask) -> tuple[UInt32, Int64]:
    """Return the points where `keep` holds, and their offsets."""
    return points[keep], offsets_of(keep)[offsets]


@functools.cache
def _fold_tables() -> tuple[UInt32, Mask]:
    """Return the folded code point, and whether it is white space, of the first two planes."""
    folded = np.arange(_TABLED + 1, dtype=np.uint32)
    blank = np.zeros(_TABLED + 1, dtype=np.bool_)
    for point in range(_TABLED):
        char = chr(point)
        blank[point] = char.isspace()
        for small in (char.casefold(), char.lower()):
            if len(small) == 1:
                folded[point] = ord(small)
                break
    return folded, blank
