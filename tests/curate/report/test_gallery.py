import pytest
from made_run import make_example, step

from curate.report.accounting import causes
from curate.report.examples import Content
from curate.report.gallery import evidence, gallery, warning_cards
from pipelines.ledger.counts import Note


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"value": 3.0, "threshold": 20.0}, "measured 3, wanted at least 20"),
        ({"value": 2.5, "threshold": 2.0}, "measured 2.5, wanted at most 2"),
        ({"value": 1.0, "threshold": 1.0, "other": "d0"}, "equal contents"),
        ({"value": float("nan"), "detail": "three"}, "three"),
        ({"value": 0.5}, "measured 0.5"),
        ({}, ""),
        (
            {"reason": "label_error", "value": 0.034, "detail": "looks like cat (0.91)"},
            "its label has probability 0.034; looks like cat (0.91)",
        ),
        (
            {"reason": "wrong_language", "value": 0.97, "detail": "de"},
            "detected de with score 0.97",
        ),
        (
            {"reason": "uncertain_language", "value": 0.2, "threshold": 0.5, "detail": "de"},
            "score 0.2, wanted at least 0.5; the best guess is de",
        ),
        (
            {"value": float("inf"), "threshold": 2.0},
            "measured inf, wanted at most 2",
        ),
    ],
)
def test_evidence_is_in_words(record, said):
    assert evidence(make_example(**{"reason": None, **record}).record) == said


def test_gallery_gives_each_reason_an_example_before_a_second(monkeypatch):
    monkeypatch.setattr("curate.report.gallery.BUDGET", 2)
    steps = [step(1, "word_count", 9, reasons={"too_short": 4, "too_long": 4})]
    rows = [
        make_example(reason=r, content=Content("x")) for r in ("too_short",) * 3 + ("too_long",)
    ]
    groups, left_out = gallery(rows, causes(steps, 9))
    assert [len(group.cards) for group in groups] == [1]
    assert left_out == 3
    monkeypatch.setattr("curate.report.gallery.BUDGET", 2_000)
    groups, left_out = gallery(rows, causes(steps, 9))
    assert [len(group.cards) for group in groups] == [1, 1]
    assert left_out == 2


def test_warnings_are_said_whether_or_not_their_examples_fit(monkeypatch):
    notes = [
        Note(op="read", note="only a note", count=3),
        *(Note(op="dedup", note=f"of {n} rows", count=n, warning="step") for n in (1, 2, 3)),
    ]
    rows = [[make_example(content=Content("x"))] * 2] * 2
    found = warning_cards(notes, rows)
    assert [warning.said for warning in found] == ["1 of 1 rows", "2 of 2 rows", "3 of 3 rows"]
    assert [len(warning.cards) for warning in found] == [2, 2, 0]
    monkeypatch.setattr("curate.report.gallery.WARNED_BUDGET", 2_000)
    assert [len(warning.cards) for warning in warning_cards(notes, rows)] == [2, 0, 0]
