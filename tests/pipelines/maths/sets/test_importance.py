"""Importance weights of hashed n-grams against plain Python, and Gumbel draws."""

import itertools
import math
from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.sets.importance import (
    SCALE,
    bucket_counts,
    gumbel,
    log_ratios,
    log_weights,
    ngram_buckets,
)
from pipelines.maths.text.tokens import tokenize

BUCKETS = 50
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6)
TEXTS = st.lists(WORDS, min_size=1, max_size=6)


def tokens(lists):
    return tokenize(pa.array([" ".join(words) for words in lists], pa.string()))


def plain(words):
    """Return the buckets of the n-grams of one text, each found on its own."""
    one, pair = {}, {}
    for word in set(words):
        one[word] = int(ngram_buckets(tokens([[word]]), BUCKETS)[0][0])
    for ends in set(itertools.pairwise(words)):
        pair[ends] = int(ngram_buckets(tokens([ends]), BUCKETS)[1][0])
    return [one[w] for w in words] + [pair[p] for p in itertools.pairwise(words)]


@given(TEXTS)
def test_counts_and_weights_are_those_of_each_text_alone(texts):
    counts = Counter(bucket for words in texts for bucket in plain(words))
    assert dict(enumerate(bucket_counts(tokens(texts), BUCKETS).tolist())) == {
        i: counts[i] for i in range(BUCKETS)
    }
    ratios = np.arange(BUCKETS, dtype=np.int64) * 7 - 99
    expected = [sum(int(ratios[b]) for b in plain(w)) / SCALE if w else math.nan for w in texts]
    np.testing.assert_array_equal(log_weights(tokens(texts), ratios), expected)


def test_words_and_pairs_in_either_order_have_buckets_of_their_own():
    words, pairs, begins = ngram_buckets(tokens([["x", "y", "x"], ["y"]]), 1 << 40)
    assert begins.tolist() == [True, True, False, False]
    assert len({*words.tolist(), *pairs[begins].tolist()}) == 4


def test_log_ratio_is_that_of_the_probabilities():
    target, raw = np.array([3, 1, 0]), np.array([2, 2, 6])
    ratios = log_ratios(target, raw) / SCALE
    np.testing.assert_allclose(ratios[:2], [math.log(0.75 / 0.2), math.log(0.25 / 0.2)], atol=1e-6)
    assert ratios[2] < -17
    smooth = log_ratios(target, raw, smoothing=1.0) / SCALE
    np.testing.assert_allclose(smooth, np.log(np.array([4, 2, 1]) / 7 / (raw / 10)), atol=1e-6)


def test_gumbel_top_k_draws_in_proportion_to_weights():
    hashes = np.random.default_rng(0).integers(0, 1 << 64, (20_000, 3), dtype=np.uint64)
    weights = np.array([0.6, 0.3, 0.1])
    won = np.bincount((np.log(weights) + gumbel(hashes)).argmax(axis=1)) / len(hashes)
    np.testing.assert_allclose(won, weights, atol=0.015)
    assert np.isfinite(gumbel(np.array([0, (1 << 64) - 1], np.uint64))).all()
