"""One measured run."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from curate.plan.costs import Size, name_of
from pipelines.steps import AnyStep
from pipelines.steps.step import Step

TINY = 100
"""Rows of the run that stands for the start."""


@dataclass(frozen=True)
class Observation:
    """What one run cost: the middle of its repeats."""

    corpus: str
    rows: int
    content: float
    stored: float
    dimensions: int
    step: dict[str, Any] | None
    workers: int
    cpu: float
    wall: float
    peak: float
    shuffled: float
    seconds: float
    """What the step counted itself."""
    kept: int = 0
    repeats: int = 1

    @property
    def size(self) -> Size:
        return Size(self.rows, self.content, self.stored, self.dimensions)

    @property
    def own(self) -> float:
        """Return the CPU seconds that the step counts: its clock, less waits, more threads."""
        return self.seconds * self.cpu / self.wall

    @property
    def parsed(self) -> Step | None:
        return None if self.step is None else TypeAdapter(AnyStep).validate_python(self.step)

    @property
    def what(self) -> str:
        """Return what was run, for a run of the same to take its place."""
        return f"{self.corpus} {self.rows} {self.workers} {json.dumps(self.step)}"

    @property
    def name(self) -> str:
        step = self.parsed
        return "" if step is None else name_of(step)
