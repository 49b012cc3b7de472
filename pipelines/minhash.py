"""MinHash signatures and the banding that turns them into candidate pairs.

Broder (1997), "On the resemblance and containment of documents"; banding as in Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from pipelines.tokens import Tokens, mix

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


def signatures(shingles: Tokens, permutations: int, seed: int) -> npt.NDArray[np.uint32]:
    """Return the MinHash signature of each text, shape (n, permutations).

    Permutations are h -> a·h + b mod 2^32 of the mixed 64-bit shingle hash, `a` odd: bijections, so
    that minima collide only where shingles do. A text without shingles has a signature of ones.
    """
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 1 << 32, permutations, dtype=np.uint32) | np.uint32(1)
    b = rng.integers(0, 1 << 32, permutations, dtype=np.uint32)
    n = len(shingles.offsets) - 1
    result = np.full((n, permutations), np.iinfo(np.uint32).max, dtype=np.uint32)
    filled = np.flatnonzero(shingles.counts)
    if not filled.size:
        return result
    hashes = (shingles.hashes >> np.uint64(32)).astype(np.uint32)
    starts = shingles.offsets[:-1][filled]
    permuted = np.empty_like(hashes)
    for i in range(permutations):
        np.multiply(hashes, a[i], out=permuted)
        permuted += b[i]
        result[filled, i] = np.minimum.reduceat(permuted, starts)
    return result


def band_hashes(signature: npt.NDArray[np.uint32], bands: int, rows: int) -> npt.NDArray[np.uint64]:
    """Return one hash a band of each signature, shape (n, bands)."""
    used = signature[:, : bands * rows].reshape(len(signature), bands, rows)
    folded = np.zeros((len(signature), bands), dtype=np.uint64)
    for i in range(rows):
        folded = mix(folded ^ used[:, :, i] + np.uint64(0x9E3779B97F4A7C15) * folded)
    return cast("npt.NDArray[np.uint64]", folded)


def bucket_pairs(
    hashes: npt.NDArray[np.uint64], ranks: Ranks, most: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Return the pairs (i, j) of rows that share a hash, and how many buckets were capped.

    All pairs of a bucket of up to `most` rows. A larger one, the mark of a template or of
    boilerplate, is linked as a chain in the order of `ranks` and as a star around its first row
    instead: 2k pairs for k rows rather than k²/2. Ranks that go by content put equals side by side,
    and make the pairs the same for any order of the rows.
    """
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if not len(order):
        return np.empty(0, np.int64), np.empty(0, np.int64), 0
    sizes = np.diff(np.concatenate([starts, [len(order)]]))
    left: list[npt.NDArray[np.int64]] = []
    right: list[npt.NDArray[np.int64]] = []
    for size in np.unique(sizes[(sizes > 1) & (sizes <= most)]):
        first, second = np.triu_indices(int(size), 1)
        at = starts[sizes == size][:, None]
        left.append((at + first).ravel())
        right.append((at + second).ravel())
    large = np.flatnonzero(sizes > most)
    for bucket in large:
        members = np.arange(starts[bucket], starts[bucket] + sizes[bucket])
        members = members[np.lexsort([rank[order[members]] for rank in ranks])]
        left += [members[:-1], np.full(len(members) - 2, members[0])]
        right += [members[1:], members[2:]]
    if not left:
        return np.empty(0, np.int64), np.empty(0, np.int64), 0
    return order[np.concatenate(left)], order[np.concatenate(right)], len(large)
