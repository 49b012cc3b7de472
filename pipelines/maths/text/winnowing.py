"""Winnowing: few fingerprints of a text such that texts that share a long run of tokens share one.

Schleimer, Wilkerson, Aiken, "Winnowing: local algorithms for document fingerprinting", SIGMOD 2003.
A gram is k tokens in a row. In each window of `span` tokens, the gram with the least hash is
selected. What is selected depends on the window alone; so where a window occurs twice, the same
gram is selected in both places. Of equal least hashes all are selected, which keeps that promise.
In random text about 2 / (span - k + 2) of the positions are selected: one in 13 for `span` 50.

All arrays are flat over the tokens of a batch; a few passes over 8 bytes per token.
"""

import numpy as np

from pipelines.maths.arrays import ODD, Int64, Mask, UInt64, mix
from pipelines.maths.text.tokens import Tokens

_INVERSE = pow(ODD, -1, 1 << 64)


def gram_size(span: int) -> int:
    """Return the tokens of a gram: half a window, so grams are few and seldom equal by chance."""
    return span // 2


def window_hashes(hashes: UInt64, size: int) -> UInt64:
    """Return the hash of each `size` consecutive token hashes, shape (max(0, n - size + 1),).

    A polynomial in the hashes modulo 2^64, by differences of prefix sums, then scrambled; never 0.
    """
    n = len(hashes)
    if n < size:
        return np.empty(0, np.uint64)
    sums = np.zeros(n + 1, dtype=np.uint64)
    np.cumsum(hashes * _powers(ODD, n), out=sums[1:])
    windows = (sums[size:] - sums[:-size]) * _powers(_INVERSE, n)[: n - size + 1]
    return np.maximum(mix(windows), np.uint64(1))


def least_hashes(tokens: Tokens, grams: UInt64, span: int) -> UInt64:
    """Return the least gram hash of the window of `span` tokens that starts at each token.

    Args:
        tokens: the tokens of some texts, n in all.
        grams: their `window_hashes` of `gram_size(span)`.
        span: tokens of a window.

    Returns:
        shape (n,); 0 where a text has no window that starts there.
    """
    least = np.zeros(len(tokens.hashes), dtype=np.uint64)
    if len(least) >= span:
        inside = _slide(np.minimum, grams, span - gram_size(span) + 1)
        np.copyto(least[: len(inside)], inside, where=_fits(tokens, span)[: len(inside)])
    return least


def selected(tokens: Tokens, span: int) -> tuple[Int64, UInt64]:
    """Return the tokens at which selected grams start, ascending, and the hashes of those grams.

    Where one gram is selected many times in a row (periodic text), the first two are returned.
    """
    grams = window_hashes(tokens.hashes, gram_size(span))
    least = least_hashes(tokens, grams, span)
    if not least.any():
        return np.empty(0, np.int64), np.empty(0, np.uint64)
    width = span - gram_size(span) + 1
    # No window that holds a gram has a greater least hash; if the greatest is its own, it is taken.
    before = np.concatenate([np.zeros(width - 1, np.uint64), least[: len(grams)]])
    at = np.flatnonzero(_slide(np.maximum, before, width) == grams)
    hashes, texts = grams[at], np.searchsorted(tokens.offsets, at, side="right")
    third = np.zeros(len(at), dtype=np.bool_)
    third[2:] = (hashes[2:] == hashes[1:-1]) & (hashes[2:] == hashes[:-2])
    third[2:] &= texts[2:] == texts[:-2]
    return at[~third], hashes[~third]


def runs_of(tokens: Tokens, least: UInt64) -> tuple[Int64, Int64]:
    """Return the starts and lengths of the runs of windows with the same least gram in a text."""
    opens = np.ones(len(least), dtype=np.bool_)
    opens[1:] = least[1:] != least[:-1]
    opens[tokens.offsets[:-1][tokens.counts > 0]] = True
    starts = np.flatnonzero(opens)
    lengths = np.diff(np.append(starts, len(least)))
    there = least[starts] != 0
    return starts[there], lengths[there]


def _fits(tokens: Tokens, span: int) -> Mask:
    """Return which tokens have `span - 1` more of their text behind them."""
    fits = np.ones(len(tokens.hashes), dtype=np.bool_)
    short = tokens.counts < span
    fits[np.repeat(short, tokens.counts)] = False
    ends = tokens.offsets[1:][~short]
    fits[(ends[:, None] - np.arange(1, span)).ravel()] = False
    return fits


def _slide(smaller: np.ufunc, values: UInt64, size: int) -> UInt64:
    """Return the least (or greatest) of each `size` consecutive values, by doubling."""
    found, span = values, 1
    while 2 * span <= size:
        found = smaller(found[:-span], found[span:])
        span *= 2
    rest = size - span
    return smaller(found[:-rest], found[rest:]) if rest else found


def _powers(base: int, n: int) -> UInt64:
    """Return the first n powers of an odd number modulo 2^64."""
    powers = np.full(n, base, dtype=np.uint64)
    powers[:1] = 1
    return np.cumprod(powers, out=powers)
