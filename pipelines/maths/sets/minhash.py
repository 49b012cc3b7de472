"""MinHash signatures and the banding that turns them into candidate pairs.

Broder (1997), "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from pipelines.maths.arrays import Int64, mix
from pipelines.maths.sets.jaccard import Sets

Ranks = tuple[npt.NDArray[np.integer], ...]
"""Sort keys as `np.lexsort` takes them, the last one first."""

RECALL_AT_THRESHOLD = 0.999
"""Banding is chosen so that a pair exactly at the threshold becomes a candidate this surely."""


def plan_bands(similarity: float, permutations: int) -> tuple[int, int]:
    """Return (bands, rows a band) with the fewest chance candidates at RECALL_AT_THRESHOLD.

    More rows a band make a band more selective; the most rows are taken that still find a pair at
    `similarity` with the wanted probability 1 - (1 - s^rows)^bands.
    """
    for rows in range(permutations, 1, -1):
        bands = permutations // rows
        if candidate_probability(similarity, bands, rows) >= RECALL_AT_THRESHOLD:
            return bands, rows
    return permutations, 1


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """Return the probability that a pair of that Jaccard similarity shares a band: the S-curve."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def signatures(shingles: Sets, permutations: int, seed: int) -> npt.NDArray[np.uint32]:
    """Return the MinHash signature of each text, shape (n, permutations).

    Permutations are h -> a·h + b mod 2^32 of 32-bit shingle hashes, `a` odd: bijections, so that
    minima collide only where shingles do. Repeats do not matter: the signature of a set is that of
    the text it comes from. A text without shingles has a signature of ones.
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


def band_hashes(signature: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """Return one hash a band of each signature, shape (n, bands)."""
    used = signature[:, : bands * rows].reshape(len(signature), bands, rows)
    folded = np.zeros((len(signature), bands), dtype=np.uint64)
    for i in range(rows):
        folded = mix(folded ^ used[:, :, i] + np.uint64(0x9E3779B97F4A7C15) * folded)
    return cast("npt.NDArray[np.uint64]", folded)


def bucket_pairs(hashes: npt.NDArray[np.uint64], most: int) -> tuple[Int64, Int64, list[Int64]]:
    """Return the pairs (i, j) of rows that share a hash, and the buckets that are too large.

    All pairs of a bucket of up to `most` rows; of a larger one, the mark of a template or of
    boilerplate, its rows.
    """
    order = np.argsort(
        hashes
    )  # not stable, which is slower: nothing depends on the order of equals
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


def chain_and_star(bucket: Int64, ranks: Ranks) -> tuple[Int64, Int64]:
    """Return pairs that link the rows of a bucket: 2k for k rows rather than k²/2.

    A chain in the order of `ranks` and a star around its first row. Ranks that go by content put
    equals side by side, and make the pairs the same for any order of the rows.
    """
    members = bucket[np.lexsort([rank[bucket] for rank in ranks])]
    left = np.concatenate([members[:-1], np.full(max(len(members) - 2, 0), members[0])])
    return left, np.concatenate([members[1:], members[2:]])
