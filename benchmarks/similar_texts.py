"""All pairs of texts that are similar, exactly: what a near-duplicate search should have found.

Independent of the code under test. A text is normalised to its lower-cased words (`\\w+`, after
NFKC); its set holds the shingles of five words, or its words as one shingle where it has fewer. A
text without words is similar to texts with the same characters only.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from unicodedata import normalize

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

Positions = npt.NDArray[np.int64]
Similarities = npt.NDArray[np.float64]
_WORD = re.compile(r"\w+")
_SHINGLE = 5
_AT_ONCE = 200_000


@dataclass(frozen=True)
class Sets:
    """The shingle sets of texts: a 0/1 matrix (texts, shingles) and their sizes."""

    matrix: csr_array
    sizes: Positions
    words: Positions
    """Words of each text."""

    def jaccard(self, left: Positions, right: Positions) -> Similarities:
        """Return the similarity of pairs; memory is bounded by blocks of pairs."""
        parts = [np.zeros(0)]
        for start in range(0, len(left), _AT_ONCE):
            a, b = left[start : start + _AT_ONCE], right[start : start + _AT_ONCE]
            common = np.asarray(self.matrix[a].multiply(self.matrix[b]).sum(axis=1)).ravel()
            parts.append(common / (self.sizes[a] + self.sizes[b] - common))
        return np.concatenate(parts)


def shingle_sets(texts: Sequence[str]) -> Sets:
    """Return the shingle set of each text; shingles are numbered, not hashed."""
    shingles: dict[tuple[int, ...] | str, int] = defaultdict(lambda: len(shingles))
    words: dict[str, int] = defaultdict(lambda: len(words))
    sets, counts = [], []
    for text in texts:
        found = [words[word] for word in _WORD.findall(normalize("NFKC", text).lower())]
        counts.append(len(found))
        if found:
            last = max(1, len(found) - _SHINGLE + 1)
            own = {shingles[tuple(found[i : i + _SHINGLE])] for i in range(last)}
        else:
            own = {shingles[text]}
        sets.append(np.fromiter(own, np.int64, len(own)))
    sizes = np.array([len(own) for own in sets], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    flat = np.concatenate([*sets, np.zeros(0, np.int64)])
    shape = (len(texts), max(1, len(shingles)))
    matrix = csr_array((np.ones(len(flat), np.float32), flat, offsets), shape=shape)
    return Sets(matrix, sizes, np.array(counts, dtype=np.int64))


def all_pairs(sets: Sets, similarity: float) -> tuple[Positions, Positions, Similarities]:
    """Return all pairs at that Jaccard similarity or above, by brute force: O(n²)."""
    found = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    other = sets.matrix.T.tocsr()
    for start in range(0, len(sets.sizes), 1_000):
        common = (sets.matrix[start : start + 1_000] @ other).tocoo()
        a, b = common.row.astype(np.int64) + start, common.col.astype(np.int64)
        union = sets.sizes[a] + sets.sizes[b] - common.data
        good = (a < b) & (common.data / union >= similarity)
        found.append((a[good], b[good], (common.data / union)[good].astype(np.float64)))
    left, right, measured = zip(*found, strict=True)
    return np.concatenate(left), np.concatenate(right), np.concatenate(measured)


def similar_pairs(sets: Sets, similarity: float) -> tuple[Positions, Positions, Similarities]:
    """Return pairs at that Jaccard similarity or above: all that connect the same texts.

    Prefix filtering (Bayardo et al. 2007): with shingles in one order, rarest first, two sets that
    similar share one of the first n - ceil(t·n) + 1 of each. Equal sets are joined in a star, so
    that copies of copies do not multiply; among distinct sets no pair is left out.
    """
    matrix = sets.matrix
    rarity = np.argsort(np.argsort(np.asarray(matrix.sum(axis=0)).ravel(), kind="stable"))
    row = np.repeat(np.arange(len(sets.sizes)), sets.sizes)
    rank = rarity[matrix.indices]
    order = np.lexsort((rank, row))
    rank = rank[order]
    first = matrix.indptr[:-1].astype(np.int64)
    star = _equal_sets(rank, first, sets.sizes)
    distinct = star == np.arange(len(star))
    copies = np.flatnonzero(~distinct)
    within = np.arange(len(rank)) - first[row]
    length = sets.sizes - np.ceil(similarity * sets.sizes - 1e-9).astype(np.int64) + 1
    prefix = (within < length[row]) & distinct[row]
    keys = [
        np.unique(a.astype(np.int64) * len(star) + b)
        for a, b in _same(rank[prefix], row[prefix], sets.sizes, similarity)
    ]
    key = np.unique(np.concatenate([*keys, np.zeros(0, np.int64)]))
    left, right = key // len(star), key % len(star)
    measured = sets.jaccard(left, right)
    good = measured >= similarity
    return (
        np.concatenate([left[good], star[copies]]),
        np.concatenate([right[good], copies]),
        np.concatenate([measured[good], np.ones(len(copies))]),
    )


def _equal_sets(rank: Positions, first: Positions, sizes: Positions) -> Positions:
    """Return for each set the first that equals it."""
    seen: dict[bytes, int] = {}
    found = [
        seen.setdefault(rank[start : start + size].tobytes(), i)
        for i, (start, size) in enumerate(zip(first, sizes, strict=True))
    ]
    return np.array(found, dtype=np.int64)


def _same(
    rank: Positions, row: Positions, sizes: Positions, similarity: float
) -> Iterator[tuple[Positions, Positions]]:
    """Yield blocks of pairs of rows that share a rank and are not too unlike in size."""
    order = np.lexsort((row, rank))
    rank, row = rank[order], row[order]
    place = np.arange(len(rank))
    start = np.zeros(len(rank), dtype=np.int64)
    new = np.append(True, np.diff(rank) != 0)
    start = np.maximum.accumulate(np.where(new, place, 0))
    before = place - start
    cuts = np.searchsorted(np.cumsum(before), np.arange(0, before.sum() + 1, 20 * _AT_ONCE))
    for low, high in zip(cuts, [*cuts[1:], len(rank)], strict=True):
        counts = before[low:high]
        right = np.repeat(place[low:high], counts)
        ends = np.cumsum(counts)
        left = np.repeat(start[low:high] - (ends - counts), counts) + np.arange(len(right))
        a, b = row[left], row[right]
        small, large = np.minimum(sizes[a], sizes[b]), np.maximum(sizes[a], sizes[b])
        good = small >= similarity * large - 1e-9
        yield a[good], b[good]
