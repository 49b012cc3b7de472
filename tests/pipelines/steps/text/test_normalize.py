import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_rows import cut, text_rows

from pipelines.rows.chance import Chance
from pipelines.steps.text.normalize import NormalizeText

CHANCE = Chance(0, 1)
ASSIGNED = st.characters(codec="utf-8", exclude_categories=["Cn", "Cs", "Co"])
TRICKY = st.sampled_from("e\u0301\u0327\u0344Å\u212b가\u1100\u1161ﬁ²½\xa0¨\u037a \n\x00\u200bİΣ")
TEXTS = st.text(st.one_of(ASSIGNED, TRICKY), max_size=20)
FORMS = st.sampled_from(["NFC", "NFKC", "none"])


def normalized(texts, **options):
    return NormalizeText(**options).apply(text_rows(texts), CHANCE).text.to_pylist()


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=6), FORMS, st.booleans())
def test_normalize_text_twice_changes_nothing_more(texts, form, lowercase):
    once = normalized(texts, unicode=form, lowercase=lowercase)
    assert normalized(once, unicode=form, lowercase=lowercase) == once


@given(st.lists(st.one_of(st.none(), TEXTS), max_size=6), st.lists(st.integers(0, 3)), FORMS)
def test_normalize_text_does_not_depend_on_batches(texts, sizes, form):
    step = NormalizeText(unicode=form)
    parts = [step.apply(part, CHANCE).text for part in cut(text_rows(texts), sizes)]
    assert pa.concat_arrays(parts).to_pylist() == normalized(texts, unicode=form)


@given(st.lists(TEXTS, min_size=1, max_size=6), st.sampled_from(["NFC", "NFKC"]))
def test_normalize_text_gives_the_normal_form(texts, form):
    for text in normalized(texts, unicode=form):
        assert unicodedata.is_normalized(form, text)


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        ({}, "Cafe\u0301\t\u212b ﬁ", "Café Å ﬁ"),
        ({}, "e\x00\u0301", "é"),
        ({"unicode": "NFKC"}, "ﬁ x² \xa0 a¨", "fi x2 a \u0308"),
        ({"unicode": "none"}, "e\u0301  b", "e\u0301 b"),
        ({"lowercase": True}, "ÉCOLE Straße", "école straße"),
        ({"lowercase": True, "unicode": "NFKC"}, "™𝐀", "tma"),
    ],
)
def test_normalize_text_of_known_texts(options, text, expected):
    assert normalized([text], **options) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Great.<br /><br />But <b>bo</b>ld &amp; 5 &lt; 6&#33;", "Great.\n\nBut bold & 5 < 6!"),
        ("<p class='x'>a</p><script>if (a<b) {}</script><!-- <i> -->b", "a\nb"),
        ("1 < 2 and b> 3, AT&T &nosuch; <3", "1 < 2 and b> 3, AT&T &nosuch; <3"),
        ("&lt;b&gt; stays", "<b> stays"),
        (None, None),
    ],
)
def test_normalize_text_strips_html(text, expected):
    assert normalized([text], html=True) == [expected]


def test_normalize_text_leaves_html_by_default():
    assert normalized(["a<br />&amp;"]) == ["a<br />&amp;"]


@pytest.mark.parametrize("type", [pa.string(), pa.large_string(), pa.string_view()])
def test_normalize_text_keeps_type_and_other_columns(type):
    rows = text_rows(["a  b", None], type, mine=[1, 2])
    after = NormalizeText().apply(rows, CHANCE).table
    assert after.schema == rows.table.schema
    assert after["text"].to_pylist() == ["a b", None]
    assert after["mine"].to_pylist() == [1, 2]


def test_normalize_text_of_no_rows():
    assert normalized([]) == []
