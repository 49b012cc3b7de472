"""Near-duplicate images by imagehash: 64-bit pHash, all pairs by numpy, 8 bits or fewer apart.

    python images_imagehash.py FOLDER OUTPUT.txt

Components of close pairs are clusters; the first file of each is kept. Files that do not open are
left out of the search and kept.
"""

import sys
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image, UnidentifiedImageError

DISTANCE = 8

files = sorted(Path(sys.argv[1]).iterdir())
hashes: list[int] = []
able: list[int] = []
for i, file in enumerate(files):
    try:
        with Image.open(file) as image:
            hashes.append(int(str(imagehash.phash(image)), 16))
            able.append(i)
    except (UnidentifiedImageError, OSError):
        continue
words = np.array(hashes, dtype=np.uint64)
parent = list(range(len(files)))


def find(i: int) -> int:
    """Return the root of a file."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


for i in range(len(words)):
    for j in np.flatnonzero(np.bitwise_count(words[i + 1 :] ^ words[i]) <= DISTANCE) + i + 1:
        a, b = find(able[i]), find(able[j])
        parent[max(a, b)] = min(a, b)
kept = [file.name for i, file in enumerate(files) if find(i) == i]
Path(sys.argv[2]).write_text("".join(f"{name}\n" for name in kept))
