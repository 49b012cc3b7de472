"""Numbers as people type them: `1e9` or `10M` rows, `10TB`, `0.7..0.95:0.05`."""

from __future__ import annotations

import re

from curate.recipe import parse_size

COUNTS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def parse_count(text: str) -> int:
    """Return a number of rows from `1000000`, `1e6`, `1M` or `10B` (billions).

    Raises:
        ValueError: neither, or less than 1.
    """
    found = re.fullmatch(r"\s*(\d[\d_,]*(?:\.\d+)?(?:[eE]\d+)?)\s*([kMGBT]?)\s*", text)
    count = 0
    if found is not None:
        count = round(float(re.sub("[_,]", "", found[1])) * COUNTS[found[2]])
    if count < 1:
        raise ValueError(f"not a number of rows (got {text!r}); write 1000000, 1e6 or 1M")
    return count


def parse_bytes(text: str) -> int:
    """Return bytes from `10TB`, `2kB`, `64MiB` or a plain number.

    Raises:
        ValueError: none of these, or less than 1.
    """
    size = parse_size(text)
    assert isinstance(size, int), "a text is parsed to a whole number"
    if size < 1:
        raise ValueError(f"not a size (got {text!r}): at least 1 byte")
    return size
