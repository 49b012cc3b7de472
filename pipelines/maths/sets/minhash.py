"""MinHash signatures and the banding that turns them into candidate pairs.

Broder (1997), "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", section 3.4.
"""

from typing import cast

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import GOLDEN, Int64, UInt32, UInt64, mix
from pipelines.maths.sets.jaccard import Sets

SortKeys = tuple[npt.NDArray[np.integer], ...]
"""Arrays to sort by, as `np.lexsort` takes them: the last one counts first."""

RECALL_AT_THRESHOLD = 0.999
"""Probability at which a pair exactly at the threshold must become a candidate."""


def plan_bands(similarity: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows per band) with the fewest chance candidates at RECALL_AT_THRESHOLD.

    The more rows in a band, the more selective it is. So the result is the most rows with which a
    pair at `similarity` is still found with the wanted probability 1 - (1 - s^rows)^bands.
    """
    for rows in range(permutations, 1, -1):
        bands = permutations // rows
        if candidate_probability(similarity, bands, rows) >= RECALL_AT_THRESHOLD:
            return bands, rows
    return permutations, 1


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that a pair of that Jaccard similarity shares a band: the S-curve."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def signatures(shingles: Sets, permutations: int, seed: int) -> UInt32:
    """Return the MinHash signature of each text, shape (n, permutations).

    Permutations are h -> a·h + b mod 2^32 of 32-bit shingle hashes. As `a` is odd they are
    bijections, so that minima collide only where shingles do. Repeated shingles change nothing. A
    text without shingles has a signature whose bits are all ones.
    """
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 1 << 32, permutations, dtype=np.uint32) | np.uint32(1)
    b = rng.integers(0, 1 << 32, permutations, dtype=np.uint32)
    filled = np.flatnonzero(shingles.counts)
    minima = np.full((permutations, len(shingles.counts)), np.iinfo(np.uint32).max, np.uint32)
    if filled.size:
        starts = shingles.offsets[:-1][filled]
        permuted = np.empty_like(shingles.hashes)
        for i in range(permutations):
            np.multiply(shingles.hashes, a[i], out=permuted)
            permuted += b[i]
            minima[i, filled] = np.minimum.reduceat(permuted, starts)
    return np.ascontiguousarray(minima.T)


def band_hashes(signature: UInt32, bands: int, rows: int) -> UInt64:
    """Return one hash per band of each signature, shape (n, bands)."""
    used = signature[:, : bands * rows].reshape(len(signature), bands, rows)
    folded = np.zeros((len(signature), bands), dtype=np.uint64)
    for i in range(rows):
        folded = mix(folded ^ used[:, :, i] + np.uint64(GOLDEN) * folded)
    return cast("UInt64", folded)


def bucket_pairs(hashes: UInt64, most: int) -> tuple[Int64, Int64, list[Int64]]:
    """Return the pairs (i, j) of rows that share a hash, and the buckets that are too large.

    A bucket of up to `most` rows gives all its pairs. A larger one, the mark of a template or of
    boilerplate, gives none: its rows are returned.
    """
    order = np.argsort(hashes)  # a stable sort is slower, and nothing depends on equals
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(order)])
    sizes = np.diff(np.concatenate([starts, [len(order)]]))
    left, right = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for size in np.unique(sizes[(sizes > 1) & (sizes <= most)]):
        first, second = np.triu_indices(int(size), 1)
        at = starts[sizes == size][:, None]
        left.append((at + first).ravel())
        right.append((at + second).ravel())
    large = [order[starts[i] : starts[i] + sizes[i]] for i in np.flatnonzero(sizes > most)]
    return order[np.concatenate(left)], order[np.concatenate(right)], large


def chain_and_star(bucket: Int64, ranks: SortKeys) -> tuple[Int64, Int64]:
    """Return pairs that link the rows of a bucket: 2k pairs of k rows instead of k²/2.

    They are a chain in the order of `ranks` and a star around its first row. Ranks that go by
    content put equals side by side, and make the pairs the same for any order of the rows.
    """
    members = bucket[np.lexsort([rank[bucket] for rank in ranks])]
    left = np.concatenate([members[:-1], np.full(max(len(members) - 2, 0), members[0])])
    return left, np.concatenate([members[1:], members[2:]])
