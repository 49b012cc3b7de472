import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_rows import PLACES, rows_of

from pipelines.ledger.books import Books, find_culprits
from pipelines.ledger.entries import LONGEST_ERROR
from pipelines.rows import MissingColumn, Rows


def refuse(*words: str):
    def call(rows: Rows) -> list[str]:
        texts = rows.text.to_pylist()
        for word in words:
            if word in texts:
                raise ValueError(f"refuse {word}")
        return texts

    return call


@given(st.lists(st.sampled_from(["ok", "bad", "worse"]), min_size=1, max_size=40))
def test_culprits_are_exactly_the_rows_that_raise_alone(texts: list[str]) -> None:
    found = find_culprits(rows_of(texts), refuse("bad", "worse"))
    assert [(i, str(e)) for i, e in found] == [
        (i, f"refuse {text}") for i, text in enumerate(texts) if text != "ok"
    ]


def test_attempt_quarantines_culprits_and_answers_for_the_others() -> None:
    books = Books(PLACES)
    tally = books.tally(3, "picky")
    left, result = books.attempt(rows_of(["a", "bad", "b"]), tally, refuse("bad"))
    assert result == left.text.to_pylist() == ["a", "b"]
    assert (tally.quarantined, tally.reasons) == (1, {"raised": 1})
    (record,) = books.ledger[0].to_pylist()
    wanted = {
        "id": "a.jsonl#1",
        "fate": "quarantined",
        "step": 3,
        "op": "picky",
        "reason": "raised",
        "file": "a.jsonl",
        "where": "byte 1",
        "error": "ValueError: refuse bad",
    }
    assert wanted.items() <= record.items()


def test_attempt_of_bad_rows_alone_has_no_result() -> None:
    books = Books(PLACES)
    left, result = books.attempt(rows_of(["bad", "bad"]), books.tally(1, "picky"), refuse("bad"))
    assert len(left) == 0
    assert result is None


def test_attempt_costs_few_calls() -> None:
    calls = []

    def call(rows: Rows) -> None:
        calls.append(len(rows))
        refuse("bad")(rows)

    texts = ["ok"] * 1024
    texts[700] = "bad"
    books = Books(PLACES)
    books.attempt(rows_of(texts), books.tally(1, "picky"), call)
    assert len(calls) < 30


def test_step_that_fails_on_the_batch_but_on_no_row_is_at_fault() -> None:
    def call(rows: Rows) -> None:
        if len(rows) > 1:
            raise ArithmeticError("more than one")

    books = Books(PLACES)
    with pytest.raises(ArithmeticError, match="more than one"):
        books.attempt(rows_of(["a", "b"]), books.tally(1, "odd"), call)


@pytest.mark.parametrize("error", [MissingColumn("x"), ImportError("x"), MemoryError("x")])
def test_errors_of_recipe_and_machine_condemn_no_row(error: Exception) -> None:
    def call(rows: Rows) -> None:
        raise error

    books = Books(PLACES)
    with pytest.raises(type(error)):
        books.attempt(rows_of(["a", "b"]), books.tally(1, "odd"), call)
    assert books.ledger == []


def test_errors_are_kept_in_bounds_and_in_unicode() -> None:
    def call(rows: Rows) -> None:
        raise ValueError("\udcff" + "x" * 5000)

    books = Books(PLACES)
    books.attempt(rows_of(["a"]), books.tally(1, "odd"), call)
    error = books.ledger[0]["error"][0].as_py()
    assert error.startswith("ValueError: \\udcff")
    assert len(error) < LONGEST_ERROR + 10


def test_drops_are_counted_by_reason() -> None:
    from pipelines.ledger.entries import judged
    from pipelines.rows.verdicts import Verdicts

    code, none = np.array([1, 0, 2, 1], np.int16), np.full(4, np.nan)
    books = Books(PLACES)
    tally = books.tally(1, "odd")
    rows = rows_of(list("abcd"))
    books.drop(tally, judged(rows, Verdicts(code, ("low", "high"), none, none), 1, "odd"))
    assert (tally.dropped, tally.reasons) == (3, {"low": 2, "high": 1})
