r"""Lines and paragraphs of a batch of texts in flat arrays.

A line ends at `\n` or `\r\n`, so that the text is its lines joined by those. A paragraph is a run
of lines that are not blank; a blank line has nothing but ASCII white space.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Int64, Mask, offsets_of, utf8_bytes

_NEWLINE, _RETURN, _SPACE = 0x0A, 0x0D, 0x20


@dataclass(frozen=True)
class Units:
    """Units of n texts in the bytes of all texts, ascending; `offsets` are those of the texts."""

    starts: Int64
    stops: Int64
    offsets: Int64

    @property
    def texts(self) -> Int64:
        """Number of the text of each unit."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def gaps(self, cut: Mask) -> tuple[Int64, Int64, Int64]:
        """Return the spans, in the bytes of all texts, to cut so that some units are gone.

        The gap before a unit is cut with it, or the gap after it where no unit before it is kept:
        what is left are the kept units joined by gaps.
        """
        texts, kept = self.texts, np.cumsum(~cut)
        up_to = np.concatenate([[0], kept])[self.offsets[:-1]]
        inner = cut & (kept > up_to[texts])
        head = cut & ~inner
        starts, stops = self.starts.copy(), self.stops.copy()
        starts[inner] = self.stops[np.flatnonzero(inner) - 1]
        last = np.ones(len(texts), dtype=np.bool_)
        last[:-1] = texts[1:] != texts[:-1]
        followed = np.flatnonzero(head & ~last)
        stops[followed] = self.starts[followed + 1]
        return texts[cut], starts[cut], stops[cut]


def split_lines(strings: pa.Array) -> Units:
    """Return the lines of a string array; an empty text is one empty line."""
    raw, bounds = utf8_bytes(strings)
    breaks = np.flatnonzero(raw == _NEWLINE)
    offsets = np.searchsorted(breaks, bounds) + np.arange(len(bounds))
    starts = np.empty(offsets[-1], dtype=np.int64)
    stops = np.empty(offsets[-1], dtype=np.int64)
    inner = np.ones(offsets[-1], dtype=np.bool_)
    inner[offsets[:-1]] = False
    starts[offsets[:-1]], starts[inner] = bounds[:-1], breaks + 1
    inner[offsets[:-1]] = True
    inner[offsets[1:] - 1] = False
    stops[offsets[1:] - 1], stops[inner] = bounds[1:], breaks
    full = np.flatnonzero(stops > starts)
    stops[full] -= raw[stops[full] - 1] == _RETURN
    return Units(starts, stops, offsets)


def split_paragraphs(strings: pa.Array) -> Units:
    """Return the paragraphs of a string array; a blank text has none."""
    lines = split_lines(strings)
    texts = lines.texts
    if not len(texts):
        return lines
    raw, _ = utf8_bytes(strings)
    dark = np.append(raw > _SPACE, False)
    # Of an empty line `reduceat` returns the byte that follows.
    full = np.logical_or.reduceat(dark, lines.starts) & (lines.stops > lines.starts)
    apart = texts[1:] != texts[:-1]
    first, last = full.copy(), full.copy()
    first[1:] &= ~full[:-1] | apart
    last[:-1] &= ~full[1:] | apart
    counts = np.bincount(texts[first], minlength=len(strings))
    return Units(lines.starts[first], lines.stops[last], offsets_of(counts))
