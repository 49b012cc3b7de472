"""How many rows met which fate: what the balance returns and the manifest holds."""

from typing import Literal

from pydantic import Field

from pipelines.options import Record, absent


class RowCounts(Record):
    """Rows of a run: `in` = kept + dropped + quarantined."""

    entered: int = Field(alias="in")
    """Records of the input."""
    kept: int
    dropped: int
    quarantined: int
    """Rows that could not be read or processed."""
    derived: int = 0
    """Rows that augmentation made from kept ones; not among those of the input."""


class StepCounts(Record):
    """What one step did to the rows that entered it."""

    step: int
    """Counts from 1; 0 is reading."""
    op: str
    entered: int = Field(alias="in")
    """Rows that entered the step."""
    kept: int
    dropped: int
    quarantined: int
    derived: int = 0
    edited: int = 0
    """Rows that a corpus step changed."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Rows that were dropped or quarantined, by reason."""
    seconds: float = 0.0
    """Wall time of the step, summed over all workers."""
    shuffled: int = 0
    """Bytes that the rounds of the step sent to each other."""
    measured: dict[str, float] | None = Field(default=None, exclude_if=absent)
    """Figures that the step found out about itself, such as its recall."""
    said: str | None = Field(default=None, exclude_if=absent)
    """The same as a sentence."""


WarningKind = Literal["class", "step", "labels"]


class Note(Record):
    """Where a step had to compromise or a person should look, and how often."""

    op: str
    note: str
    count: int = Field(alias="count_sum")
    warning: WarningKind | None = Field(default=None, exclude_if=absent)
    """Where a person should look before the output is used: `class` of which too many rows left,
    `step` that dropped too many, `labels` of duplicates that differ; absent on other notes."""
    step: int | None = Field(default=None, exclude_if=absent)
    """Number of the step that a warning is about."""
    label: str | None = Field(default=None, exclude_if=absent)
    """The class that a warning is about."""

    def __str__(self) -> str:
        """The note in words, which go on from its count."""
        return f"{self.count:,} {self.note}"
