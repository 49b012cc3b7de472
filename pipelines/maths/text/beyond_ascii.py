"""Which characters outside ASCII are parts of words, in the UTF-8 bytes of a batch of texts.

Unicode's word boundaries (UAX #29) decide what belongs to a word besides letters and digits. Where
a script puts no space between words (Han, kana, Thai, Lao, Khmer, Burmese) each character stands
alone, with its marks.
"""

import functools
import unicodedata
from dataclasses import dataclass

import numpy as np

from pipelines.maths.arrays import Bytes, Int64, Mask

_TABLED = 0x20000
"""Code points with an entry of their own; of those beyond, ideographs are all that are words."""
_IDEOGRAPHS = (0x20000, 0x32400)
_SELECTORS = (0xE0100, 0xE01F0)
"""Variation selectors, the only marks beyond."""
_OUTSIDE, _WORD, _ALONE, _MARK, _FORMAT, _INNER = range(6)

UNSPACED = (
    (0x0E00, 0x0EFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9F),
)
"""Ranges of scripts that put no space between words: each character is a token of its own."""
MARKS = "\u0e33\u0eb3\u200c\u200d\uff9e\uff9f"
"""Marks by use, not by category: Thai and Lao AM, zero-width joiners, half-width voicing."""
SEPARATORS = "\u200b"
"""Format characters that end a word: the zero-width space."""
INNER = {
    "\u2018": "'",
    "\u2019": "'",
    "\uff07": "'",
    "\u05f4": '"',
    "\u00b7": "",
    "\u0387": "",
    "\u2027": "",
}
"""What joins the letters around it (apostrophes, gershayim, middle dots), and the ASCII character
it is hashed as, where there is one."""
_GERESH, _HEBREW = 0x5F3, 0xD7
"""A letter by use; and the first byte of the letters of its script."""


@dataclass(frozen=True)
class Beyond:
    """The characters of two to four bytes of a batch: first byte, width and kind, shape (n,)."""

    lead: Int64
    width: Int64
    point: Int64
    kind: Bytes

    @property
    def ends(self) -> Int64:
        """The byte after each character."""
        return self.lead + self.width


def classify_beyond(raw: Bytes, inside: Mask, cut: Mask) -> Beyond:
    """Mark, in place, the bytes inside words and the bytes before which a token ends.

    Args:
        raw: UTF-8 bytes of all texts, shape (n,).
        inside: whether a byte is part of a word, shape (n + 1,); holds for ASCII.
        cut: whether a token ends before a byte, shape (n + 1,); holds where texts begin and end.
    """
    lead = np.flatnonzero(raw >= 0xC0)
    byte = raw[lead]
    width = 2 + (byte >= 0xE0).astype(np.int64) + (byte >= 0xF0)
    point = byte.astype(np.int64) & (0x7F >> width)
    for i in range(1, 4):
        more = width > i
        point[more] = point[more] << 6 | raw[lead[more] + i] & 0x3F
    kind = _tables()[0][np.minimum(point, _TABLED)]
    kind[(point >= _IDEOGRAPHS[0]) & (point < _IDEOGRAPHS[1])] = _ALONE
    kind[(point >= _SELECTORS[0]) & (point < _SELECTORS[1])] = _MARK
    found = Beyond(lead, width, point, kind)
    _fill(inside, found, (kind == _WORD) | (kind == _ALONE))
    _join_marks(found, inside, cut)
    inner = kind == _INNER
    if inner.any():
        join_letters(lead[inner], width[inner], inside, cut)
    return found


def join_letters(at: Int64, width: Int64 | int, inside: Mask, cut: Mask) -> None:
    """Mark, in place, the characters that stand between two parts of words."""
    widths = np.broadcast_to(width, at.shape)
    before, after = np.maximum(at - 1, 0), at + widths
    can = (at > 0) & ~cut[at] & inside[before] & inside[after] & ~cut[after]
    at, widths = at[can], widths[can]
    for i in range(int(widths.max(initial=0))):
        inside[at[widths > i] + i] = True


