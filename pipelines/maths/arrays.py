"""Types of arrays, and hashes that every room computes alike."""

from collections.abc import Callable
from typing import cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

Mask = npt.NDArray[np.bool_]
Int64 = npt.NDArray[np.int64]
UInt32 = npt.NDArray[np.uint32]
UInt64 = npt.NDArray[np.uint64]
Floats = npt.NDArray[np.float64]
Grid = Callable[[Int64, Int64], Floats]
"""Returns the similarities of m positions to n others, shape (m, n)."""
Bytes = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
"""One row of float32 per vector."""
Picture = npt.NDArray[np.uint8]
"""RGB pixels, shape (height, width, 3)."""
Keys = npt.NDArray[np.int64]
"""Position keys of rows; `pipelines.rows.keys` says how they are made."""

GOLDEN = 0x9E3779B97F4A7C15
"""2^64 divided by the golden ratio: steps of this size spread evenly over 64-bit integers."""
ODD = 0xD6E8FEB86659FD93
"""Odd, so that it has an inverse modulo 2^64; as it is 3 modulo 8, its powers repeat last."""
HALF = np.uint64(32)
"""Bits of half a 64-bit integer."""
_GOLDEN, _ODD = np.uint64(GOLDEN), np.uint64(ODD)


def mix(values: UInt64) -> UInt64:
    """Scramble 64-bit values so that all bits depend on all bits (a murmur-style finaliser)."""
    mixed = (values ^ (values >> HALF)) * _ODD
    return cast("UInt64", mixed ^ (mixed >> HALF))


def hash_strings(strings: pa.Array) -> UInt64:
    """Return one hash per string, shape (n,); a null hashes as an empty string."""
    raw, offsets = utf8_bytes(strings)
    padded = np.zeros(len(raw) + 16, dtype=np.uint8)
    padded[: len(raw)] = raw
    return hash_spans(padded, offsets[:-1], np.diff(offsets))


def offsets_of(counts: npt.ArrayLike) -> Int64:
    """Return the n + 1 offsets of n consecutive runs of the given lengths."""
    lengths = np.asarray(counts)
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def utf8_bytes(texts: pa.Array) -> tuple[Bytes, Int64]:
    """Return the UTF-8 bytes of a string array and its n + 1 offsets; nulls are empty."""
    if texts.null_count:
        texts = texts.fill_null("")
    if len(texts) == 0:
        return np.empty(0, np.uint8), np.zeros(1, np.int64)
    _, offset_buffer, data = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return raw[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64)


LONG = 1 << 10
"""Bytes from which on a span is hashed on its own."""


def hash_spans(raw: Bytes, starts: Int64, lengths: Int64) -> UInt64:
    """Return one hash per span of bytes, eight bytes at a time; `raw` ends with 16 spare bytes.

    Spans of more than LONG bytes are hashed one by one, by xxh3: they are few, and megabytes of one
    span would be a step each eight bytes.
    """
    hashes = lengths.astype(np.uint64) * _GOLDEN
    hashes = mix(hashes ^ _eight_bytes(raw, starts, lengths))
    for i in np.flatnonzero(lengths > LONG):
        span = raw[starts[i] : starts[i] + lengths[i]]
        hashes[i] = xxhash.xxh3_64_intdigest(span.data)
    rest = np.flatnonzero((lengths > 8) & (lengths <= LONG))
    done = 8
    while rest.size:
        more = _eight_bytes(raw, starts[rest] + done, lengths[rest] - done)
        hashes[rest] = mix((hashes[rest] * _GOLDEN) ^ more)
        done += 8
        rest = rest[lengths[rest] > done]
    return hashes


def _eight_bytes(raw: Bytes, starts: Int64, lengths: Int64) -> UInt64:
    """Return up to eight bytes of each span as one little-endian integer."""
    words = raw[: len(raw) // 8 * 8].view("<u8")
    at, shift = starts >> 3, ((starts & 7) << 3).astype(np.uint64)
    low = words[at] >> shift
    # Shifting by 64 is undefined, so the upper word moves in two steps.
    high = (words[at + 1] << (np.uint64(63) - shift)) << np.uint64(1)
    spare = (8 - np.minimum(lengths, 8)).astype(np.uint64) << np.uint64(3)
    return cast("UInt64", (low | high) & (np.uint64(0xFFFFFFFFFFFFFFFF) >> spare))
