"""Tokens against the regular expression they stand for; shingles against slices of lists."""

import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths import arrays
from pipelines.maths.arrays import hash_strings, utf8_bytes
from pipelines.maths.text.beyond_ascii import INNER, MARKS, SEPARATORS, UNSPACED
from pipelines.maths.text.tokens import shingles, token_spans, tokenize
from pipelines.rows import ID, KEY, Columns, Rows
from pipelines.rows.views import shingles_of, tokens_of

MIXED = st.text(
    st.one_of(
        st.characters(codec="utf-8"),
        st.sampled_from(
            "aAbBzZ_09 .,-'\n\tÄäßéÉΣσςЖжİıẞK漢字かなไทย𐐀𐐨𞤀𞤢😀🏽𝒳²½\u0301\u200d"
            '’·״"שׁ׳\u00ad\u200e\u200b\ufeffกําลัງガﾞ々\u0387\u3099'
        ),
    ),
    max_size=40,
)


def is_mark(char: str) -> bool:
    return unicodedata.category(char)[0] == "M" or char in MARKS


def is_format(char: str) -> bool:
    return unicodedata.category(char) == "Cf" and char not in MARKS and char not in SEPARATORS


def is_letter(char: str) -> bool:
    return (char.isalnum() and not is_mark(char)) or char in ("_", "\u05f3")


def alone(char: str) -> bool:
    point = ord(char)
    unspaced = any(first <= point <= last for first, last in UNSPACED)
    return (unspaced and is_letter(char)) or 0x20000 <= point < 0x32400


def lower(char: str) -> str:
    small = char.lower()
    same = len(small) == 1 and len(small.encode()) == len(char.encode())
    return small if same else char


def words(text: str | None) -> list[str]:
    """Tokens by the definition, character by character, as they stand in the text."""
    found, inside, after_alone = [], False, False
    for i, char in enumerate(text or ""):
        after = text[i + 1 : i + 2]
        joins = inside and not after_alone and after and is_letter(after) and not alone(after)
        hebrew = char == '"' and i and {text[i - 1], after} <= set(map(chr, range(0x5C0, 0x600)))
        if char == "'" or char in INNER or hebrew:
            inside = bool(joins)
        elif is_mark(char) or (is_format(char) and ord(char) < 0x20000):
            pass
        elif is_letter(char) or alone(char):
            if not inside or after_alone or alone(char):
                found.append("")
            inside, after_alone = True, alone(char)
        else:
            inside = False
        if inside:
            found[-1] += char
    return found


def hashed(word: str) -> str:
    """What of a token is hashed."""
    return "".join(INNER.get(char) or lower(char) for char in word if not is_format(char))


def token_lists(texts: list[str | None]) -> list[list[int]]:
    found = tokenize(pa.array(texts, pa.string()))
    return [
        found.hashes[i:j].tolist()
        for i, j in zip(found.offsets[:-1], found.offsets[1:], strict=True)
    ]


def hash_of(word: str) -> int:
    """Hash of a token, by way of another function."""
    return int(hash_strings(pa.array([hashed(word)]))[0])


@settings(max_examples=300)
@given(st.lists(st.one_of(st.none(), MIXED), max_size=6))
def test_tokens_are_the_words_of_the_definition(texts):
    assert token_lists(texts) == [[hash_of(w) for w in words(t)] for t in texts]


@settings(max_examples=300)
@given(MIXED)
def test_tokens_equal_the_regular_expression_apart_from_what_is_documented(text):
    plain = "".join(c for c in text if not alone(c) and lower(c) == c.lower() and c != "Σ")
    joins = {*INNER, "'", "\u05f3"}
    plain = "".join(c for c in plain if not (is_mark(c) or is_format(c) or c in joins))
    assert [w.lower() for w in words(plain)] == re.findall(r"\w+", plain.lower())
    assert token_lists([plain])[0] == [hash_of(w) for w in re.findall(r"\w+", plain.lower())]


def test_tokens_of_scripts_without_spaces_are_characters():
    assert [len(t) for t in token_lists(["東京タワー", "ราคา 42", "abc東京def", "𠀀𠀁"])] == [
        5,
        5,
        4,
        2,
    ]


def test_tokens_of_adlam_and_deseret_are_words_without_case():
    upper, small = token_lists(["𞤀𞤁 𐐀", "𞤢𞤣 𐐨"])
    assert upper == small
    assert len(upper) == 2


@settings(max_examples=200)
@given(st.lists(st.text("ab_0é漢", min_size=1, max_size=20), min_size=2, max_size=2))
def test_token_hashes_are_equal_only_for_equal_tokens(pair):
    first, second = token_lists(pair)
    assert (first == second) == (words(pair[0]) == words(pair[1]))


def test_token_hashes_do_not_collide_on_many_words():
    vocabulary = [f"{a}{i}" for i in range(20_000) for a in ("", "w", "a rather long prefix_")]
    found = {h for hashes in token_lists(vocabulary) for h in hashes}
    assert len(found) == len({w for text in vocabulary for w in words(text)})


@given(st.lists(st.one_of(st.none(), MIXED), max_size=8), st.integers(0, 8), st.integers(0, 8))
def test_tokens_do_not_depend_on_slices(texts, start, length):
    array = pa.array(texts, pa.string()).slice(start, length)
    found = tokenize(array)
    expected = tokenize(pa.array(array.to_pylist(), pa.string()))
    assert found.hashes.tolist() == expected.hashes.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()


