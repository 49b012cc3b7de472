"""Spans against slices of Python bytes."""

import re
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths.arrays import offsets_of
from pipelines.maths.text.spans import bytes_of_tokens, equal_runs, merged, pieces, without
from pipelines.maths.text.tokens import token_spans

TEXT = st.text("aé漢😀 \n", max_size=12)
TEXTS = st.lists(st.one_of(st.none(), TEXT), min_size=1, max_size=6)


def arrays(spans) -> tuple[np.ndarray, ...]:
    return tuple(np.array([s[i] for s in spans], dtype=np.int64) for i in range(3))


@st.composite
def texts_and_spans(draw):
    """Texts, and spans of them that end between characters."""
    texts = draw(TEXTS)
    spans = []
    for i, text in enumerate(texts):
        edges = offsets_of([len(c.encode()) for c in text or ""]).tolist()
        pairs = st.tuples(st.sampled_from(edges), st.sampled_from(edges)).map(sorted)
        spans += [(i, start, stop) for start, stop in draw(st.lists(pairs, max_size=4))]
    return texts, draw(st.permutations(spans))


@given(st.lists(st.integers(0, 2), max_size=20))
def test_equal_runs_are_those_of_the_values(values):
    starts, lengths = equal_runs(np.array(values, dtype=np.int64))
    rebuilt = [v for s, n in zip(starts, lengths, strict=True) for v in [values[s]] * n]
    assert rebuilt == values
    assert all(values[s] != values[s - 1] for s in starts[1:])


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(1, 4)), max_size=12))
def test_merged_spans_cover_the_same_and_do_not_touch(given_spans):
    spans = [(text, start, start + length) for text, start, length in given_spans]
    found = list(zip(*(part.tolist() for part in merged(*arrays(spans))), strict=True))
    covered = {(t, i) for t, start, stop in spans for i in range(start, stop)}
    assert {(t, i) for t, start, stop in found for i in range(start, stop)} == covered
    assert found == sorted(found)
    assert all(a[0] < b[0] or a[2] < b[1] for a, b in pairwise(found))


@settings(max_examples=300)
@given(texts_and_spans(), st.integers(0, 2))
def test_without_cuts_what_spans_cover_and_nothing_else(case, sliced):
    texts, spans = case
    strings = pa.array(["x"] * sliced + texts, pa.string()).slice(sliced)
    expected = []
    for i, text in enumerate(texts):
        gone = {at for t, start, stop in spans if t == i for at in range(start, stop)}
        left = [b for at, b in enumerate((text or "").encode()) if at not in gone]
        expected.append(None if text is None else bytes(left).decode())
    found = without(strings, *arrays(spans))
    found.validate(full=True)
    assert found.to_pylist() == expected


def test_pieces_are_slices_of_all_bytes():
    strings = pa.array(["abc", None, "défg", ""])
    found = pieces(strings, np.array([0, 2, 3]), np.array([1, 3, 6]))
    assert found.to_pylist() == ["a", "c", "dé"]
    assert pieces(strings, np.empty(0, np.int64), np.empty(0, np.int64)).to_pylist() == []


def cut_tokens(text: str, first: int, after: int) -> str:
    """Cut tokens by the definition in words."""
    tokens = [m.span() for m in re.finditer(r"[漢]|[^\W漢]+", text)]
    before = tokens[first - 1][1] if first else 0
    following = tokens[after][0] if after < len(tokens) else len(text)
    gap, rest = text[before : tokens[first][0]], text[tokens[after - 1][1] : following]
    leads = first == 0 or "\n" in gap
    begin = before + gap.rfind("\n") + 1 if leads else tokens[first][0]
    if "\n" in rest:
        following = tokens[after - 1][1] + rest.index("\n") + leads
    return text[:begin] + text[following:]


@settings(max_examples=300)
@given(st.lists(st.text("aé漢 .\n", max_size=12), min_size=1, max_size=4), st.data())
def test_tokens_are_cut_with_what_follows_them_but_for_the_line_break(texts, data):
    strings = pa.array(texts)
    _, _, offsets = token_spans(strings)
    spans = []
    for i, count in enumerate(np.diff(offsets).tolist()):
        if count:
            first = data.draw(st.integers(0, count - 1))
            spans.append((i, first, data.draw(st.integers(first + 1, count))))
    numbers, firsts, afters = arrays(spans)
    starts, stops, counts = bytes_of_tokens(strings, numbers, firsts, afters)
    assert counts.tolist() == np.diff(offsets).tolist()
    expected = list(texts)
    for i, first, after in spans:
        expected[i] = cut_tokens(texts[i], first, after)
    assert without(strings, numbers, starts, stops).to_pylist() == expected


def test_tokens_cut_from_a_list_leave_no_bullet_and_no_empty_line():
    text = pa.array(["Intro.\n\n- one two;\n- three four.\nEnd: five six."])
    for first, after, left in [
        (1, 3, "Intro.\n\n- three four.\nEnd: five six."),
        (2, 4, "Intro.\n\n- one four.\nEnd: five six."),
        (5, 6, "Intro.\n\n- one two;\n- three four.\nfive six."),
        (6, 8, "Intro.\n\n- one two;\n- three four.\nEnd: "),
    ]:
        starts, stops, _ = bytes_of_tokens(text, *arrays([(0, first, after)]))
        assert without(text, np.zeros(1, np.int64), starts, stops).to_pylist() == [left]
