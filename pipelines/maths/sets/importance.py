"""Importance weights by hashed n-grams: how much likelier a text is in a target than in the corpus.

The features of Xie et al. 2023, "Data Selection for Language Models via Importance Resampling"
(arXiv:2302.03169): words and pairs of neighbouring words, each hashed to one of some thousand
buckets; a text is a bag of them. Weights are summed as integers, so that they do not depend on the
order of addition.
"""

from typing import cast

import numpy as np

from pipelines.maths.arrays import ODD, Floats, Int64, Mask, UInt64, mix
from pipelines.maths.text.tokens import Tokens

SCALE = 2.0**22
"""Log ratios are rounded to multiples of 1 / SCALE, far beyond where processors differ."""
_DECIMALS = 9
_FLOOR = 1e-8
"""Added to probabilities, as in the authors' code (p-lambda/dsir, hashed_ngram_dsir.py)."""


def ngram_buckets(tokens: Tokens, buckets: int) -> tuple[Int64, Int64, Mask]:
    """Return the bucket of each word, of the pair it begins, and whether it begins one."""
    hashes = tokens.hashes
    following = np.append(hashes[1:], np.uint64(0))
    pairs = mix(mix(hashes) * np.uint64(ODD) + following)
    begins = np.ones(len(hashes), dtype=np.bool_)
    begins[tokens.offsets[1:][tokens.counts > 0] - 1] = False
    size = np.uint64(buckets)
    return (mix(hashes) % size).astype(np.int64), (pairs % size).astype(np.int64), begins


def bucket_counts(tokens: Tokens, buckets: int) -> Int64:
    """Return how many n-grams of some texts fall into each bucket, shape (buckets,)."""
    words, pairs, begins = ngram_buckets(tokens, buckets)
    counts = np.bincount(words, minlength=buckets)
    counts += np.bincount(pairs[begins], minlength=buckets)
    return counts


def log_ratios(target: Int64, raw: Int64, smoothing: float = 0.0) -> Int64:
    """Return log(target / raw) of the probability of each bucket, times SCALE.

    Args:
        target: n-grams of the target by bucket, not all 0 unless smoothed.
        raw: n-grams of the corpus by bucket, not all 0.
        smoothing: added to the counts of the target.
    """
    wanted, found = target + smoothing, raw / raw.sum()
    ratios = np.log(wanted / wanted.sum() + _FLOOR) - np.log(found + _FLOOR)
    return np.asarray(np.rint(ratios * SCALE), dtype=np.int64)


def log_weights(tokens: Tokens, ratios: Int64) -> Floats:
    """Return the log importance weight of each text; NaN for a text without words."""
    words, pairs, begins = ngram_buckets(tokens, len(ratios))
    values = ratios[words] + np.where(begins, ratios[pairs], 0)
    running = np.concatenate([[0], np.cumsum(values)])
    sums = running[tokens.offsets[1:]] - running[tokens.offsets[:-1]]
    return np.where(tokens.counts > 0, sums / SCALE, np.nan)


def gumbel(hashes: UInt64) -> Floats:
    """Return a standard Gumbel draw for each uniform 64-bit hash.

    The rows with the highest log weight + draw are a sample without replacement in proportion to
    the weights (Gumbel top-k; Kool et al. 2019, arXiv:1903.06059).
    """
    uniform = ((hashes >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52  # never 0 or 1
    return cast("Floats", np.round(-np.log(-np.log(uniform)), _DECIMALS))
