"""Repeated substrings against all windows in Python dictionaries."""

import re
from collections import defaultdict

import numpy as np
import pyarrow as pa
import pytest
from corpus import WHOLE_CUT, cuts, make_rows, play
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths.arrays import hash_strings
from pipelines.steps.dedup.substring_dedup import SubstringDedup

WORD = re.compile("[漢字]|[^\\W漢字]+")


def rank(name: str, row: int) -> tuple[int, int]:
    return int(hash_strings(pa.array([name]))[0]), row


def words_of(text: str | None) -> list[str]:
    return [word.lower() for word in WORD.findall(text or "")]


def repeated(names, texts, size: int, keep: str = "first") -> dict[str, set[int]]:
    """Tokens to cut of each row: those of all windows that occur twice, but for the first one."""
    places = defaultdict(list)
    for row, (name, text) in enumerate(zip(names, texts, strict=True)):
        words = words_of(text)
        for at in range(len(words) - size + 1):
            places[tuple(words[at : at + size])].append((rank(name, row), at, name))
    cut = defaultdict(set)
    for found in places.values():
        for _, at, name in sorted(found)[keep == "first" :] if len(found) > 1 else []:
            cut[name].update(range(at, at + size))
    return cut


def left_of(text: str, cut: set[int]) -> str:
    """Cut tokens, last first: with what follows each run, but for the break of a line it ends."""
    tokens = [m.span() for m in WORD.finditer(text)]
    ends = [i for i in cut if i + 1 not in cut]
    for last in sorted(ends, reverse=True):
        first = last
        while first - 1 in cut:
            first -= 1
        before = tokens[first - 1][1] if first else 0
        after = tokens[last + 1][0] if last + 1 < len(tokens) else len(text)
        gap, rest = text[before : tokens[first][0]], text[tokens[last][1] : after]
        leads = first == 0 or "\n" in gap
        begin = before + gap.rfind("\n") + 1 if leads else tokens[first][0]
        until = tokens[last][1] + rest.index("\n") + leads if "\n" in rest else after
        text = text[:begin] + text[until:]
    return text


TEXT = st.lists(st.sampled_from(["a ", "B ", "b. ", "a\n", "漢", "é- "]), max_size=20).map("".join)
FEW = st.lists(st.sampled_from(["a ", "b\n"]), max_size=24).map("".join)
TEXTS = st.lists(st.one_of(st.none(), TEXT, FEW), min_size=1, max_size=6)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.integers(4, 7), cuts(4), st.data(), st.integers(0, 3))
def test_substring_dedup_cuts_what_all_windows_say(
    tmp_path_factory, texts, size, cut, data, arrival
):
    keep = data.draw(st.sampled_from(["first", "none"]))
    least = data.draw(st.integers(0, 3))
    order = data.draw(st.permutations(range(len(texts))))
    names = [f"r{i:05d}" for i in range(len(texts))]
    step = SubstringDedup(tokens=size, keep=keep, rest_at_least=least)
    rows = make_rows(names, order=order, text=pa.array(texts, pa.string()))
    outcome = play(step, rows, tmp_path_factory.getbasetemp(), cut, arrival=arrival)
    edited, dropped = {}, {}
    for name, gone in repeated(names, texts, size, keep).items():
        text = texts[int(name[1:])]
        total = len(words_of(text))
        if total - len(gone) < least:
            detail = f"{len(gone)} of {total} words stand elsewhere"
            dropped[name] = ("nothing_left", total - len(gone), least, None, detail)
        else:
            left = left_of(text, gone)
            edited[name] = {"text": left, "_cut": len(text) - len(left)}
    assert outcome.edited == edited
    assert outcome.verdicts == dropped


@settings(max_examples=50, deadline=None)
@given(st.lists(FEW, min_size=2, max_size=6))
def test_substring_dedup_loses_no_word_and_leaves_what_it_keeps_once(tmp_path_factory, texts):
    step = SubstringDedup(tokens=4, rest_at_least=0)
    names = [f"r{i:05d}" for i in range(len(texts))]
    outcome = play(step, make_rows(text=pa.array(texts)), tmp_path_factory.getbasetemp())
    after = [outcome.edited.get(n, {"text": t})["text"] for n, t in zip(names, texts, strict=True)]
    assert {w for t in texts for w in words_of(t)} == {w for t in after for w in words_of(t)}
    # Windows of the input of which no word was cut differ from each other.
    cut = repeated(names, texts, 4)
    seen = set()
    for name, text in zip(names, texts, strict=True):
        words = words_of(text)
        for at in range(len(words) - 3):
            if not cut[name] & set(range(at, at + 4)):
                window = tuple(words[at : at + 4])
                assert window not in seen
                seen.add(window)


