"""Examples of what was dropped and why, chosen to fit a page and put in words."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from curate.report.accounting import Cause
from curate.report.examples import Content, Example
from curate.report.excerpt import Passage, excerpt, side_by_side
from curate.report.thumbnail import Thumbnail, thumbnail
from pipelines.ledger.counts import Note
from pipelines.ledger.entries import LedgerRecord

BUDGET = 900_000
"""Bytes of the page that examples may take; what does not fit is left out, and the page says so."""
WARNED_BUDGET = 300_000
"""Bytes of the page that the examples of warnings may take."""
FRAME = 1_500
"""Bytes of markup around one example."""


@dataclass(frozen=True)
class Side:
    """One row: its content as the page shows it."""

    id: str
    label: str | None
    passage: Passage | None
    picture: Thumbnail | None

    @property
    def size(self) -> int:
        """Bytes it takes on the page, about."""
        picture = self.picture.uri if self.picture else None
        passage = self.passage.html if self.passage else ""
        return len(passage.encode("utf-8", "replace")) + len(picture or "")


@dataclass(frozen=True)
class Card:
    """One example: the row, why it left, and the row it was held against."""

    evidence: str
    place: str
    error: str
    row: Side
    other: Side | None
    same: bool
    """Both rows are equal to the letter, so showing both would tell nothing."""
    fate: str
    """`dropped` or `quarantined`."""

    @property
    def size(self) -> int:
        """Bytes it takes on the page, about."""
        return FRAME + self.row.size + (self.other.size if self.other else 0)


@dataclass(frozen=True)
class WarningCards:
    """One warning of a run and the examples of what it is about."""

    said: str
    op: str
    cards: tuple[Card, ...]


@dataclass
class Group:
    """The examples of one step and reason."""

    cause: Cause
    cards: list[Card] = field(default_factory=list)


def gallery(examples: Iterable[Example], causes: Sequence[Cause]) -> tuple[list[Group], int]:
    """Return the examples by step and reason, and how many did not fit.

    Every group gets its first example before any gets its second, so that a page that is full
    still has as many kinds as fit.
    """
    of_cause: dict[tuple[int, str], list[Example]] = {}
    for example in examples:
        key = (example.record.step, example.record.reason or "")
        of_cause.setdefault(key, []).append(example)
    groups = [Group(cause) for cause in causes if (cause.step, cause.reason) in of_cause]
    waiting = [of_cause[g.cause.step, g.cause.reason] for g in groups]
    room, left_out = BUDGET, 0
    for rank in range(max(map(len, waiting), default=0)):
        for group, mine in zip(groups, waiting, strict=True):
            if rank >= len(mine):
                continue
            if room <= 0:
                left_out += 1
                continue
            card = make_card(mine[rank])
            group.cards.append(card)
            room -= card.size
    return [group for group in groups if group.cards], left_out


def warning_cards(
    notes: Iterable[Note], examples: Iterable[Sequence[Example]]
) -> list[WarningCards]:
    """Return the warnings of a run with as many of their examples as fit."""
    room, found, of_note = WARNED_BUDGET, [], iter(examples)
    for note in (note for note in notes if note.warning):
        cards: list[Card] = []
        for example in next(of_note, ()):
            if room > 0:
                cards.append(make_card(example))
                room -= cards[-1].size
        found.append(WarningCards(str(note), note.op, tuple(cards)))
    return found


def make_card(example: Example) -> Card:
    """Return one example as the page shows it."""
    record, row, other = example.record, example.content, example.other
    passage, other_passage = _passages(row, other)
    place = ", ".join(part for part in (record.file, record.where) if part)
    beside = None
    if record.other is not None:
        beside = _side(record.other, other, other_passage)
    return Card(
        evidence=evidence(record),
        place=place,
        error=record.error or "",
        row=_side(record.id, row, passage),
        other=beside,
        same=_same(row, other),
        fate=record.fate,
    )


def evidence(record: LedgerRecord) -> str:
    """Return in words what a row was dropped on: the value against its bound, and the detail."""
    value, threshold = _number(record.value), _number(record.threshold)
    detail = record.detail or ""
    match record.reason:
        case "label_error" if value:
            return f"its label has probability {value}; {detail}"
        case "wrong_language" if value:
            return f"detected {detail or 'no language'} with score {value}"
        case "uncertain_language" if value and threshold:
            guess = f"; the best guess is {detail}" if detail else ""
            return f"score {value}, wanted at least {threshold}{guess}"
    said = _bounded(record, value, threshold)
    return "; ".join(part for part in (said, detail) if part)


def _bounded(record: LedgerRecord, value: str, threshold: str) -> str:
    if not value or record.value is None:
        return ""
    if record.other is not None:
        if value == "1" and threshold in ("", "1"):
            return "equal contents"
        return f"similarity {value}" + (f", a duplicate from {threshold} on" if threshold else "")
    if not threshold or record.threshold is None:
        return f"measured {value}"
    side = "at least" if record.value < record.threshold else "at most"
    return f"measured {value}, wanted {side} {threshold}"


def _number(value: float | None) -> str:
    """Return a number with as many digits as tell something; "" for None and NaN."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:,.0f}" if value % 1 == 0 and abs(value) < 1e15 else f"{value:,.4g}"


def _side(row_id: str, content: Content | None, passage: Passage | None) -> Side:
    if content is None:
        return Side(row_id, None, None, None)
    picture = None if content.image is None else thumbnail(content.image)
    return Side(row_id, content.label, passage, picture)


def _passages(row: Content | None, other: Content | None) -> tuple[Passage | None, Passage | None]:
    text, other_text = (None if c is None else c.text for c in (row, other))
    if text is not None and other_text is not None:
        return side_by_side(text, other_text)
    return (
        None if text is None else excerpt(text),
        None if other_text is None else excerpt(other_text),
    )


def _same(row: Content | None, other: Content | None) -> bool:
    return (
        row is not None
        and other is not None
        and (row.text, row.image)
        == (
            other.text,
            other.image,
        )
    )
