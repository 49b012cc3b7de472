"""How many rows met which fate: what the balance returns and the manifest holds."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Counted(BaseModel):
    """A frozen value that is written as JSON; unknown fields are an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, use_attribute_docstrings=True
    )


class RowCounts(Counted):
    """Rows of a run: `in` = kept + dropped + quarantined."""

    entered: int = Field(alias="in")
    """Records of the input."""
    kept: int
    dropped: int
    quarantined: int
    """Rows that could not be read or processed."""
    derived: int
    """Rows made from kept ones by augmentation; not among those of the input."""


class StepCounts(Counted):
    """What one step did to the rows that entered it."""

    step: int
    """Counts from 1; 0 is reading."""
    op: str
    entered: int = Field(alias="in")
    """Rows that entered the step."""
    kept: int
    dropped: int
    quarantined: int
    derived: int
    edited: int = 0
    """Rows that a corpus step changed."""
    reasons: dict[str, int] = {}
    """Rows that were dropped or quarantined, by reason."""
    seconds: float
    """Wall time of the step, summed over all workers."""
    shuffled: int
    """Bytes that the rounds of the step sent to each other."""
    measured: dict[str, float] | None = None
    """Figures that the step found out about itself, such as its recall."""
    said: str | None = None
    """The same as a sentence."""


class Note(Counted):
    """Where a step had to compromise, and how often."""

    op: str
    note: str
    count: int
