import json

import pytest
from made_ledger import ROWS, write_ledger

from curate.inspect.explain import Entry, explain_row


@pytest.fixture
def out(tmp_path):
    return write_ledger(tmp_path / "out", ROWS)


@pytest.mark.parametrize(
    ("row_id", "lines"),
    [
        (
            "d01",
            [
                "d01: dropped at step 4 near_dedup: duplicate of d00 (similarity 0.91 ≥ 0.8)",
                "  d00: kept (split train)",
            ],
        ),
        ("d02", ["d02: dropped at step 1 word_count: too_short (3 < 20)"]),
        (
            "d00",
            [
                "d00: kept (split train)",
                "2 rows name it:",
                "  d01: dropped at step 4 near_dedup: duplicate of d00 (similarity 0.91 ≥ 0.8)",
                "  d00+1: derived from d00 (split train)",
            ],
        ),
        (
            "a.jsonl#line 4, byte 90",
            [
                "a.jsonl#line 4, byte 90: quarantined at step 0 read: a.jsonl, line 4, byte 90: "
                "not JSON: unexpected end",
            ],
        ),
        (
            "d00+1",
            ["d00+1: derived from d00 (split train)", "  d00: kept (split train)"],
        ),
        (
            "twin",
            [
                "2 rows have the id twin:",
                "twin: kept",
                "twin: dropped at step 2 language: wrong_language (0.97); de",
            ],
        ),
    ],
)
def test_explain_tells_the_fate_in_words(out, row_id, lines):
    assert list(explain_row(out, row_id).lines()) == lines


def test_explain_names_the_row_of_the_other_label():
    known = {"key": 1, "id": "d1", "fate": "dropped", "step": 1, "op": "exact_dedup"}
    one = Entry(**known, reason="label_conflict", value=1.0, threshold=1.0, other="d0")
    said = "dropped at step 1 exact_dedup: label_conflict with d0 (similarity 1 ≥ 1)"
    assert str(one) == said


def test_explain_names_one_follower_in_the_singular(tmp_path):
    out = write_ledger(tmp_path, ROWS[:2])
    assert list(explain_row(out, "d00").lines())[1] == "1 row names it:"


def test_explain_cuts_long_lists_but_not_its_json(tmp_path):
    followers = [{**ROWS[1], "key": n, "id": f"f{n}"} for n in range(1, 1235)]
    found = explain_row(write_ledger(tmp_path, [ROWS[0], *followers]), "d00")
    lines = list(found.lines())
    assert lines[1] == "1,234 rows name it:"
    assert lines[-1] == "  … and 1,214 more (--json lists all)"
    assert len(found.as_json()["named_by"]) == 1234


def test_explain_json_has_no_nan(out):
    text = json.dumps(explain_row(out, "twin").as_json(), allow_nan=False)
    assert json.loads(text)["entries"][1]["threshold"] is None


def test_explain_refuses_an_unknown_id_and_names_the_nearest(out):
    with pytest.raises(ValueError, match=r"out: no row has the id 'd0l'; the nearest are .*d01"):
        explain_row(out, "d0l")
    with pytest.raises(ValueError, match=r"no row has the id 'zzzzzz'$"):
        explain_row(out, "zzzzzz")


def test_explain_refuses_a_folder_without_a_ledger(tmp_path):
    with pytest.raises(ValueError, match=r"no ledger in .*; give the folder that"):
        explain_row(tmp_path, "d00")


@pytest.mark.parametrize(
    ("value", "threshold", "said"),
    [
        (9.0, 5.0, "(9 > 5)"),
        (5.0, 5.0, "(5 = 5)"),
        (0.25, None, "(0.25)"),
        (1e-9, 1, "(1e-09 < 1)"),
    ],
)
def test_entry_compares_what_was_measured(value, threshold, said):
    entry = Entry(0, "x", "dropped", 1, "op", "odd", value, threshold)
    assert str(entry) == f"dropped at step 1 op: odd {said}"


def test_entry_names_the_other_row_of_any_reason():
    entry = Entry(0, "x", "dropped", 1, "decontaminate", "contaminated", 0.5, 0.4, other="t1")
    assert str(entry).endswith("contaminated: t1 (similarity 0.5 ≥ 0.4)")
