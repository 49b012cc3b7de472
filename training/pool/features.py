"""Turn distinct texts and images into the arrays a run memory-maps, once for all runs."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from training.arrays import IntArray, KeyArray
from training.pool.content_keys import string_keys, text_keys
from training.pool.pictures import Mode, decode_picture, head
from training.pool.pretrained import image_vectors, text_vectors
from training.recipes import ModelRecipe

Arrays = dict[str, npt.NDArray[np.generic]]

BIAS = 0
"""Bucket that stands in every bag, so that the linear model needs no separate bias."""
PADDING, START = 0, 1
"""Tokens of a sequence that are no words; START stands first, so that no text is empty."""
VOCABULARY = 2**15
"""Tokens of sequence models: PADDING, START and hash buckets of words."""
MOST_WORDS = 400
"""Words in a bag; a linear model learns little from the rest of a long document."""
LEAST_SIDE = 8
"""Least side of training images in pixels: what the small CNN takes."""


@dataclass(frozen=True)
class Features:
    """Model inputs of each distinct content, and a key that is equal for equal content."""

    arrays: dict[str, npt.NDArray[np.generic]]
    keys: KeyArray
    readable: npt.NDArray[np.bool_]

    def save(self, folder: Path) -> None:
        """Write each array as a .npy file that the workers memory-map."""
        for name, array in self.arrays.items():
            np.save(folder / f"{name}.npy", array)


def text_features(texts: pa.Array, recipe: ModelRecipe) -> Features:
    """Return what the recipe's model reads of each text; keys ignore case and white space.

    Arrays: `grams` and `offsets` for linear, `tokens` and `offsets` for textcnn and transformer,
    `vectors` for pretrained.
    """
    if recipe.model == "linear":
        arrays = bags(texts, recipe.width)
    elif recipe.model == "pretrained":
        arrays = {"vectors": text_vectors(texts, recipe)}
    else:
        arrays = sequences(texts, recipe.context)
    return Features(arrays, text_keys(texts), np.ones(len(texts), dtype=np.bool_))


def bags(texts: pa.Array, buckets: int) -> Arrays:
    """Hash the word 1- and 2-grams of each text into `buckets`; the order of grams is lost."""
    rows = len(texts)
    document, hashed = _words(texts, MOST_WORDS)
    adjacent = document[1:] == document[:-1]
    pairs = _mix(hashed[:-1], hashed[1:])[adjacent]
    owner = np.concatenate([np.arange(rows), document, document[1:][adjacent]])
    bucket = np.concatenate([hashed, pairs]) % np.uint64(buckets - 1) + np.uint64(1)
    grams = np.concatenate([np.full(rows, BIAS, np.int32), bucket.astype(np.int32)])
    return {"grams": grams[np.argsort(owner, kind="stable")], "offsets": _offsets(owner, rows)}


def sequences(texts: pa.Array, context: int) -> Arrays:
    """Hash the first words of each text, in order, into tokens: START, then `context` - 1 words."""
    rows = len(texts)
    document, hashed = _words(texts, context - 1)
    owner = np.concatenate([np.arange(rows), document])
    word = (hashed % np.uint64(VOCABULARY - 2)).astype(np.int32) + 2
    tokens = np.concatenate([np.full(rows, START, np.int32), word])
    return {"tokens": tokens[np.argsort(owner, kind="stable")], "offsets": _offsets(owner, rows)}


def _words(texts: pa.Array, at_most: int) -> tuple[IntArray, KeyArray]:
    """Return the text of each word and its hash, `at_most` words of each text.

    Words are runs of letters and digits in lower case: a text in a script without spaces counts
    as few, long words, which is a weak reading of it.
    """
    split = pc.split_pattern_regex(pc.utf8_lower(texts), r"[^\p{L}\p{N}]+")
    lengths = pc.list_value_length(split).to_numpy(zero_copy_only=False)
    words = split.flatten().dictionary_encode()
    document = np.repeat(np.arange(len(texts)), lengths)
    position = np.arange(len(document)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    code = words.indices.to_numpy()
    filled = pc.not_equal(words.dictionary, "").to_numpy(zero_copy_only=False)
    keep = filled[code] & (position < at_most)
    return document[keep], string_keys(words.dictionary.to_pylist())[code[keep]]


def _offsets(owner: IntArray, rows: int) -> IntArray:
    return np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=rows))])


def _mix(first: KeyArray, second: KeyArray) -> KeyArray:
    """Hash an ordered pair of hashes (the finisher of SplitMix64, Steele et al. 2014)."""
    mixed = first * np.uint64(0x9E3779B97F4A7C15) + second
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return mixed ^ (mixed >> np.uint64(27))


def image_features(payloads: pa.Array, recipe: ModelRecipe) -> Features:
    """Decode each image once to a common even square side, uint8, in NCHW order.

    The side is the median one, `recipe.side` at most; grey if every image is grey, else RGB.
    `features` gets vectors instead. The key covers the decoded pixels at full size, so one
    picture in two lossless encodings is one content; a re-compressed copy is another.
    """
    encoded = payloads.to_pylist()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        heads = list(pool.map(head, encoded))
        sides = [found[0] for found in heads if found]
        side = int(np.clip(np.median(sides), LEAST_SIDE, recipe.side)) if sides else LEAST_SIDE
        side += side % 2
        mode: Mode = "L" if all(found[1] for found in heads if found) else "RGB"
        found = list(pool.map(lambda payload: decode_picture(payload, side, mode), encoded))
    keys = np.array([0 if image is None else image[1] for image in found], dtype=np.uint64)
    readable = np.array([image is not None for image in found])
    if recipe.model == "features":
        return Features({"vectors": image_vectors(payloads, readable, recipe)}, keys, readable)
    blank = np.zeros((len(mode), side, side), dtype=np.uint8)
    pixels = np.stack([blank if image is None else image[0] for image in found])
    return Features({"pixels": pixels}, keys, readable)
