from dataclasses import asdict
from typing import Any

import pytest

from pipelines.ledger.balance import Unbalanced, balance
from pipelines.ledger.entries import Tally
from pipelines.steps import STEPS

STEPS_RUN = (STEPS["word_count"](), STEPS["augment_text"](method="keyboard"))


def figures() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    tallies = [
        Tally(0, "read", entered=10, kept=9, quarantined=1, reasons={"unreadable": 1}),
        Tally(1, "word_count", entered=9, kept=6, dropped=3, reasons={"too_short": 3}),
        Tally(2, "augment_text", entered=6, kept=5, quarantined=1, derived=5, seconds=1.23456),
    ]
    fates = {"kept": 5, "dropped": 3, "quarantined": 2, "derived": 5, "lost": 0}
    written = [
        {"file": "_curate/ledger/part-00000-of-00001.parquet", "rows": 15, "fates": fates},
        {"file": "train/data-00000-of-00002.arrow", "rows": 6},
        {"file": "train/data-00001-of-00002.arrow", "rows": 4},
    ]
    return [asdict(tally) for tally in tallies], written


def test_balance_returns_rows_of_run_and_steps() -> None:
    tallies, written = figures()
    rows, steps = balance(tallies, STEPS_RUN, written)
    assert rows == {"in": 10, "kept": 5, "dropped": 3, "quarantined": 2, "derived": 5}
    assert steps[2] == {
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
    written = [{"file": "_curate/ledger/x.parquet", "rows": 1, "fates": fates}]
    rows, steps = balance([asdict(tally)], STEPS_RUN, written)
    assert rows["quarantined"] == 1
    assert [(step["op"], step["in"]) for step in steps] == [
        ("read", 1),
        ("word_count", 0),
        ("augment_text", 0),
    ]


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("name", ["entered", "kept", "dropped", "quarantined", "derived"])
@pytest.mark.parametrize("by", [-1, 1])
def test_balance_refuses_wrong_tallies(step: int, name: str, by: int) -> None:
    tallies, written = figures()
    tallies[step][name] += by
    with pytest.raises(Unbalanced):
        balance(tallies, STEPS_RUN, written)


@pytest.mark.parametrize("name", ["kept", "dropped", "quarantined", "derived", "lost"])
def test_balance_refuses_a_wrong_ledger(name: str) -> None:
    tallies, written = figures()
    written[0]["fates"][name] += 1
    with pytest.raises(Unbalanced):
        balance(tallies, STEPS_RUN, written)


def test_balance_refuses_missing_rows_in_the_files() -> None:
    tallies, written = figures()
    with pytest.raises(Unbalanced, match="10 rows left the last step, 6 are in the output files"):
        balance(tallies, STEPS_RUN, written[:2])


def test_balance_refuses_changes_that_cancel_out_in_a_sum() -> None:
    tallies, written = figures()
    tallies[1]["dropped"] -= 1
    tallies[1]["quarantined"] += 1
    written[0]["fates"]["kept"] -= 1
    written[0]["fates"]["derived"] += 1
    with pytest.raises(Unbalanced):
        balance(tallies, STEPS_RUN, written)
