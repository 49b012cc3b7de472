"""Runs of equal values, and spans of texts: merged, and cut out of all texts of a batch at once.

A span is (number of its text, start, stop), half open; unless it says otherwise a position counts
the bytes of its text from 0.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipelines.maths.arrays import Int64, offsets_of, utf8_bytes
from pipelines.maths.text.tokens import token_spans

_NEWLINE = 0x0A


def equal_runs(ordered: npt.NDArray[np.generic]) -> tuple[Int64, Int64]:
    """Return the starts and lengths of the runs of equal values."""
    opens = np.ones(len(ordered), dtype=np.bool_)
    opens[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(opens)
    return starts, np.diff(np.append(starts, len(ordered)))


def merged(texts: Int64, starts: Int64, stops: Int64) -> tuple[Int64, Int64, Int64]:
    """Return the spans sorted, and those of one text that overlap or touch as one."""
    if not len(texts):
        return texts, starts, stops
    order = np.lexsort((starts, texts))
    texts, starts, stops = texts[order], starts[order], stops[order]
    far = texts * (int(stops.max()) + 1)  # no span reaches into the next text
    reached = np.maximum.accumulate(far + stops)
    opens = np.ones(len(texts), dtype=np.bool_)
    opens[1:] = (far + starts)[1:] > reached[:-1]
    first = np.flatnonzero(opens)
    last = np.append(first[1:], len(texts)) - 1
    return texts[first], starts[first], (reached - far)[last]


def without(strings: pa.Array, texts: Int64, starts: Int64, stops: Int64) -> pa.Array:
    """Return a string array without some spans; a null stays null. About 3 ns per byte.

    Spans begin and end between characters.
    """
    raw, offsets = utf8_bytes(strings)
    texts, starts, stops = merged(*(part[stops > starts] for part in (texts, starts, stops)))
    edge = np.zeros(len(raw) + 1, dtype=np.int8)
    edge[offsets[texts] + stops] = -1
    edge[offsets[texts] + starts] += 1  # the -1 of a neighbour that ends here makes it 0
    keep = np.cumsum(edge[:-1], dtype=np.int8) == 0
    gone = np.bincount(texts, weights=stops - starts, minlength=len(strings)).astype(np.int64)
    bounds = offsets_of(np.diff(offsets) - gone).astype(np.int32)
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(raw[keep])]
    left = pa.Array.from_buffers(pa.string(), len(strings), buffers)
    return pc.if_else(strings.is_valid(), left, None) if strings.null_count else left


def pieces(strings: pa.Array, starts: Int64, stops: Int64) -> pa.Array:
    """Return disjoint, ascending spans of the bytes of all texts as a string array."""
    raw, _ = utf8_bytes(strings)
    bounds = np.empty(2 * len(starts), dtype=np.int32)
    bounds[0::2], bounds[1::2] = starts, stops
    buffers = [None, pa.py_buffer(bounds), pa.py_buffer(raw)]
    with_gaps = pa.Array.from_buffers(pa.string(), max(0, len(bounds) - 1), buffers)
    return with_gaps.take(pa.array(np.arange(0, len(bounds), 2)))


def bytes_of_tokens(
    strings: pa.Array, texts: Int64, starts: Int64, stops: Int64
) -> tuple[Int64, Int64, Int64]:
    """Return the bytes to cut so that spans of tokens are gone, and the number of tokens per text.

    What stands between a cut token and the next one is cut as well. A line whose first token is cut
    also loses what stands before it (a bullet, an indent); otherwise the line break that ends the
    line stays.

    Args:
        strings: the texts.
        texts: number of the text of each span.
        starts: first token of each span, from 0; spans are merged and not empty.
        stops: the token after each span.

    Returns:
        first byte and end of each span in its text; and tokens per text, shape (len(strings),).
    """
    at, lengths, offsets = token_spans(strings)
    ends = at + lengths
    raw, bounds = utf8_bytes(strings)
    left, right = bounds[texts], bounds[texts + 1]
    first, after = offsets[texts] + starts, offsets[texts] + stops
    head, tail = starts == 0, after == offsets[texts + 1]
    before = np.where(head, left, ends[first - 1])
    end = ends[after - 1]
    following = np.where(tail, right, at[np.minimum(after, len(at) - 1)])

    breaks = np.flatnonzero(raw == _NEWLINE)
    breaks = np.concatenate([[-1], breaks, [len(raw)]])
    last_break = breaks[np.searchsorted(breaks, at[first]) - 1]
    next_break = breaks[np.searchsorted(breaks, end)]
    leads = head | (last_break >= before)
    begin = np.where(leads, np.maximum(last_break + 1, before), at[first])
    broken = next_break < following
    until = np.where(broken, next_break + leads, following)
    return begin - left, until - left, np.diff(offsets)