def run(step, texts, **columns):
    return play(step, make_rows(text=texts, **columns), "")


PASSAGE = " ".join(f"w{i}" for i in range(60))


@pytest.mark.parametrize("cut", [WHOLE_CUT, ((1,), (1,), (1,))])
def test_substring_dedup_finds_a_passage_inside_three_other_texts(cut):
    texts = [f"x{i}, {PASSAGE.upper() if i else PASSAGE}; y{i}." for i in range(3)]
    outcome = play(SubstringDedup(), make_rows(text=texts), "", cut)
    ranks = {f"r{i:05d}": rank(f"r{i:05d}", i) for i in range(3)}
    keeper = min(ranks, key=ranks.__getitem__)
    assert outcome.verdicts == {}
    assert {i: row["text"] for i, row in outcome.edited.items()} == {
        name: f"x{name[-1]}, y{name[-1]}." for name in ranks if name != keeper
    }
    assert outcome.measured == {"spans": 2, "words": 120, "bytes": 2 * (len(PASSAGE) + 2)}
    assert SubstringDedup().in_words(outcome.measured).startswith("2 repeated runs of 120 words")


def test_substring_dedup_leaves_shorter_repeats_alone():
    short = " ".join(PASSAGE.split()[:49])
    outcome = run(SubstringDedup(), [f"x {short} y", f"z {short} t"])
    assert outcome.edited == outcome.verdicts == {}


def test_substring_dedup_leaves_one_period_of_a_text_that_repeats_itself():
    outcome = run(SubstringDedup(tokens=6), ["one two three " * 9])
    assert outcome.edited["r00000"]["text"] == "one two three "
    assert outcome.edited["r00000"]["_cut"] == 8 * len("one two three ")


@pytest.mark.parametrize(
    "passage", ["天地玄黄宇宙洪荒日月盈昃", "ประเทศไทยรวมเลือดเนื้อ", "ひらがなとカタカナの文"]
)
def test_substring_dedup_knows_scripts_without_spaces(passage):
    texts = [f"甲乙{passage}丙", f"{passage}丁", f"{passage}"]
    outcome = run(SubstringDedup(tokens=8, rest_at_least=0), texts)
    left = [outcome.edited.get(f"r{i:05d}", {"text": t})["text"] for i, t in enumerate(texts)]
    assert sorted(t.count(passage) for t in left) == [0, 0, 1]
    assert [t.replace(passage, "") for t in left] == ["甲乙丙", "丁", ""]


def test_substring_dedup_drops_rows_by_share():
    texts = [PASSAGE, f"{PASSAGE} a b c d", f"{PASSAGE} " + " ".join(f"z{i}" for i in range(90))]
    step = SubstringDedup(keep="none", action="drop", drop_share=0.5)
    outcome = run(step, texts)
    assert outcome.edited == {}
    assert outcome.verdicts == {
        "r00000": ("repeated", 1.0, 0.5, None, "60 of 60 words stand elsewhere"),
        "r00001": ("repeated", 60 / 64, 0.5, None, "60 of 64 words stand elsewhere"),
    }
    assert step.adds() == ()
    assert outcome.measured == {}


def test_substring_dedup_adds_up_what_was_cut_and_keeps_the_type_of_text():
    texts = pa.array([f"x {PASSAGE}", f"y {PASSAGE}"], pa.large_string())
    rows = make_rows(text=texts, _cut=pa.array([5, 5], pa.int64()))
    outcome = play(SubstringDedup(), rows, "")
    (row,) = outcome.edited.values()
    assert row["_cut"] == 5 + len(PASSAGE)
    step, told = SubstringDedup(), pa.table({"_key": rows.keys[:1], "start": [0], "stop": [2]})
    changed = step.edit(rows.filter(np.array([True, False])), told, None)
    assert changed.table.schema.field("text").type == pa.large_string()
    assert changed.table.schema.field("_cut").type == pa.int64()


def test_substring_dedup_without_texts_does_nothing():
    outcome = run(SubstringDedup(), pa.array([None, "", "a b"], pa.string()))
    assert outcome.edited == outcome.verdicts == outcome.measured == {}


@pytest.mark.parametrize("options", [{"tokens": 3}, {"drop_share": 0}, {"keep": "last"}])
def test_substring_dedup_refuses_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SubstringDedup(**options)
