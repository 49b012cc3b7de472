"""What became of the rows, in words: the sentence that report and card open with."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.ledger.counts import RowCounts, StepCounts
from pipelines.ledger.entries import RAISED, UNREADABLE

QUARANTINE_REASONS = frozenset({UNREADABLE, RAISED})
"""Reasons of rows that could not be read or processed; all others are reasons to drop."""


NAMED = 5
"""Damaged files named in one sentence."""


@dataclass(frozen=True)
class Cause:
    """How many rows one step took out for one reason."""

    step: int
    op: str
    reason: str
    rows: int
    share: float
    """Of the rows of the input."""
    fate: str
    """`dropped` or `quarantined`."""


def outcome(rows: RowCounts) -> str:
    """Return what became of the rows of a run, as one sentence without a full stop."""
    said = (
        f"kept {rows.kept:,} of {rows.entered:,} rows; dropped {rows.dropped:,}, "
        f"quarantined {rows.quarantined:,}"
    )
    if rows.derived:
        said += f"; {rows.derived:,} more were derived from kept ones"
    return said


def accounted(rows: RowCounts) -> str:
    """Return the sum that accounts for every row, as one sentence without a full stop."""
    parts = [rows.kept, rows.dropped, rows.quarantined]
    assert rows.entered == sum(parts), f"{rows.entered} is not the sum of {parts}"
    return f"every row is accounted for: {rows.entered:,} = {' + '.join(f'{p:,}' for p in parts)}"


def causes(steps: Sequence[StepCounts], rows_in: int) -> list[Cause]:
    """Return what took rows out, in the order of the steps, the most frequent reason first."""
    found = [
        Cause(
            step.step,
            step.op,
            reason,
            count,
            count / rows_in if rows_in else 0.0,
            "quarantined" if reason in QUARANTINE_REASONS else "dropped",
        )
        for step in steps
        for reason, count in step.reasons.items()
    ]
    return sorted(found, key=lambda cause: (cause.step, -cause.rows, cause.reason))


def damage(files: Sequence[str]) -> str:
    """Return that files could not be read to their end, the first few by name."""
    named = ", ".join(files[:NAMED]) + (", …" if len(files) > NAMED else "")
    which = "one input file was" if len(files) == 1 else f"{len(files):,} input files were"
    return f"{which} not read whole, so rows are missing: {named}"


def percent(share: float) -> str:
    """Return a share as a percentage that is never rounded to nothing or to everything."""
    if 0 < share < 0.001:
        return "< 0.1 %"
    if 0.999 < share < 1:
        return "> 99.9 %"
    return f"{100 * share:.1f} %"