def test_tokens_of_nothing():
    for texts in ([], [None], [""], [None, "", "..."]):
        found = tokenize(pa.array(texts, pa.string()))
        assert found.counts.tolist() == [0] * len(texts)


@given(st.lists(MIXED, max_size=6), st.data())
def test_tokens_filter_keeps_those_of_the_texts_that_stay(texts, data):
    keep = np.array([data.draw(st.booleans()) for _ in texts], dtype=bool)
    kept = [t for t, k in zip(texts, keep, strict=True) if k]
    found = tokenize(pa.array(texts, pa.string())).filter(keep)
    expected = tokenize(pa.array(kept, pa.string()))
    assert found.hashes.tolist() == expected.hashes.tolist()
    assert found.offsets.tolist() == expected.offsets.tolist()


WORDS = st.lists(st.lists(st.sampled_from("abcd"), max_size=8), max_size=6)


@given(WORDS, st.integers(1, 6))
def test_shingles_are_equal_where_windows_are(texts, size):
    found = shingles(tokenize(pa.array([" ".join(t) for t in texts], pa.string())), size)
    windows = []
    for text in texts:
        if len(text) < size:
            windows.append([tuple(text)] if text else [])
        else:
            windows.append([tuple(text[i : i + size]) for i in range(len(text) - size + 1)])
    assert found.counts.tolist() == [len(w) for w in windows]
    flat = [w for text in windows for w in text]
    meaning = dict(zip(found.hashes.tolist(), flat, strict=True))
    assert [meaning[h] for h in found.hashes.tolist()] == flat
    assert len(meaning) == len(set(flat))


def test_views_are_computed_once_and_follow_a_filter():
    table = pa.table({"t": ["a b c", "d e"], KEY: [0, 1], ID: ["x", "y"]})
    rows = Rows(table, Columns(text="t"))
    assert tokens_of(rows) is tokens_of(rows)
    shingles_of(rows, 2)
    kept = rows.filter(np.array([False, True]))
    assert tokens_of(kept).counts.tolist() == [2]
    assert shingles_of(kept, 2).counts.tolist() == [1]


@given(st.lists(st.one_of(st.none(), st.text(max_size=30)), max_size=10))
def test_hash_strings_is_equal_for_equal_strings_alone(strings):
    hashes = hash_strings(pa.array(strings, pa.string())).tolist()
    known = {}
    for text, found in zip(strings, hashes, strict=True):
        assert known.setdefault(text or "", found) == found
    assert len(set(known.values())) == len(known)


def test_utf8_bytes_of_a_slice_start_at_zero():
    raw, offsets = utf8_bytes(pa.array(["abc", None, "dé"]).slice(1))
    assert bytes(raw) == "dé".encode()
    assert offsets.tolist() == [0, 0, 3]


@settings(max_examples=200)
@given(st.lists(st.one_of(st.none(), MIXED), max_size=6))
def test_token_spans_are_the_bytes_of_the_tokens(texts):
    strings = pa.array(texts, pa.string())
    starts, lengths, offsets = token_spans(strings)
    tokens, raw = tokenize(strings), utf8_bytes(strings)[0].tobytes()
    assert offsets.tolist() == tokens.offsets.tolist()
    found = [raw[i : i + n].decode() for i, n in zip(starts, lengths, strict=True)]
    assert found == [w for t in texts for w in words(t)]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("मैं काँच खा सकता हूँ", 5),
        ("நான் கண்ணாடி சாப்பிடுவேன்", 3),
        ("আমি কাচ খেতে পারি", 4),
        ("می‌توانم بخورم", 2),
        ("العَرَبِيَّةُ لُغَةٌ", 2),
        ("שָׁלוֹם עֲלֵיכֶם", 2),
        ("don't l’homme rock 'n' roll", 5),
        ("❤️ 👩‍👩‍👧 ok", 1),
        ("' '' a' 'b", 2),
        ("葛\U000e0100 a\U000e0100b", 2),
        ("ex\u00adample \u200eword\u200f a\u2060b", 3),
        ("col·lecció צה״ל צ׳ק", 3),
        ("ก่ำ กี่", 2),
        ("が\u3099ｶﾞ", 2),
        ("one\u200btwo", 2),
    ],
)
def test_words_are_those_of_a_reader(text, count):
    assert tokenize(pa.array([text])).counts.tolist() == [count]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("don’t stop", "don't stop"),
        ("l\uff07homme", "l'homme"),
        ("ex\u00adam\u00adple", "example"),
        ("שלום\u200f עולם", "שלום עולם"),
        ("צה״ל", 'צה"ל'),
    ],
)
def test_invisible_and_typographic_variants_are_one_word(one, other):
    first, second = token_lists([one, other])
    assert first == second


def test_composed_and_decomposed_texts_have_as_many_words():
    text = "Tôi có thể ăn thủy tinh mà không hại gì"
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert tokenize(pa.array(forms)).counts.tolist() == [10, 10]


def test_hindi_texts_without_a_common_word_share_nothing():
    texts = ["मैं काँच खा सकता हूँ और मुझे उससे कोई चोट", "वह घर जाकर पानी पीता है तथा सो जाता"]
    one, other = (set(hashes) for hashes in token_lists(texts))
    assert not one & other


def test_one_giant_word_is_one_step(monkeypatch):
    steps = []
    eight = arrays._eight_bytes
    monkeypatch.setattr(arrays, "_eight_bytes", lambda *given: steps.append(1) or eight(*given))
    assert tokenize(pa.array(["acgt" * 100_000 + " and more"])).counts.tolist() == [3]
    assert len(steps) < 3 + arrays.LONG // 8
