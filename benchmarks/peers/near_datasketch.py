"""Near-duplicates by datasketch: a MinHash a text, one LSH index.

    python near_datasketch.py INPUT.parquet OUTPUT.txt

Words by `\\w+` of the lower-cased text, 5-word shingles (a shorter text is one shingle), 128
permutations, 16 bands of 8, xxh3 in place of the slower default hash. A text that shares a band
with a kept one is dropped; nothing is verified.
"""

import re
import sys
from pathlib import Path

import pyarrow.parquet as pq
import xxhash
from datasketch import MinHash, MinHashLSH

BANDS, WIDTH, SHINGLE = 16, 8, 5
WORD = re.compile(r"\w+")


def shingles(text: str) -> list[bytes]:
    """Return the shingles of a text."""
    words = WORD.findall(text.lower())
    if not words:
        return []
    last = max(1, len(words) - SHINGLE + 1)
    return [" ".join(words[i : i + SHINGLE]).encode() for i in range(last)]


table = pq.read_table(sys.argv[1], columns=["id", "text"])
index = MinHashLSH(num_perm=BANDS * WIDTH, params=(BANDS, WIDTH))
with Path(sys.argv[2]).open("w") as out:
    for row_id, text in zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True):
        found = shingles(text)
        if found:
            sketch = MinHash(num_perm=BANDS * WIDTH, hashfunc=xxhash.xxh32_intdigest)
            sketch.update_batch(found)
            if index.query(sketch):
                continue
            index.insert(row_id, sketch, check_duplication=False)
        out.write(f"{row_id}\n")
