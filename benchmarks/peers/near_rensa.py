"""Near-duplicates by rensa (MinHash in Rust), no framework around it: a lower bound of the cost.

    python near_rensa.py INPUT.parquet OUTPUT.txt

Words by `\\w+` of the lower-cased text, 5-word shingles (a shorter text is one shingle), 128
permutations, 16 bands of 8, nothing verified; rows that share a band are one cluster, of which the
first is kept.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import xxhash
from rensa import RMinHash

BANDS, WIDTH, SHINGLE = 16, 8, 5
WORD = re.compile(r"\w+")


def shingles(text: str) -> list[int]:
    """Return the hashes of the shingles of a text."""
    words = WORD.findall(text.lower())
    if not words:
        return []
    last = max(1, len(words) - SHINGLE + 1)
    return [
        xxhash.xxh3_64_intdigest(" ".join(words[i : i + SHINGLE]).encode()) for i in range(last)
    ]


table = pq.read_table(sys.argv[1], columns=["id", "text"])
sets = [shingles(text) for text in table["text"].to_pylist()]
able = np.array([i for i, found in enumerate(sets) if found])
matrix = RMinHash.digest_matrix_from_token_hash_sets([sets[i] for i in able], BANDS * WIDTH, 42)
signature = np.array(matrix.to_rows(), dtype=np.uint32)

parent = np.arange(len(sets))


def find(i: int) -> int:
    """Return the root of a row."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


for band in range(BANDS):
    columns = np.ascontiguousarray(signature[:, band * WIDTH : (band + 1) * WIDTH])
    keys = columns.view(f"V{4 * WIDTH}").ravel()
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    for i, j in zip(able, able[first[group]], strict=True):
        if i != j:
            a, b = find(i), find(j)
            parent[max(a, b)] = min(a, b)

ids = table["id"].to_pylist()
with Path(sys.argv[2]).open("w") as out:
    out.writelines(f"{ids[i]}\n" for i in range(len(ids)) if find(i) == i)
