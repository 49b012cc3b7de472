"""Characters of texts against Python's strings."""

import unicodedata
from itertools import pairwise

import pyarrow as pa
from corpus import make_rows
from hypothesis import given
from hypothesis import strategies as st

from pipelines.maths.text.characters import character_tokens, characters
from pipelines.rows.views import character_shingles_of

TEXTS = st.lists(
    st.one_of(st.none(), st.text(max_size=12), st.text(" \t\n\u00a0\u3000aÄßẞΣςé😀", max_size=12)),
    max_size=8,
)


def folded(char: str) -> str:
    """Simple case folding: one character for one."""
    return next((c for c in (char.casefold(), char.lower()) if len(c) == 1), char)


def expected(text: str | None) -> str:
    return " ".join("".join(map(folded, text or "")).split())


@given(TEXTS, st.integers(0, 3))
def test_characters_are_those_of_the_folded_text_with_single_spaces(texts, start):
    points, offsets = characters(pa.array(texts, pa.string()).slice(start))
    found = ["".join(map(chr, points[i:j])) for i, j in pairwise(offsets.tolist())]
    assert found == [expected(text) for text in texts[start:]]


def test_characters_fold_as_unicode_does():
    assert [expected(t) for t in ("Straẞe ΣΑΣ", "ǅ K ſ")] == ["straße σασ", "ǆ k s"]
    every = "".join(chr(p) for p in range(0x20, 0x20000) if unicodedata.category(chr(p))[0] == "L")
    points, _ = characters(pa.array([every, "ẞß", None]))
    assert "".join(map(chr, points)) == "".join(map(folded, every)) + "ßß"


@given(TEXTS)
def test_character_tokens_are_equal_where_characters_are(texts):
    tokens = character_tokens(pa.array(texts, pa.string()))
    points, offsets = characters(pa.array(texts, pa.string()))
    assert tokens.offsets.tolist() == offsets.tolist()
    pairs = set(zip(points.tolist(), tokens.hashes.tolist(), strict=True))
    assert len({p for p, _ in pairs}) == len({h for _, h in pairs}) == len(pairs)


@given(TEXTS.filter(len), st.integers(1, 6))
def test_character_shingles_are_equal_where_windows_are(texts, size):
    found = character_shingles_of(make_rows(text=pa.array(texts, pa.string())), size)
    windows = []
    for text, count in zip(map(expected, texts), found.counts.tolist(), strict=True):
        mine = [text[i : i + size] for i in range(max(1, len(text) - size + 1))] if text else []
        assert len(mine) == count
        windows += mine
    pairs = set(zip(windows, found.hashes.tolist(), strict=True))
    assert len({w for w, _ in pairs}) == len({h for _, h in pairs}) == len(pairs)
