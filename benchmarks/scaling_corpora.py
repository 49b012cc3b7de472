"""Corpora of any size for `benchmarks.scaling`, from a seed, written chunk by chunk.

Every chunk of 10,000 rows has the same mix, so that doubling the rows doubles the work and changes
nothing else: 80 % originals, 10 % exact copies, 10 % copies with a few words changed; vectors and
images have 10 % near-copies.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

CHUNK = 10_000
VOCABULARY = 50_000
LABELS = 20
TOPICS = 2_000

Make = Callable[[np.random.Generator, int], dict[str, pa.Array]]


def generate(path: Path, kind: str, rows: int, seed: int = 0) -> dict[str, float]:
    """Write a corpus as Parquet; returns the bytes per row of content and of all columns."""
    make = KINDS[kind]
    content = stored = 0
    writer: pq.ParquetWriter | None = None
    for start in range(0, rows, CHUNK):
        rng = np.random.default_rng((seed, start))
        n = min(CHUNK, rows - start)
        labels = rng.integers(0, LABELS, n)
        columns = make(rng, n) | {
            "id": pa.array([f"d{i:09d}" for i in range(start, start + n)]),
            "label": pa.array([f"class {i}" for i in labels.tolist()]),
            "source": pa.array([f"source {i}" for i in rng.integers(0, 5, n).tolist()]),
            "quality": pa.array(rng.random(n)),
        }
        table = pa.table(columns)
        if writer is None:
            writer = pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        content += sum(table[name].nbytes for name in ("text", "image") if name in columns)
        stored += table.nbytes
    assert writer is not None, "a corpus has rows"
    writer.close()
    return {"content": content / rows, "stored": stored / rows}


def texts(rng: np.random.Generator, rows: int, words: int, line: int = 0) -> pa.Array:
    """Return texts of about `words` made-up words each, Zipf-distributed, with copies.

    With `line`, a line ends after so many words.
    """
    originals = max(1, rows * 8 // 10)
    lengths = rng.integers(words * 2 // 3, words * 4 // 3 + 1, originals)
    ranks = np.floor(VOCABULARY ** rng.random(int(lengths.sum()))).astype(np.int64) - 1
    copied = rng.integers(0, originals, rows - originals)
    of = np.concatenate([np.arange(originals), copied])
    starts = np.cumsum(lengths) - lengths
    offsets = np.concatenate([[0], np.cumsum(lengths[of])])
    at = np.arange(offsets[-1]) - np.repeat(offsets[:-1] - starts[of], lengths[of])
    drawn = ranks[at]
    first_changed = offsets[originals + (rows - originals) // 2]  # the second half of the copies
    changed = np.flatnonzero(rng.random(len(drawn) - first_changed) < 1 / 60) + first_changed
    drawn[changed] = rng.integers(0, VOCABULARY, len(changed))
    if line:
        place = np.arange(offsets[-1]) - np.repeat(offsets[:-1], lengths[of])
        drawn[place % line == line - 1] += VOCABULARY
    words_of = pa.concat_arrays([_words(), pc.binary_join_element_wise(_words(), "", "\n")])
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), words_of.take(pa.array(drawn)))
    joined = pc.binary_join(lists, " ")
    return joined.take(pa.array(rng.permutation(rows)))


def _words() -> pa.Array:
    rng = np.random.default_rng(1)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    sizes = rng.integers(2, 11, VOCABULARY)
    flat = "".join(letters[rng.integers(0, 26, int(sizes.sum()))])
    ends = np.cumsum(sizes)
    pairs = zip((ends - sizes).tolist(), ends.tolist(), strict=True)
    return pa.array([flat[i:j] for i, j in pairs])


def vectors(rng: np.random.Generator, rows: int, dimensions: int) -> pa.Array:
    """Return unit vectors about TOPICS centres, one in ten close to another."""
    centres = np.random.default_rng(2).normal(size=(TOPICS, dimensions)).astype(np.float32)
    made = centres[rng.integers(0, TOPICS, rows)]
    made += rng.normal(size=made.shape).astype(np.float32)
    near = rng.permutation(rows)[: rows // 10]
    made[near] = made[rng.integers(0, rows, len(near))]
    made[near] += 0.1 * rng.normal(size=(len(near), dimensions)).astype(np.float32)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return pa.FixedSizeListArray.from_arrays(pa.array(made.ravel()), dimensions)


def images(rng: np.random.Generator, rows: int, pixels: int) -> pa.Array:
    """Return smooth square random JPEG images, one in ten another quality of another."""
    import cv2

    def encode(picture: npt.NDArray[np.uint8], quality: int) -> bytes:
        return bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])

    originals = max(1, rows * 9 // 10)
    coarse = rng.integers(0, 256, (originals, 8, 8, 3), dtype=np.uint8)
    large = [cv2.resize(c, (pixels, pixels), interpolation=cv2.INTER_CUBIC) for c in coarse]
    made = [encode(picture, 90) for picture in large]
    copied = rng.integers(0, originals, rows - originals).tolist()
    return pa.array([*made, *(encode(large[i], 70) for i in copied)], pa.binary())


KINDS: dict[str, Make] = {
    "short": lambda rng, n: {"text": texts(rng, n, 8)},
    "text": lambda rng, n: {"text": texts(rng, n, 60)},
    "lines": lambda rng, n: {"text": texts(rng, n, 60, line=10)},
    "long": lambda rng, n: {"text": texts(rng, n, 240)},
    "vectors": lambda rng, n: {"text": texts(rng, n, 8), "embedding": vectors(rng, n, 64)},
    "wide": lambda rng, n: {"text": texts(rng, n, 8), "embedding": vectors(rng, n, 256)},
    "images": lambda rng, n: {"image": images(rng, n, 64)},
    "photos": lambda rng, n: {"image": images(rng, n, 224)},
}
"""What a row of each corpus holds besides id, label, source and quality."""
DIMENSIONS = {"vectors": 64, "wide": 256}

if __name__ == "__main__":
    print(json.dumps(generate(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
