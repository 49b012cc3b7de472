import pytest

from pipelines.ledger.balance import Unbalanced, balance
from pipelines.ledger.entries import Tally

OPS = ("word_count", "augment_text")
SHARDS = 10


def figures() -> tuple[list[Tally], dict[str, int]]:
    tallies = [
        Tally(0, "read", entered=10, kept=9, quarantined=1, reasons={"unreadable": 1}),
        Tally(1, "word_count", entered=9, kept=6, dropped=3, reasons={"too_short": 3}),
        Tally(2, "augment_text", entered=6, kept=5, quarantined=1, derived=5, seconds=1.23456),
    ]
    return tallies, {"kept": 5, "dropped": 3, "quarantined": 2, "derived": 5, "lost": 0}


def test_balance_returns_rows_of_run_and_steps() -> None:
    tallies, fates = figures()
    rows, steps = balance(tallies, OPS, SHARDS, fates)
    assert rows.as_json() == {"in": 10, "kept": 5, "dropped": 3, "quarantined": 2, "derived": 5}
    assert steps[2].as_json() == {
        "step": 2,
        "op": "augment_text",
        "in": 6,
        "kept": 5,
        "dropped": 0,
        "quarantined": 1,
        "derived": 5,
        "edited": 0,
        "reasons": {},
        "seconds": 1.235,
        "shuffled": 0,
    }


def test_balance_counts_steps_that_no_row_reached() -> None:
    tally = Tally(0, "read", entered=1, quarantined=1)
    fates = {"kept": 0, "dropped": 0, "quarantined": 1, "derived": 0, "lost": 0}
    rows, steps = balance([tally], OPS, 0, fates)
    assert rows.quarantined == 1
    assert [(step.op, step.entered) for step in steps] == [
        ("read", 1),
        ("word_count", 0),
        ("augment_text", 0),
    ]


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("name", ["entered", "kept", "dropped", "quarantined", "derived"])
@pytest.mark.parametrize("by", [-1, 1])
def test_balance_refuses_wrong_tallies(step: int, name: str, by: int) -> None:
    tallies, fates = figures()
    setattr(tallies[step], name, getattr(tallies[step], name) + by)
    with pytest.raises(Unbalanced):
        balance(tallies, OPS, SHARDS, fates)


@pytest.mark.parametrize("name", ["kept", "dropped", "quarantined", "derived", "lost"])
def test_balance_refuses_a_wrong_ledger(name: str) -> None:
    tallies, fates = figures()
    fates[name] += 1
    with pytest.raises(Unbalanced):
        balance(tallies, OPS, SHARDS, fates)


def test_balance_refuses_missing_rows_in_the_files() -> None:
    tallies, fates = figures()
    with pytest.raises(Unbalanced, match="10 rows left the last step, 6 are in the output files"):
        balance(tallies, OPS, 6, fates)


def test_balance_refuses_changes_that_cancel_out_in_a_sum() -> None:
    tallies, fates = figures()
    tallies[1].dropped -= 1
    tallies[1].quarantined += 1
    fates["kept"] -= 1
    fates["derived"] += 1
    with pytest.raises(Unbalanced):
        balance(tallies, OPS, SHARDS, fates)
