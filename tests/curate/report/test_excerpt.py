import pytest

from curate.report.excerpt import SHOWN, excerpt, side_by_side
from curate.visible import visible


def test_visible_gives_shapeless_characters_a_number():
    assert visible("a\u202eb\x00\ud800\r\nc\td") == "a⟨202E⟩b⟨0000⟩⟨D800⟩\nc\td"
    assert visible("می\u200cخواهم") == "می\u200cخواهم"
    assert visible("x" * 10, most=4) == "xxxx…"


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("short", ""),
        ("", "empty"),
        (" \n ", "blank: 3 characters of white space"),
        ("x" * 1234, f"first {SHOWN} of 1,234 characters"),
    ],
)
def test_excerpt_says_which_part_it_is(text, note):
    assert excerpt(text).note == note


def test_excerpt_is_bounded_and_keeps_lines():
    assert len(excerpt("x" * 10_000_000).html) == SHOWN + 1
    assert excerpt("a\n\n\n\n\nb\n  c").html == "a\n\nb\n  c"


def test_side_by_side_begins_where_texts_differ():
    same = "word " * 1000
    left, right = side_by_side(f"{same}alpha tail", f"{same}beta tail")
    assert left.html.endswith("<mark>alpha</mark> tail")
    assert right.html.endswith("<mark>beta</mark> tail")
    assert left.html.startswith("… word")
    assert left.note.startswith("from character 4,")


def test_side_by_side_marks_nothing_in_unlike_texts():
    left, right = side_by_side("one two three four", "eins zwei drei vier")
    assert "<mark>" not in left.html + right.html


def test_side_by_side_does_not_take_the_cut_end_for_a_change():
    text = " ".join(f"w{i}" for i in range(1000))
    left, right = side_by_side(f"new {text}", text)
    assert left.html.count("<mark>") == 1
    assert "<mark>" not in right.html


def test_side_by_side_compares_scripts_without_spaces_by_character():
    left, right = side_by_side("我喜欢这部电影", "我喜欢那部电影")
    assert "<mark>这</mark>" in left.html
    assert "<mark>那</mark>" in right.html
