import pytest
from made_run import make_example, step

from curate.report.accounting import causes
from curate.report.examples import Content
from curate.report.gallery import evidence, gallery


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
