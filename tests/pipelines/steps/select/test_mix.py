"""Mixtures: shares met exactly, capped where there is too little, others dropped with a reason."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from corpus import WHOLE_CUT, cuts, decide, decide_and_note, make_rows
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pipelines.maths.select.mixture import share_out, tempered_shares
from pipelines.rows.chance import Chance
from pipelines.steps.select.mix import Mix

SIZES = {"web": 60, "code": 30, "wiki": 8, None: 2}
SOURCES = [source for source, n in SIZES.items() for _ in range(n)]
ROWS = len(SOURCES)


def made(order=None):
    return make_rows(
        source=pa.array(SOURCES, pa.string()),
        text=["one two"] * ROWS,
        score=np.arange(ROWS) % 7,
        order=order,
    )


def kept(step, work, cut=WHOLE_CUT, order=None, seed=0, arrival=0):
    gone = decide(step, made(order), work, cut, seed, arrival)
    assert {v.reason for v in gone.values()} <= {"not_selected", "not_in_mix"}
    return {f"r{i:05d}" for i in range(ROWS)} - set(gone)


def sizes(stays):
    return dict(Counter(SOURCES[int(i[1:])] for i in stays))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        # the largest total without a row twice: wiki's 8 rows are 20 %
        ({"shares": {"web": 0.5, "code": 0.3, "wiki": 0.2}}, {"web": 20, "code": 12, "wiki": 8}),
        ({"shares": {"web": 0.5, "code": 0.5}, "rows": 10}, {"web": 5, "code": 5}),
        ({"shares": {"web": 0.5, "code": 0.5}, "fraction": 0.4}, {"web": 18, "code": 18}),
        ({"shares": {"web": 0.5, "code": 0.5}, "tokens": 21}, {"web": 5, "code": 5}),
        # capped: what wiki lacks is shared out to the others by their shares
        (
            {"shares": {"web": 0.2, "code": 0.2, "wiki": 0.6}, "rows": 40},
            {"web": 16, "code": 16, "wiki": 8},
        ),
        ({"shares": {"web": 0.5, "wiki": 0.5}, "rows": 999}, {"web": 60, "wiki": 8}),
        ({"shares": {"web": 1.0, "code": 0.0}}, {"web": 60}),
        ({"shares": {"web": 0.5, "nowhere": 0.5}}, {"web": 60}),
        ({"temperature": 1.0}, SIZES),
        ({"temperature": 1e6}, dict.fromkeys(SIZES, 2)),
        ({"temperature": 1e6, "rows": 40}, {"web": 15, "code": 15, "wiki": 8, None: 2}),
    ],
)
def test_mix_has_the_shares_asked_for(tmp_path, options, expected):
    assert sizes(kept(Mix(by="source", **options), tmp_path)) == expected


def test_mix_gives_what_shares_leave_to_all_other_values_together(tmp_path):
    found = sizes(kept(Mix(by="source", shares={"wiki": 0.2}, rows=20), tmp_path))
    assert found.pop("wiki") == 4
    assert sum(found.values()) == 16
    assert len(found) > 1


def test_mix_drops_values_without_a_share_for_that(tmp_path):
    gone = decide(Mix(by="source", shares={"web": 1.0, "code": 0.0}, rows=59), made(), tmp_path)
    reasons = {SOURCES[int(i[1:])]: v.reason for i, v in gone.items()}
    assert reasons == {"web": "not_selected", "code": "not_in_mix"} | dict.fromkeys(
        ["wiki", None], "not_in_mix"
    )


def test_mix_tempers_shares(tmp_path):
    n = np.array([SIZES[source] for source in SIZES])
    shares = tempered_shares(n, 3.3)
    found = sizes(kept(Mix(by="source", temperature=3.3, rows=20), tmp_path))
    assert [found[source] for source in SIZES] == share_out(20, shares, n).tolist()


def test_mix_prefers_high_scores_and_is_random_otherwise(tmp_path):
    shares = {"web": 0.5, "code": 0.5}
    best = kept(Mix(by="source", shares=shares, rows=8, prefer="score"), tmp_path)
    assert {int(i[1:]) % 7 for i in best} == {6}
    drawn = kept(Mix(by="source", shares=shares, rows=8), tmp_path)
    hashes = dict(zip(made().ids.to_pylist(), Chance(0, 1).hashes(made().ids), strict=True))
    web = sorted((i for i in hashes if SOURCES[int(i[1:])] == "web"), key=hashes.__getitem__)
    assert {i for i in drawn if SOURCES[int(i[1:])] == "web"} == set(web[:4])


STEPS = [
    Mix(by="source", shares={"web": 0.3, "wiki": 0.5}, rows=30),
    Mix(by="source", shares={"web": 0.3, "code": 0.7}, tokens=31),
    Mix(by="source", temperature=2.0),
]


@settings(max_examples=30)
@given(st.integers(0, 2), cuts(50), st.permutations(range(ROWS)), st.integers(0, 9))
def test_mix_does_not_depend_on_cut_order_or_arrival(tmp_path_factory, which, cut, order, arrival):
    work = tmp_path_factory.getbasetemp()
    assert kept(STEPS[which], work, cut, order, arrival=arrival) == kept(STEPS[which], work)


@pytest.mark.parametrize(
    ("options", "noted"),
    [
        ({"shares": {"web": 0.5, "code": 0.5}}, 0),
        ({"shares": {"web": 0.5, "code": 0.5}, "rows": 50}, 0),
        ({"shares": {"web": 0.5, "wiki": 0.5}, "rows": 40}, 1),
        ({"shares": {"web": 0.5, "nowhere": 0.5}}, 1),
        ({"temperature": 1e6, "rows": 60}, 2),
        ({"temperature": 3.3}, 0),
    ],
)
def test_mix_notes_shares_that_are_not_met(tmp_path, options, noted):
    assert decide_and_note(Mix(by="source", **options), made(), tmp_path)[1] == noted


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({}, "either"),
        ({"shares": {"a": 1.0}, "temperature": 2}, "either"),
        ({"shares": {"a": 0.7, "b": 0.7}}, "add up to 1.4"),
        ({"shares": {"a": -0.5}}, "between 0 and 1"),
        ({"shares": {"a": 0.0}}, "above 0"),
        ({"shares": {}}, "above 0"),
        ({"temperature": 0}, "greater than 0"),
        ({"temperature": 2, "rows": 1, "tokens": 1}, "give one of"),
    ],
)
def test_mix_refuses_shares_that_cannot_be(options, wrong):
    with pytest.raises(ValidationError, match=wrong):
        Mix(by="source", **options)
