import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from text_rows import text_rows

from pipelines.rows.chance import Chance
from pipelines.steps.text.lengths import CharCount, WordCount

CHANCE = Chance(0, 1)


def test_word_count_gives_reason_value_and_threshold():
    rows = text_rows(["one two", "one, two... three!", "a b c d e", None, "- - - -"])
    verdicts = WordCount(at_least=3, at_most=4).judge(rows, CHANCE)
    said = [verdicts.reasons[c - 1] if c else None for c in verdicts.code]
    assert said == ["too_short", None, "too_long", "too_short", "too_short"]
    assert verdicts.value.tolist() == [2, 3, 5, 0, 0]
    np.testing.assert_array_equal(verdicts.threshold, [3, np.nan, 4, 3, 3])


def test_char_count_counts_code_points():
    rows = text_rows(["äöü", "東京都庁", "", None])
    verdicts = CharCount(at_least=1, at_most=3).judge(rows, CHANCE)
    assert verdicts.value.tolist() == [3, 4, 0, 0]
    said = [verdicts.reasons[c - 1] if c else None for c in verdicts.code]
    assert said == [None, "too_long", "too_short", "too_short"]


@given(st.lists(st.text(max_size=9), max_size=9), st.integers(0, 9), st.integers(0, 9))
def test_char_count_keeps_what_lies_within_inclusive_bounds(texts, low, more):
    keep = CharCount(at_least=low, at_most=low + more).judge(text_rows(texts), CHANCE).keep
    assert keep.tolist() == [low <= len(text) <= low + more for text in texts]


@pytest.mark.parametrize("step", [WordCount, CharCount])
def test_lengths_without_options_keep_all(step):
    assert step().judge(text_rows(["", None, "a " * 999]), CHANCE).keep.all()


@pytest.mark.parametrize("step", [WordCount, CharCount])
def test_lengths_refuse_bounds_that_nothing_can_pass(step):
    with pytest.raises(ValidationError, match=r"at_most \(2\) is below at_least \(5\)"):
        step(at_least=5, at_most=2)
