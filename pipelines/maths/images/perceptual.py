"""Perceptual hashes of pictures: find copies that were re-encoded, resized or brightened.

A 64-bit pHash finds the candidates, a thumbnail confirms them: at the Hamming distances that find
most copies, the hash alone also joins pictures that only share a layout.

All sums run over integers that float64 holds exactly, so a hash or a similarity is the same to
the last bit for any batch, machine and BLAS.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from pipelines.maths.arrays import Bytes, Floats, Int64, Picture, UInt64

Pairs = tuple[Int64, Int64]

HASH_SIDE = 32
LOW = 8
THUMB = 16
"""Side of a thumbnail; its three channels are luma, blue and red difference."""

BLOCK = 1 << 21
"""Candidate pairs looked at together; bounds the memory of `hamming_pairs`."""
CHUNKS = 4
CHUNK_BITS = 16
MOST_DISTANCE = 15

TINT = 60.0
"""Distance of mean colours, in Cb/Cr steps, that halves a similarity."""

_STILL = (0.03 * 255) ** 2 * (THUMB * THUMB) ** 2
_DARK = (0.01 * 255) ** 2 * (THUMB * THUMB) ** 2
"""The constants of SSIM, for sums instead of means: two blank pictures are alike, not 0 / 0."""

_SCALE = 1 << 17
"""Fixed point of the cosines: 255 * (32 * 2^17)^2 still fits the 53 bits of a float64."""


def phash(pictures: Sequence[Picture]) -> UInt64:
    """Return the 64-bit DCT hash of each picture, shape (n,).

    As `imagehash.phash` 4.3 (Zauner 2010, "Implementation and benchmarking of perceptual image
    hash functions"): luma, 32x32 by Lanczos, DCT-II, the 8x8 lowest frequencies against their
    median. The first frequency is the highest bit.
    """
    grey = np.empty((len(pictures), HASH_SIDE, HASH_SIDE), dtype=np.float64)
    for i, picture in enumerate(pictures):  # sizes differ, so pictures are shrunk one by one
        grey[i] = _shrunk_luma(picture)
    position = (np.arange(HASH_SIDE) + 0.5) * np.pi / HASH_SIDE
    cosines = np.rint(np.cos(np.arange(LOW)[:, None] * position) * _SCALE)
    low = (cosines @ grey @ cosines.T).reshape(-1, LOW * LOW)
    bits = low > np.median(low, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").astype(np.uint64).reshape(-1)


def _shrunk_luma(picture: Picture) -> Bytes:
    from PIL import Image

    grey = Image.fromarray(picture).convert("L")
    return np.asarray(grey.resize((HASH_SIDE, HASH_SIDE), Image.Resampling.LANCZOS))


def thumbnails(pictures: Sequence[Picture]) -> Bytes:
    """Return small YCbCr copies by which candidates are compared, shape (n, 3 * 16 * 16)."""
    from PIL import Image

    thumbs = np.empty((len(pictures), 3, THUMB * THUMB), dtype=np.uint8)
    for i, picture in enumerate(pictures):
        small = Image.fromarray(picture).resize((THUMB, THUMB), Image.Resampling.BOX)
        thumbs[i] = np.asarray(small.convert("YCbCr")).reshape(-1, 3).T
    return thumbs.reshape(len(pictures), 3 * THUMB * THUMB)


def similarity(thumbs_a: Bytes, thumbs_b: Bytes) -> Floats:
    """Return how alike the pictures of each pair are: 1 is the same thumbnail, shape (pairs,).

    The structural similarity of the lumas (Wang et al. 2004, one window: layout, contrast, mean),
    lowered by the distance of the mean colours: the same shirt in red is another picture. Copies by
    JPEG quality 50, resizing by 0.7-1.3, or brightness within 10 % score 0.95 and more on
    photographs; cropped copies fall to 0.8-0.95.
    """
    n = THUMB * THUMB
    a = thumbs_a.reshape(-1, 3, n).astype(np.int64)
    b = thumbs_b.reshape(-1, 3, n).astype(np.int64)
    sum_a, sum_b = a.sum(axis=2), b.sum(axis=2)
    x, y = a[:, 0], b[:, 0]
    both = n * (x * y).sum(axis=1) - sum_a[:, 0] * sum_b[:, 0]
    own_a = n * (x * x).sum(axis=1) - sum_a[:, 0] ** 2
    own_b = n * (y * y).sum(axis=1) - sum_b[:, 0] ** 2
    layout = (2 * both + _STILL) / (own_a + own_b + _STILL)
    means = 2 * sum_a[:, 0] * sum_b[:, 0] + _DARK
    light = means / (sum_a[:, 0] ** 2 + sum_b[:, 0] ** 2 + _DARK)
    apart = ((sum_a[:, 1:] - sum_b[:, 1:]) ** 2).sum(axis=1) / n**2
    return np.asarray(np.maximum(layout, 0.0) * light / (1.0 + apart / TINT**2), dtype=np.float64)


def hamming_pairs(hashes: UInt64, at_most: int) -> Pairs:
    """Return all i < j whose hashes differ in at most `at_most` bits, sorted.

    Exact, by multi-index hashing (Norouzi et al. 2012): of four 16-bit quarters, one differs in at
    most `at_most // 4` bits, so only rows in neighbouring buckets are compared. Memory grows with
    the number of pairs found: join equal hashes before, since n of them are n (n - 1) / 2 pairs.

    Raises:
        ValueError: `at_most` is outside 0..15; beyond that a hash says nothing.
    """
    if not 0 <= at_most <= MOST_DISTANCE:
        raise ValueError(f"at_most is {at_most}; a distance of 0..{MOST_DISTANCE} bits is allowed")
    radius = at_most // CHUNKS
    found: list[Pairs] = []
    for chunk in range(CHUNKS):
        for i, j in _neighbours(_quarter(hashes, chunk), radius):
            apart = hashes[i] ^ hashes[j]
            near = np.bitwise_count(apart) <= at_most
            i, j, apart = i[near], j[near], apart[near]
            new = np.ones(len(i), dtype=bool)
            for earlier in range(chunk):  # a pair is reported by its first close quarter
                new &= np.bitwise_count(_quarter(apart, earlier)) > radius
            found.append((np.minimum(i, j)[new], np.maximum(i, j)[new]))
    first = np.concatenate([i for i, _ in found]) if found else np.zeros(0, dtype=np.int64)
    second = np.concatenate([j for _, j in found]) if found else np.zeros(0, dtype=np.int64)
    order = np.lexsort((second, first))
    return first[order], second[order]


def _quarter(hashes: UInt64, chunk: int) -> Int64:
    """Return every fourth bit from bit `chunk` as one 16-bit number per hash.

    Neighbouring bits go to different quarters: the lowest frequencies differ little between simple
    pictures, and a quarter made of them alone would put most rows into a few buckets.
    """
    bits = (hashes[:, None] >> np.arange(chunk, 64, CHUNKS, dtype=np.uint64)) & np.uint64(1)
    weights = np.int64(1) << np.arange(CHUNK_BITS, dtype=np.int64)
    return np.asarray((bits.astype(np.int64) * weights).sum(axis=1))


def _neighbours(values: Int64, radius: int) -> Iterator[Pairs]:
    """Yield, in blocks, each pair of rows whose values differ in at most `radius` bits, once."""
    order = np.argsort(values, kind="stable")
    count = np.bincount(values, minlength=1 << CHUNK_BITS)
    start = np.cumsum(count) - count
    present = np.flatnonzero(count)
    masks = np.arange(1 << CHUNK_BITS)
    for mask in masks[np.bitwise_count(masks) <= radius]:
        other = present ^ mask
        joined = (count[other] > 0) & (present <= other)
        for rows, partners in _products(present[joined], other[joined], start, count):
            if mask == 0:
                ahead = rows < partners
                rows, partners = rows[ahead], partners[ahead]
            yield order[rows], order[partners]


def _products(left: Int64, right: Int64, start: Int64, count: Int64) -> Iterator[Pairs]:
    """Yield positions (a, b) for all a in bucket left[k] and b in bucket right[k], in blocks."""
    rows = np.repeat(start[left] - (np.cumsum(count[left]) - count[left]), count[left])
    rows += np.arange(len(rows))
    bucket = np.repeat(right, count[left])
    ends = np.cumsum(count[bucket])
    done = 0
    while done < len(rows):
        before = int(ends[done - 1]) if done else 0
        stop = max(done + 1, int(np.searchsorted(ends, before + BLOCK, side="right")))
        many = count[bucket[done:stop]]
        offset = np.repeat(start[bucket[done:stop]] - (np.cumsum(many) - many), many)
        yield np.repeat(rows[done:stop], many), offset + np.arange(len(offset))
        done = stop
