"""Winnowing: the hashes of windows, what is selected, and the guarantee."""

from collections import Counter
from itertools import groupby, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths.arrays import offsets_of
from pipelines.maths.text.tokens import Tokens
from pipelines.maths.text.winnowing import gram_size, least_hashes, runs_of, selected, window_hashes

WORDS = np.random.default_rng(0).integers(0, 1 << 64, 1000, dtype=np.uint64)
TEXTS = st.lists(st.lists(st.integers(0, 1), max_size=24), min_size=1, max_size=5)
SPANS = st.integers(4, 9)


def tokens_of(texts: list[list[int]]) -> Tokens:
    return Tokens(
        WORDS[np.array([w for t in texts for w in t], int)], offsets_of([*map(len, texts)])
    )


def windows(texts: list[list[int]], size: int) -> dict[tuple[int, ...], list[int]]:
    """Places, counted over all texts, of each window."""
    found: dict[tuple[int, ...], list[int]] = {}
    first = 0
    for text in texts:
        for at in range(len(text) - size + 1):
            found.setdefault(tuple(text[at : at + size]), []).append(first + at)
        first += len(text)
    return found


@given(TEXTS, st.integers(1, 9))
def test_window_hashes_are_equal_for_equal_windows_alone(texts, size):
    flat = [word for text in texts for word in text]
    hashes = window_hashes(tokens_of(texts).hashes, size).tolist()
    named = [tuple(flat[i : i + size]) for i in range(len(flat) - size + 1)]
    assert len(hashes) == len(named)
    assert len(set(hashes)) == len(set(named)) == len(set(zip(hashes, named, strict=True)))


@settings(max_examples=200)
@given(TEXTS, SPANS)
def test_least_hashes_are_those_of_each_window_of_a_text(texts, span):
    tokens = tokens_of(texts)
    grams = window_hashes(tokens.hashes, gram_size(span))
    least = least_hashes(tokens, grams, span)
    expected = np.zeros(len(tokens.hashes), np.uint64)
    for places in windows(texts, span).values():
        for at in places:
            expected[at] = grams[at : at + span - gram_size(span) + 1].min()
    assert least.tolist() == expected.tolist()


@settings(max_examples=500)
@given(TEXTS, SPANS)
def test_windows_that_occur_twice_have_a_selected_gram_that_occurs_twice(texts, span):
    tokens = tokens_of(texts)
    least = least_hashes(tokens, window_hashes(tokens.hashes, gram_size(span)), span)
    at, hashes = selected(tokens, span)
    assert (np.diff(at) > 0).all()
    times = Counter(hashes.tolist())
    for places in windows(texts, span).values():
        for place in places:
            assert times[int(least[place])] >= min(2, len(places))


@settings(max_examples=200)
@given(TEXTS, SPANS)
def test_selected_grams_are_least_in_some_window(texts, span):
    tokens = tokens_of(texts)
    grams = window_hashes(tokens.hashes, gram_size(span))
    least = least_hashes(tokens, grams, span)
    at, hashes = selected(tokens, span)
    assert hashes.tolist() == grams[at].tolist()
    width = span - gram_size(span) + 1
    for place in at:
        assert grams[place] in least[max(0, place - width + 1) : place + 1]


@settings(max_examples=200)
@given(TEXTS, SPANS)
def test_runs_are_windows_of_one_text_with_one_least_gram(texts, span):
    tokens = tokens_of(texts)
    least = least_hashes(tokens, window_hashes(tokens.hashes, gram_size(span)), span)
    expected, first = [], 0
    for i, j in pairwise(tokens.offsets.tolist()):
        for value, run in groupby(least[i:j].tolist()):
            length = len(list(run))
            if value:
                expected.append((first, length))
            first += length
    starts, lengths = runs_of(tokens, least)
    assert list(zip(starts.tolist(), lengths.tolist(), strict=True)) == expected


@pytest.mark.parametrize("span", [4, 10, 50])
def test_selected_grams_are_as_few_as_the_paper_says(span):
    count = 200_000
    tokens = Tokens(
        np.random.default_rng(1).integers(0, 1 << 64, count, dtype=np.uint64),
        np.array([0, count]),
    )
    at, _ = selected(tokens, span)
    assert len(at) / count == pytest.approx(2 / (span - gram_size(span) + 2), rel=0.05)


def test_periodic_text_selects_each_gram_but_twice():
    tokens = tokens_of([[0] * 500, [0] * 500, [0, 1, 2] * 100])
    at, hashes = selected(tokens, 20)
    assert len(at) == 6
    assert len(set(hashes.tolist())) == 2