def hebrew_quotes(raw: Bytes) -> Int64:
    """Return the positions of ASCII quotes between Hebrew letters, where they mean gershayim."""
    at: Int64 = np.flatnonzero(raw == ord('"'))
    at = at[(at > 1) & (at < len(raw) - 1)]
    at = at[(raw[at - 2] == _HEBREW) & (raw[at + 1] == _HEBREW)]
    return at


def lowercase_beyond(found: Beyond, lower: Bytes) -> None:
    """Lowercase, in place, what keeps its number of bytes."""
    point, width = found.point, found.width
    small = _tables()[1][np.minimum(point, _TABLED)]
    small[point >= _TABLED] = point[point >= _TABLED]
    for w in (2, 3, 4):
        changed = (small != point) & (width == w)
        at, to = found.lead[changed], small[changed]
        for i in range(w - 1, 0, -1):
            lower[at + i] = 0x80 | to & 0x3F
            to = to >> 6
        lower[at] = (0xC0, 0xE0, 0xF0)[w - 2] | to


def unify_apostrophes(found: Beyond, lower: Bytes, inside: Mask) -> Int64:
    """Write, in place, apostrophes in words as ASCII; return the bytes that no hash counts.

    Returns:
        ascending positions of the bytes of format characters, and of what is left of apostrophes.
    """
    special = (found.kind == _FORMAT) | (found.kind == _INNER)
    special[special] = inside[found.lead[special]]
    if not special.any():
        return np.empty(0, np.int64)
    lead, width, point = found.lead[special], found.width[special], found.point[special]
    skip = np.zeros(len(lead), dtype=np.int64)
    for char, plain in INNER.items():
        mine = point == ord(char)
        lower[lead[mine]] = ord(plain) if plain else lower[lead[mine]]
        skip[mine] = 1 if plain else width[mine]
    at = np.concatenate([lead[(skip <= i) & (i < width)] + i for i in range(4)])
    return np.sort(at)


def _fill(inside: Mask, found: Beyond, which: Mask) -> None:
    """Mark all bytes of some characters as parts of words."""
    for i in range(4):
        inside[found.lead[which & (found.width > i)] + i] = True


def _join_marks(found: Beyond, inside: Mask, cut: Mask) -> None:
    """Let marks belong to the character they follow; cut around characters that stand alone."""
    alone = found.kind == _ALONE
    at = np.flatnonzero((found.kind == _MARK) | (found.kind == _FORMAT))
    begins, ends = found.lead[at], found.ends[at]
    opens = np.ones(len(at), dtype=np.bool_)
    opens[1:] = (begins[1:] != ends[:-1]) | cut[begins[1:]]
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(at))[: len(first)] - 1
    joined = (begins[first] > 0) & inside[begins[first] - 1] & ~cut[begins[first]]
    which = np.zeros(len(alone), dtype=np.bool_)
    which[at[np.repeat(joined, last - first + 1)]] = True
    _fill(inside, found, which)

    cut[found.lead[alone]] = True
    cut[found.ends[alone]] = True
    before = at[first] - 1
    after_alone = joined & (before >= 0) & alone[before] & (found.ends[before] == begins[first])
    cut[begins[first[after_alone]]] = False
    cut[ends[last[after_alone]]] = True


@functools.cache
def _tables() -> tuple[Bytes, Int64]:
    """Return kind and lowercase of each code point of the first two planes, then of those beyond.

    Lowercase only where it is one character of the same number of UTF-8 bytes.
    """
    kinds = np.zeros(_TABLED + 1, dtype=np.uint8)
    lowered = np.arange(_TABLED + 1, dtype=np.int64)
    for point in range(0x80, _TABLED):
        if 0xD800 <= point < 0xE000:
            continue
        char = chr(point)
        kinds[point] = _kind(char)
        small = char.lower()
        if len(small) == 1 and len(small.encode()) == len(char.encode()):
            lowered[point] = ord(small)
    for first, last in UNSPACED:
        span = kinds[first : last + 1]
        span[span == _WORD] = _ALONE
    return kinds, lowered


def _kind(char: str) -> int:
    category = unicodedata.category(char)
    if char in INNER:
        return _INNER
    if category[0] == "M" or char in MARKS:
        return _MARK
    if category == "Cf" and char not in SEPARATORS:
        return _FORMAT
    return _WORD if char.isalnum() or ord(char) == _GERESH else _OUTSIDE
