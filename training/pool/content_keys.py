"""One 64-bit key for each content, equal for contents that count as the same."""

import numpy as np
import pyarrow as pa
import xxhash

from training.arrays import KeyArray


def text_keys(texts: pa.Array) -> KeyArray:
    """Return a key for each text that ignores case and white space."""
    return string_keys([" ".join(text.casefold().split()) for text in texts.to_pylist()])


def string_keys(strings: list[str]) -> KeyArray:
    """Return the xxh3 hash of each string, shape (len(strings),)."""
    return np.array([xxhash.xxh3_64_intdigest(string.encode()) for string in strings], np.uint64)


def content_keys(contents: pa.Array) -> KeyArray:
    """Return a key of the exact bytes of each text or encoded image."""
    stored = contents.cast(pa.large_binary())
    return np.array([xxhash.xxh3_64_intdigest(one) for one in stored.to_pylist()], np.uint64)
