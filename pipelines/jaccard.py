"""Exact Jaccard similarity of many pairs of hash sets, by sorting."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipelines.tokens import Int64, Tokens, offsets_of

_HASH_BITS = 44
_MASK = np.uint64((1 << _HASH_BITS) - 1)
_OWNERS = 1 << (64 - _HASH_BITS)
_ELEMENTS = 1 << 22


def distinct(shingles: Tokens) -> Tokens:
    """Return each text's set of hashes, sorted, cut to 44 bits.

    Two sets of 1,000 elements share a cut hash by chance once in 10^7 pairs.
    """
    counts = shingles.counts
    hashes, sizes = [], []
    for start in range(0, len(counts), _OWNERS):
        part = counts[start : start + _OWNERS]
        span = slice(shingles.offsets[start], shingles.offsets[start + len(part)])
        owner = np.repeat(np.arange(len(part), dtype=np.uint64), part)
        tagged = np.unique(owner << np.uint64(_HASH_BITS) | shingles.hashes[span] & _MASK)
        hashes.append(tagged & _MASK)
        owners = (tagged >> np.uint64(_HASH_BITS)).astype(np.int64)
        sizes.append(np.bincount(owners, minlength=len(part)))
    if not sizes:
        return shingles
    return Tokens(np.concatenate(hashes), offsets_of(np.concatenate(sizes)))


def jaccard(sets: Tokens, left: Int64, right: Int64) -> npt.NDArray[np.float64]:
    """Return |A ∩ B| / |A ∪ B| for the pairs (left[i], right[i]) of `sets`, made by `distinct`.

    Two empty sets have similarity 0: nothing is a duplicate for want of content.
    """
    sizes = sets.counts
    total = sizes[left] + sizes[right]
    shared = np.zeros(len(left), dtype=np.int64)
    cumulative = np.cumsum(total)
    start = 0
    while start < len(left):
        before = cumulative[start - 1] if start else 0
        stop = int(np.searchsorted(cumulative, before + _ELEMENTS, side="right"))
        stop = min(max(stop, start + 1), start + _OWNERS)
        shared[start:stop] = _intersections(sets, left[start:stop], right[start:stop])
        start = stop
    union = total - shared
    similarity = np.zeros(len(left))
    np.divide(shared, union, out=similarity, where=union > 0)
    return similarity


def _intersections(sets: Tokens, left: Int64, right: Int64) -> Int64:
    """Count shared elements: tag each with its pair, sort, and equal neighbours are shared."""
    pair = np.arange(len(left), dtype=np.uint64)
    tagged = np.concatenate([_tag(sets, left, pair), _tag(sets, right, pair)])
    tagged.sort()
    equal = tagged[1:][tagged[1:] == tagged[:-1]] >> np.uint64(_HASH_BITS)
    return np.bincount(equal.astype(np.int64), minlength=len(left))


def _tag(sets: Tokens, members: Int64, pair: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    counts = sets.counts[members]
    skip = np.repeat(sets.offsets[members] - offsets_of(counts)[:-1], counts)
    elements = sets.hashes[np.arange(len(skip)) + skip]
    return np.repeat(pair << np.uint64(_HASH_BITS), counts) | elements
