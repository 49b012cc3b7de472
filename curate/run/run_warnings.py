"""What a finished run warns of: classes that lose more than others, steps that drop most rows.

A class is warned of if it lost more than TIMES the share of what all other classes lost together,
or if it lost NEARLY_ALL of its rows and what is left of it is less than half the share that is left
of the others. It must have lost LEAST_SHARE of its rows, and FEWEST rows more than at the share of
the others, so that neither trifles nor chance among a handful of rows are warned of. It is judged
over the whole run and at each step, by the rows of the class that entered the step; the warning
names the step that took most. Labels are counted up to `MOST_LABELS` different ones: a column with
more holds no classes, and nothing is said of it.

A step is warned of if it dropped more than MOST_DROPPED of the rows that entered it, and FEWEST
rows at least; not one that keeps a budget (`sample`, `select_top`, ...), whose options say so.

Duplicates of different labels are counted by the steps that drop them; see
`pipelines.steps.dedup.clusters.conflicts`. Here only a step is warned of that was to settle them
and found no column of labels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from curate.report.accounting import percent
from pipelines.ledger.counts import Note, StepCounts
from pipelines.ledger.entries import Tally
from pipelines.rows import Columns
from pipelines.rows.profile import ProfileCounts
from pipelines.steps.dedup.against import Dedup
from pipelines.steps.step import Step

TIMES = 3
"""A class that loses more than so many times the share of the other classes is warned of."""
NEARLY_ALL = 0.8
"""Share of its rows from which on a class has lost nearly all."""
LEAST_SHARE = 0.05
"""Share of its rows that a class must lose."""
FEWEST = 5
"""Rows that a class must lose beyond the share of the others, and that a step must drop."""
MOST_DROPPED = 0.5
"""A step that drops more than this share of the rows that enter it is warned of."""
MOST_CLASSES = 10
"""Classes that are named, those that lost the greatest share first; the others are counted."""
LONGEST_LABEL = 60
"""Characters of a label that are printed."""


@dataclass(frozen=True)
class ClassLoss:
    """What one class lost, over the whole run or at one step, beside all other classes."""

    label: str
    lost: int
    rows: int
    others_lost: int
    others_rows: int

    @property
    def share(self) -> float:
        """Share of its rows that the class lost."""
        return self.lost / self.rows

    @property
    def usual(self) -> float:
        """Share of their rows that the other classes lost together."""
        return self.others_lost / self.others_rows

    @property
    def stands_out(self) -> bool:
        """Whether a person should look at it: see the top of this file."""
        if self.rows < self.lost or self.others_rows <= 0:  # a step gave rows other labels
            return False
        mine, others = self.lost * self.others_rows, self.others_lost * self.rows
        if mine - others < FEWEST * self.others_rows or self.share < LEAST_SHARE:
            return False
        left, others_left = self.rows - self.lost, self.others_rows - self.others_lost
        far_less_left = 2 * left * self.others_rows < others_left * self.rows
        return mine > TIMES * others or (self.share >= NEARLY_ALL and far_less_left)


def run_warnings(
    steps: Sequence[StepCounts],
    recipe: Sequence[Step],
    tallies: Sequence[Tally],
    before: ProfileCounts,
    columns: Columns,
) -> tuple[Note, ...]:
    """Return what people are warned of after a run, classes first.

    Args:
        steps: what each step did, reading first.
        recipe: its steps.
        tallies: of the steps, with what they took by label.
        before: the profile of the rows that were read.
        columns: names of the columns with a role.
    """
    return (
        *([] if columns.label else _without_labels(steps, recipe)),
        *_class_warnings(tallies, before),
        *_step_warnings(steps, recipe),
    )


def shown_keys(note: Note, tallies: Iterable[Tally]) -> list[int]:
    """Return the keys of a few rows that show what a warning of a class is about."""
    if note.label is None:
        return []
    mine = (tally.lost.labels.get(note.label) for tally in tallies if tally.step == note.step)
    return [key for lost in mine if lost is not None for key in lost.keys]


def _without_labels(steps: Sequence[StepCounts], recipe: Sequence[Step]) -> list[Note]:
    """Return a warning of each step whose `conflicts` cannot do anything."""
    return [
        Note(
            op=counts.op,
            note=f"rows that entered step {counts.step} ({counts.op}) have no labels for "
            f"`conflicts: {step.conflicts}` to compare: name their column by `read: label`",
            count=counts.entered,
            warning="labels",
            step=counts.step,
        )
        for counts, step in zip(steps[1:], recipe, strict=True)
        if isinstance(step, Dedup) and step.conflicts != "keep"
    ]


def _step_warnings(steps: Sequence[StepCounts], recipe: Sequence[Step]) -> list[Note]:
    return [
        Note(
            op=counts.op,
            note=f"of {counts.entered:,} rows that entered step {counts.step} ({counts.op}) were "
            f"dropped ({percent(counts.dropped / counts.entered)})",
            count=counts.dropped,
            warning="step",
            step=counts.step,
        )
        for counts, step in zip(steps[1:], recipe, strict=True)
        if counts.dropped >= FEWEST
        and counts.dropped > MOST_DROPPED * counts.entered
        and not step.budgeted
    ]


def _class_warnings(tallies: Sequence[Tally], before: ProfileCounts) -> list[Note]:
    if before.many_labels or any(tally.lost.many_labels for tally in tallies):
        return []
    lost_at = {tally.step: _counted(tally, before.labels) for tally in tallies}
    total = sum(lost_at.values(), Counter[str]())
    overall = losses_of(before.labels, total)
    found = [(loss, _taker(loss.label, lost_at), True) for loss in overall if loss.stands_out]
    said, left = {loss.label for loss, _, _ in found}, Counter(before.labels)
    for number, lost in sorted(lost_at.items()):
        at_step = [loss for loss in losses_of(left, lost) if loss.stands_out]
        found += [(loss, number, False) for loss in at_step if loss.label not in said]
        said |= {loss.label for loss in at_step}
        left.subtract(lost)
    found.sort(key=lambda one: (-one[0].share, -one[0].lost, one[0].label))
    ops = {tally.step: tally.op for tally in tallies}
    notes = [
        _class_note(loss, number, ops[number], lost_at[number][loss.label] if whole else None)
        for loss, number, whole in found[:MOST_CLASSES]
    ]
    if rest := len(found) - len(notes):
        said_of_rest = (
            f"more classes lost more than {TIMES} times the share of the others, or nearly all of "
            "their rows"
        )
        notes.append(Note(op="run", note=said_of_rest, count=rest, warning="class"))
    return notes


def losses_of(rows: Mapping[str, int], lost: Mapping[str, int]) -> list[ClassLoss]:
    """Return what each class lost.

    Args:
        rows: of each class, before.
        lost: of these.
    """
    all_rows, all_lost = sum(rows.values()), sum(lost.values())
    return [
        ClassLoss(label, lost[label], rows[label], all_lost - lost[label], all_rows - rows[label])
        for label in sorted(lost)
    ]


def _counted(tally: Tally, known: Mapping[str, int]) -> Counter[str]:
    """Return what a step took of each class that was read; a step may have renamed others."""
    labels = tally.lost.labels
    return Counter({label: lost.rows for label, lost in labels.items() if label in known})


def _taker(label: str, lost_at: Mapping[int, Mapping[str, int]]) -> int:
    """Return the number of the step that took most rows of a class, the first of several."""
    return max(sorted(lost_at), key=lambda number: lost_at[number].get(label, 0))


def _class_note(loss: ClassLoss, step: int, op: str, taken: int | None) -> Note:
    """Return the warning of one class.

    Args:
        loss: what it lost.
        step: the step that took most of it.
        op: of that step.
        taken: rows that this step took, where the loss is that of the whole run.
    """
    name = loss.label if len(loss.label) <= LONGEST_LABEL else f"{loss.label[:LONGEST_LABEL]}…"
    where = f"step {step} ({op})"
    entered = f" that entered {where}" if taken is None else ""
    at = "" if taken is None else f", {taken:,} of them at {where}"
    return Note(
        op=op,
        note=f"of {loss.rows:,} rows of class '{name}'{entered} are gone ({percent(loss.share)}; "
        f"of all other classes {percent(loss.usual)}){at}",
        count=loss.lost,
        warning="class",
        step=step,
        label=loss.label,
    )
