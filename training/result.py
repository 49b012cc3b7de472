"""What a proof says: the schema of `result.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Interval = tuple[float, float]
Consequence = Literal["void", "refuse", "exploratory"]


class Record(BaseModel):
    """A frozen part of the result; unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Gap(Record):
    """A paired difference of two arms; positive means the first scores higher."""

    name: str
    gap: float
    ci95: Interval
    p: float
    p_method: str
    p_holm: float | None = None
    """Holm-adjusted over the secondary comparisons; None for the primary one and for A/A."""
    per_seed: list[float]


class ArmScores(Record):
    """One arm: how much it saw and how each of its runs scored."""

    name: str
    says: str
    n: int | None
    """Training rows."""
    n_seen: int | None
    """Optimizer steps × batch."""
    scores: list[float | None]
    """One a seed; None where a run is not finite."""
    mean: float | None
    loss: float | None
    """Mean log loss in nats, if the runs stored it."""
    vs_raw: Gap | None


class Guard(Record):
    """One check of the instrument or of the claim, in a plain sentence."""

    name: str
    passed: bool
    detail: str
    if_failed: Consequence
    """void: no verdict can be read; refuse: "better" can't be claimed; exploratory: say so."""


class Detectable(Record):
    """Smallest gap found with 80 % power at a two-sided 5 % level."""

    before: float | None
    """From the prior guess, before any run."""
    after: float | None
    """From the spread that was measured."""
    prior: str


class ClassShare(Record):
    """Share of one class in each dataset."""

    name: str
    raw: float
    curated: float
    test: float


class Facts(Record):
    """What is known besides the scores; a trainer of one's own may leave all of it out."""

    plan_hash: str | None = None
    task: str | None = None
    profile: str | None = None
    says: dict[str, str] = {}
    n: dict[str, int] = {}
    losses: dict[str, float | None] = {}
    left_out: dict[str, str] = {}
    """Arms that can't be drawn, and why."""
    runs: list[dict[str, Any]] = []
    mde_before: float | None = None
    trivial: str = "the trivial answer"
    """What the baseline of `compare_scores` is."""
    changed_plan: str | None = None
    leaks_left: int | None = None
    leak: dict[str, Any] = {}
    class_shift: float | None = None
    classes: list[ClassShare] = []
    rows: dict[str, Any] = {}
    cost: dict[str, Any] = {}
    versions: dict[str, str] = {}
    notes: list[str] = []
    remarks: list[str] = []


class Result(Record):
    """A finished comparison: verdict first, then everything needed to check it."""

    verdict: str
    """better | worse | equivalent within ±δ | inconclusive | invalid instrument."""
    supported: bool
    sentence: str
    refusals: list[str]
    exploratory: bool
    exploratory_because: list[str]
    metric: str
    delta: float
    gap: float | None
    ci95: Interval | None
    p: float | None
    p_method: str | None
    p_equivalence: float | None
    mde: Detectable
    seeds: int
    test_rows: int
    arms: list[ArmScores]
    comparisons: list[Gap]
    """Curated minus each control."""
    equal_epoch: Gap | None
    guards: list[Guard]
    baseline: dict[str, Any]
    leak: dict[str, Any]
    class_shift: float | None
    """Total variation distance between the class mixes of raw and curated, in [0, 1]."""
    classes: list[ClassShare]
    rows: dict[str, Any]
    runs: list[dict[str, Any]]
    cost: dict[str, Any]
    versions: dict[str, str]
    plan_hash: str | None
    task: str | None
    profile: str | None
    left_out: dict[str, str]
    notes: list[str]
    remarks: list[str]

    @staticmethod
    def load(path: str | Path) -> Result:
        """Read a `result.json`."""
        return Result.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
