import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.text.whitespace import tidy

GONE = [chr(c) for c in range(0xA0) if not chr(c).isspace() and (c < 0x20 or c >= 0x7F)]
GONE += ["\u200b", "\u2060", "\ufeff"]
BLANKS = [chr(c) for c in range(0x3001) if chr(c).isspace()]
TRICKY = st.sampled_from([*GONE[:4], *GONE[-5:], *BLANKS, "a", "é", "€", "\u200c", "\u200a", "😀"])
TEXTS = st.text(st.one_of(TRICKY, st.characters(codec="utf-8")), max_size=40)


def slow_tidy(text: str) -> str:
    """What `tidy` promises, one character at a time."""
    text = re.sub("[" + "".join(map(re.escape, GONE)) + "]", "", text.replace("\r\n", "\n"))

    def shrink(run: re.Match[str]) -> str:
        breaks = sum(bool(c.splitlines() == [""]) for c in run[0])
        return "\n" * min(breaks, 2) or " "

    return re.sub(r"\s+", shrink, text).strip()


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=8))
def test_tidy_equals_a_slow_reference(texts):
    assert tidy(pa.array(texts, pa.string())).to_pylist() == [
        None if text is None else slow_tidy(text) for text in texts
    ]


@given(st.lists(TEXTS, max_size=5))
def test_tidy_twice_changes_nothing_more(texts):
    once = tidy(pa.array(texts, pa.string()))
    assert tidy(once).equals(once)


@given(TEXTS)
def test_tidy_keeps_the_words_and_never_merges_two(text):
    words = tidy(pa.array([text])).to_pylist()[0].split()
    bare = text.translate(dict.fromkeys(map(ord, GONE)))
    assert words == bare.split()


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=8), st.data())
def test_tidy_takes_slices_and_does_not_see_beyond_them(texts, data):
    start = data.draw(st.integers(0, len(texts)))
    length = data.draw(st.integers(0, len(texts) - start))
    column = pa.array(texts, pa.string())
    part = tidy(column.slice(start, length))
    part.validate(full=True)
    assert part.equals(tidy(column).slice(start, length))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a \t b", "a b"),
        ("a \n b", "a\nb"),
        ("a\r\nb", "a\nb"),
        ("a\r\n \r\n\r\nb", "a\n\nb"),
        ("a\u2029b\u3000c", "a\nb c"),
        ("\ufeff a\x00\x1b b\u200b ", "a b"),
        ("a \u200b b", "a b"),
        ("\u200d👩\u200d🔬 می\u200cخواهم", "\u200d👩\u200d🔬 می\u200cخواهم"),
        (" \u200b\n", ""),
        ("", ""),
    ],
)
def test_tidy_of_known_texts(text, expected):
    assert tidy(pa.array([text])).to_pylist() == [expected]


def test_tidy_knows_every_white_space_of_python():
    blanks = [chr(c) for c in range(sys.maxunicode + 1) if chr(c).isspace()]
    spaced = tidy(pa.array([f"a{blank}b" for blank in blanks])).to_pylist()
    assert spaced == ["a\nb" if len(f"a{b}b".splitlines()) == 2 else "a b" for b in blanks]


def test_tidy_leaves_its_input_alone():
    column = pa.array(["a  b", None, "c\x00"])
    before = column.to_pylist()
    tidy(column)
    assert column.to_pylist() == before


def test_tidy_of_texts_without_bytes():
    for column in (pa.array([], pa.string()), pa.nulls(3, pa.string()), pa.array(["", ""])):
        assert tidy(column).equals(column)


def test_tidy_handles_nulls_that_hide_bytes():
    offsets = pa.py_buffer(np.array([0, 3, 6], np.int32).tobytes())
    hidden = pa.Array.from_buffers(
        pa.string(), 2, [pa.py_buffer(b"\x02"), offsets, pa.py_buffer(b"x  y  ")]
    )
    assert tidy(hidden).to_pylist() == [None, "y"]
