"""Lines and paragraphs against `str.split`."""

import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.maths.arrays import utf8_bytes
from pipelines.maths.text.line_units import split_lines, split_paragraphs
from pipelines.maths.text.spans import without

TEXTS = st.lists(st.one_of(st.none(), st.text("aé \n\t", max_size=12)), max_size=5)


def contents(texts: list[str | None], find) -> list[list[str]]:
    strings = pa.array(texts, pa.string())
    units, raw = find(strings), utf8_bytes(strings)[0].tobytes()
    found = [raw[i:j].decode() for i, j in zip(units.starts, units.stops, strict=True)]
    return [found[i:j] for i, j in itertools.pairwise(units.offsets.tolist())]


def paragraphs(text: str) -> list[str]:
    blocks = itertools.groupby(text.split("\n"), key=lambda line: bool(line.strip(" \t")))
    return ["\n".join(lines) for full, lines in blocks if full]


@settings(max_examples=200)
@given(TEXTS)
def test_lines_are_those_of_split(texts):
    assert contents(texts, split_lines) == [(text or "").split("\n") for text in texts]


@settings(max_examples=200)
@given(TEXTS)
def test_paragraphs_are_runs_of_lines_that_are_not_blank(texts):
    assert contents(texts, split_paragraphs) == [paragraphs(text or "") for text in texts]


def test_lines_end_at_a_carriage_return_and_newline_too():
    assert contents(["a\r\nb\n\r\nc\r"], split_lines) == [["a", "b", "", "c"]]
    assert contents(["a\r\n\r\nb\r\nc"], split_paragraphs) == [["a", "b\r\nc"]]


@settings(max_examples=300)
@given(TEXTS, st.sampled_from([split_lines, split_paragraphs]), st.data())
def test_gaps_leave_the_kept_units_with_the_gaps_before_them(texts, find, data):
    strings = pa.array(texts, pa.string())
    units, (raw, bounds) = find(strings), utf8_bytes(strings)
    count = len(units.starts)
    cut = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), dtype=bool)
    numbers, starts, stops = units.gaps(cut)
    found = without(strings, numbers, starts - bounds[numbers], stops - bounds[numbers])
    data_bytes = raw.tobytes()
    for i, text in enumerate(texts):
        own = range(units.offsets[i], units.offsets[i + 1])
        if not len(own):
            assert found[i].as_py() == text
            continue
        left = data_bytes[bounds[i] : units.starts[own[0]]]
        kept = [j for j in own if not cut[j]]
        for j in kept:
            gap = units.stops[j - 1] if j != kept[0] else units.starts[j]
            left += data_bytes[gap : units.stops[j]]
        left += data_bytes[units.stops[own[-1]] : bounds[i + 1]]
        assert (found[i].as_py() or "") == left.decode()
