"""Repeated lines and paragraphs against sets of rows."""

import re
from collections import defaultdict

import pyarrow as pa
import pytest
from corpus import cuts, make_rows, play
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths.arrays import hash_strings
from pipelines.steps.dedup.exact_dedup import fold
from pipelines.steps.dedup.line_dedup import LineDedup


def rank(row: int) -> tuple[int, int]:
    return int(hash_strings(pa.array([f"r{row:05d}"]))[0]), row


def words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def decided(step: LineDedup, texts, apart: str) -> tuple[dict, dict]:
    """Return edited and dropped rows by the definition; `apart` separates units."""
    rows_of, units = defaultdict(set), {}
    for row, text in enumerate(texts):
        if text is None:
            continue
        units[row] = [
            (unit, fold(pa.array([unit]), step.ignore)[0].as_py()) for unit in text.split(apart)
        ]
        for unit, folded in units[row]:
            if words(unit) >= step.shortest:
                rows_of[folded].add(row)
    edited, dropped = {}, {}
    for row, own in units.items():
        kept = []
        for unit, folded in own:
            found = sorted(rows_of[folded], key=rank) if words(unit) >= step.shortest else []
            mine = step.keep == "first" and found and found[0] == row
            if len(found) < step.copies or mine:
                kept.append(unit)
        if len(kept) == len(own):
            continue
        left, name = apart.join(kept), f"r{row:05d}"
        if words(left) < step.rest_at_least:
            detail = f"{len(own) - len(kept)} of {len(own)} {step.unit}s stand elsewhere"
            dropped[name] = ("nothing_left", words(left), step.rest_at_least, None, detail)
        else:
            edited[name] = {"text": left, "_cut": len(texts[row]) - len(left)}
    return edited, dropped


LINES = ["", " ", "a", "a b", "b a", "A b", "a  b", "a, b", "é 1 2", "."]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.lists(st.sampled_from(LINES), max_size=6)), min_size=1),
    cuts(4),
    st.data(),
)
def test_line_dedup_cuts_what_sets_of_rows_say(tmp_path_factory, drawn, cut, data):
    step = LineDedup(
        ignore=data.draw(st.sampled_from([(), ("case",), ("space", "punctuation")])),
        keep=data.draw(st.sampled_from(["first", "none"])),
        copies=data.draw(st.integers(2, 3)),
        shortest=data.draw(st.integers(1, 3)),
        rest_at_least=data.draw(st.integers(0, 3)),
    )
    texts = [None if lines is None else "\n".join(lines) for lines in drawn]
    order = data.draw(st.permutations(range(len(texts))))
    rows = make_rows(order=order, text=pa.array(texts, pa.string()))
    arrival = data.draw(st.integers(0, 3))
    outcome = play(step, rows, tmp_path_factory.getbasetemp(), cut, arrival=arrival)
    assert (outcome.edited, outcome.verdicts) == decided(step, texts, "\n")


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a b", "a\nb", "b c d", "e"]), min_size=1), min_size=1),
    st.sampled_from(["first", "none"]),
)
def test_paragraph_dedup_cuts_what_sets_of_rows_say(tmp_path_factory, drawn, keep):
    step = LineDedup(unit="paragraph", keep=keep, shortest=2)
    texts = ["\n\n".join(paragraphs) for paragraphs in drawn]
    outcome = play(step, make_rows(text=texts), tmp_path_factory.getbasetemp())
    assert (outcome.edited, outcome.verdicts) == decided(step, texts, "\n\n")


def run(step, texts):
    return play(step, make_rows(text=pa.array(texts, pa.string())), "")


def test_line_dedup_cuts_boilerplate_and_keeps_blank_lines():
    texts = [f"Home | About | Contact\n\nStory {i} is new.\n\nAll rights reserved." for i in "abcd"]
    outcome = run(LineDedup(keep="none", copies=4), texts)
    assert {row["text"] for row in outcome.edited.values()} == {
        f"\nStory {i} is new.\n" for i in "abcd"
    }
    assert outcome.measured == {"units": 8, "bytes": 4 * 44}
    assert LineDedup().in_words(outcome.measured).startswith("8 repeated lines (0.0 MB)")
    assert run(LineDedup(keep="none", copies=5), texts).edited == {}


def test_line_dedup_leaves_repeats_within_one_row_alone():
    outcome = run(LineDedup(), ["la la la\nla la la\nla la la", "other words here"])
    assert outcome.edited == outcome.verdicts == outcome.measured == {}


def test_line_dedup_holds_lines_equal_whatever_ends_them():
    texts = ["one two three\r\nfirst", "one two three\nsecond", "third\r\none two three\r\nend"]
    outcome = run(LineDedup(keep="none"), texts)
    assert [r["text"] for r in outcome.edited.values()] == ["first", "second", "third\r\nend"]


def test_line_dedup_drops_a_row_of_which_nothing_is_left():
    outcome = run(LineDedup(), ["same old line here", "same old line here", None, ""])
    (verdict,) = outcome.verdicts.values()
    assert verdict == ("nothing_left", 0, 1, None, "1 of 1 lines stand elsewhere")
    assert outcome.edited == {}


@pytest.mark.parametrize("options", [{"copies": 1}, {"shortest": 0}, {"unit": "word"}])
def test_line_dedup_refuses_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        LineDedup(**options)
