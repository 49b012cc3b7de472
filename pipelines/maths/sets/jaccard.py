"""Exact Jaccard similarity of many pairs of hash sets, by sorting."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import HALF, Floats, Int64, UInt32, UInt64, offsets_of
from pipelines.maths.text.tokens import Tokens

_ELEMENTS = 1 << 22
"""Elements that are sorted at a time."""


@dataclass(frozen=True)
class Sets:
    """Shingles of n texts cut to 32 bits: those of text i are `hashes[offsets[i]:offsets[i + 1]]`.

    The hashes are the upper halves of 64-bit shingle hashes. Of two texts of m and n shingles, m·n
    / 2^32 are expected to be equal by chance: 0.0002 for texts of 1,000, which moves their
    similarity by less than 10^-6 on average. But texts of a single shingle would be equal as a
    whole: about 100 pairs among a million such texts. So each text also has a check, the lower half
    of its smallest 64-bit hash.
    """

    hashes: UInt32
    offsets: Int64
    checks: UInt32

    @property
    def counts(self) -> Int64:
        """Number of shingles per text, shape (n,)."""
        return np.diff(self.offsets)


def checked_sets(shingles: Tokens) -> Sets:
    """Return the hashes of texts cut to 32 bits, in their order and with repeats."""
    checks = np.zeros(len(shingles.offsets) - 1, dtype=np.uint32)
    filled = np.flatnonzero(shingles.counts)
    if filled.size:
        smallest = np.minimum.reduceat(shingles.hashes, shingles.offsets[:-1][filled])
        checks[filled] = smallest.astype(np.uint32)
    return Sets((shingles.hashes >> HALF).astype(np.uint32), shingles.offsets, checks)


def distinct(shingles: Tokens) -> Sets:
    """Return each text's set of hashes cut to 32 bits, sorted."""
    multisets = checked_sets(shingles)
    owner = np.repeat(np.arange(len(multisets.counts), dtype=np.uint64), multisets.counts)
    tagged = owner << HALF | multisets.hashes
    tagged.sort()
    if len(tagged):
        tagged = tagged[np.concatenate([[True], tagged[1:] != tagged[:-1]])]
    sizes = np.bincount((tagged >> HALF).astype(np.int64), minlength=len(multisets.counts))
    return Sets(tagged.astype(np.uint32), offsets_of(sizes), multisets.checks)


def set_column(sets: Sets) -> pa.Array:
    """Return sets as a column: a struct of a list of 32-bit hashes and the check."""
    hashes = pa.LargeListArray.from_arrays(sets.offsets, sets.hashes)
    return pa.StructArray.from_arrays([hashes, pa.array(sets.checks)], names=["hashes", "check"])


def column_sets(column: pa.StructArray) -> Sets:
    """Return the sets of a column made by `set_column`."""
    hashes, checks = column.flatten()
    offsets = offsets_of(hashes.value_lengths().to_numpy())
    return Sets(hashes.flatten().to_numpy(), offsets, checks.to_numpy())


def jaccard(sets: Sets, left: Int64, right: Int64) -> Floats:
    """Return |A ∩ B| / |A ∪ B| for the pairs (left[i], right[i]) of `sets`, made by `distinct`.

    Two empty sets have similarity 0: texts without content are no duplicates.
    """
    sizes = sets.counts
    total = sizes[left] + sizes[right]
    shared = np.zeros(len(left), dtype=np.int64)
    cumulative = np.cumsum(total)
    start = 0
    while start < len(left):
        before = cumulative[start - 1] if start else 0
        stop = int(np.searchsorted(cumulative, before + _ELEMENTS, side="right"))
        stop = max(stop, start + 1)
        shared[start:stop] = _intersections(sets, left[start:stop], right[start:stop])
        start = stop
    return _similarity(sets, left, right, shared)


class JaccardGrid:
    """Jaccard similarities of each of some sets to each of others, by a sparse matrix product.

    It costs one step per shared element; `jaccard` sorts all elements of all pairs.
    """

    def __init__(self, sets: Sets) -> None:
        """Prepare the sets, made by `distinct`."""
        from scipy.sparse import csr_array

        known, column = np.unique(sets.hashes, return_inverse=True)
        shape = (len(sets.counts), len(known))
        ones = np.ones(len(column), dtype=np.int32)
        self._sets, self._rows = sets, csr_array((ones, column, sets.offsets), shape=shape)

    def __call__(self, left: Int64, right: Int64) -> Floats:
        """Return the similarities of `left` to `right`, shape (len(left), len(right))."""
        shared = (self._rows[left] @ self._rows[right].T).toarray().astype(np.int64)
        return _similarity(self._sets, left[:, None], right[None, :], shared)


def _similarity(sets: Sets, left: Int64, right: Int64, shared: Int64) -> Floats:
    """Return |A ∩ B| / |A ∪ B| where the intersections are known; changes `shared`."""
    sizes = sets.counts
    total = sizes[left] + sizes[right]
    alone = (total == 2) & (sizes[left] == 1)
    shared[alone & (sets.checks[left] != sets.checks[right])] = 0
    union = total - shared
    similarity = np.zeros(shared.shape)
    np.divide(shared, union, out=similarity, where=union > 0)
    return similarity


def _intersections(sets: Sets, left: Int64, right: Int64) -> Int64:
    """Count shared elements: tag each with its pair, sort, and equal neighbours are shared."""
    pair = np.arange(len(left), dtype=np.uint64)
    tagged = np.concatenate([_tag(sets, left, pair), _tag(sets, right, pair)])
    tagged.sort()
    equal = tagged[1:][tagged[1:] == tagged[:-1]] >> HALF
    return np.bincount(equal.astype(np.int64), minlength=len(left))


def _tag(sets: Sets, members: Int64, pair: UInt64) -> UInt64:
    counts = sets.counts[members]
    skip = np.repeat(sets.offsets[members] - offsets_of(counts)[:-1], counts)
    elements = sets.hashes[np.arange(len(skip)) + skip]
    return np.repeat(pair << HALF, counts) | elements
