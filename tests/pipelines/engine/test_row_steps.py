import numpy as np
import pyarrow as pa
import pytest
from made_rows import PLACES, rows_of

from pipelines.engine.row_steps import first_copies, run_step
from pipelines.ledger.books import Books
from pipelines.rows import PARENT, SPLIT, Rows, keys
from pipelines.rows.chance import Chance
from pipelines.rows.verdicts import Verdicts, within
from pipelines.steps.step import Derive, Filter, Map

CHANCE = Chance(0, 1)


class Length(Filter):
    op: str = "length"

    def judge(self, rows: Rows, chance: Chance) -> Verdicts:
        lengths = [len(text) for text in rows.text.to_pylist()]
        return within(lengths, 2, None, below="too_short", above="too_long")


class Upper(Map):
    op: str = "upper"

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        return rows.replace("text", pa.array([text.upper() for text in rows.text.to_pylist()]))


class Twice(Derive):
    op: str = "twice"
    copies: int = 2
    refuse: str = ""

    def derive(self, rows: Rows, copy: int, chance: Chance) -> Rows:
        texts = rows.text.to_pylist()
        if self.refuse in texts:
            raise ValueError("refused")
        return rows.replace("text", pa.array([f"{text}{copy}" for text in texts]))


@pytest.fixture
def books() -> Books:
    return Books(PLACES)


def test_filter_enters_what_it_drops(books: Books) -> None:
    left = run_step(rows_of(["a", "bb", "", "cc"]), Length(), CHANCE, books, 0)
    assert left.text.to_pylist() == ["bb", "cc"]
    tally = books.tallies[1]
    assert (tally.entered, tally.kept, tally.dropped) == (4, 2, 2)
    (record, _) = books.ledger[0].to_pylist()
    assert (record["reason"], record["value"], record["threshold"]) == ("too_short", 1.0, 2.0)


def test_map_quarantines_rows_it_cannot_take(books: Books) -> None:
    left = run_step(rows_of(["a", None, "b"]), Upper(), CHANCE, books, 0)
    assert left.text.to_pylist() == ["A", "B"]
    tally = books.tallies[1]
    assert (tally.entered, tally.kept, tally.quarantined) == (3, 2, 1)
    assert "AttributeError" in books.ledger[0]["error"][0].as_py()


@pytest.mark.parametrize("step", [Upper(), Length(), Twice(refuse="a")])
def test_batch_may_lose_all_its_rows(books: Books, step: Map) -> None:
    texts = ["a", "a"] if isinstance(step, Twice) else [None, None]
    left = run_step(rows_of(texts), step, CHANCE, books, 1)
    assert len(left) == 0
    assert books.tallies[1].quarantined == 2
    assert len(run_step(left, step, CHANCE, books, 1)) == 0
    assert books.tallies[1].entered == 2


def test_step_that_does_not_answer_for_each_row_is_at_fault(books: Books) -> None:
    class Loses(Map):
        op: str = "loses"

        def apply(self, rows: Rows, chance: Chance) -> Rows:
            return rows.slice(0, len(rows) - 1)

    class Short(Filter):
        op: str = "short"

        def judge(self, rows: Rows, chance: Chance) -> Verdicts:
            return within([1.0], 0, None, below="x", above="y")

    for step in (Loses(), Short()):
        with pytest.raises(RuntimeError, match=f"{step.op} made 1 rows or verdicts out of 2 rows"):
            run_step(rows_of(["a", "b"]), step, CHANCE, books, 0)


def test_derived_rows_stand_behind_their_parent(books: Books) -> None:
    rows = run_step(rows_of(["a", "b"]), Twice(), CHANCE, books, 3)
    assert rows.text.to_pylist() == ["a", "a0", "a1", "b", "b0", "b1"]
    assert rows.ids.to_pylist()[:3] == ["a.jsonl#0", "a.jsonl#0~3", "a.jsonl#0~4"]
    assert keys.copy_of(rows.keys).tolist() == [0, 3, 4, 0, 3, 4]
    assert (np.diff(rows.keys) > 0).all()
    assert rows.table[PARENT].to_pylist()[:3] == [None, "a.jsonl#0", "a.jsonl#0"]
    tally = books.tallies[1]
    assert (tally.entered, tally.kept, tally.derived) == (2, 2, 4)


def test_derived_rows_get_an_id_in_the_column_of_the_user(books: Books) -> None:
    from dataclasses import replace

    for kind, wanted in (
        (pa.string(), ["7", "a.jsonl#0~1", "a.jsonl#0~2"]),
        (pa.large_string(), ["7", "a.jsonl#0~1", "a.jsonl#0~2"]),
        (pa.int64(), [7, 7, 7]),
    ):
        rows = rows_of(["a"]).replace("id", pa.array(["7"]).cast(kind))
        rows = Rows(rows.table, replace(rows.columns, id="id"))
        made = run_step(rows, Twice(), CHANCE, books, 1)
        assert made.table["id"].to_pylist() == wanted
        assert made.table.schema.field("id").type == kind


def test_only_training_rows_are_augmented_and_no_copies(books: Books) -> None:
    rows = rows_of(["a", "b"], **{SPLIT: ["test", "train"]})
    once = run_step(rows, Twice(), CHANCE, books, 1)
    assert once.text.to_pylist() == ["a", "b", "b0", "b1"]
    twice = run_step(once, Twice(), Chance(0, 2), books, 3)
    assert twice.text.to_pylist() == ["a", "b", "b0", "b1", "b0", "b1"]
    assert keys.copy_of(twice.keys).tolist() == [0, 0, 1, 2, 3, 4]
    assert (books.tallies[2].entered, books.tallies[2].kept, books.tallies[2].derived) == (4, 4, 2)


@pytest.mark.parametrize("step", [Twice(refuse="b"), Upper(), Length()])
def test_quarantined_parent_takes_its_copies(books: Books, step: Map) -> None:
    rows = run_step(rows_of(["aa", "b", "cc"]), Twice(), CHANCE, books, 1)
    if not isinstance(step, Twice):  # the parent itself becomes what the step cannot take
        texts = [None if text == "b" else text for text in rows.text.to_pylist()]
        rows = rows.replace("text", pa.array(texts))
    left = run_step(rows, step, Chance(0, 2), books, 3)
    assert {i.partition("~")[0] for i in left.ids.to_pylist()} == {"a.jsonl#0", "a.jsonl#2"}
    tally = books.tallies[2]
    assert tally.quarantined == 3
    assert tally.entered == tally.kept + tally.dropped + tally.quarantined
    errors = {r["id"]: r["error"] for table in books.ledger for r in table.to_pylist()}
    assert "ParentLost" in errors["a.jsonl#1~1"]
    assert "ParentLost" not in errors["a.jsonl#1"]


def test_copies_are_numbered_through_all_augmentations() -> None:
    assert first_copies((Upper(), Twice(), Length(), Twice(copies=3))) == {2: 1, 4: 3}
    with pytest.raises(ValueError, match="at most 127"):
        first_copies((Twice(copies=127), Twice(copies=1)))
