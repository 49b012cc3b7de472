"""What a proof says: the schema of `result.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from training.metrics import Interval
from training.statistics.stats import Estimate

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

    @staticmethod
    def of(name: str, found: Estimate, p_holm: float | None = None) -> Gap:
        """Return an estimate under a name."""
        return Gap(
            name=name,
            gap=found.mean,
            ci95=found.interval(),
            p=found.p,
            p_method=found.p_method,
            p_holm=p_holm,
            per_seed=list(found.per_seed),
        )


class ArmScores(Record):
    """One arm: how much it saw and how each of its runs scored."""

    name: str
    says: str
    n: int | None
    """Training rows."""
    n_seen: int | None
    """Optimizer steps × batch."""
    scores: list[float | None]
    """One per seed; None where a run is not finite."""
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


class CurvePoint(Record):
    """Scores of one arm at one size (or one budget of steps), each run fully decayed."""

    arm: Literal["raw", "curated"]
    share: float
    """Of the arm's rows, or of the steps."""
    n: float
    """Mean training rows (bytes of text for language models), or optimizer steps."""
    scores: list[float]
    """One per seed."""
    mean: float


class Multiplier(Record):
    """How many times as much raw data (or compute) the same quality takes."""

    name: str
    value: float
    low: float | None
    """Lower end of the 95 % interval; None where it leaves the measured sizes."""
    high: float | None
    censored: Literal["at least", "at most"] | None
    """The measured curve ends before the quality is reached: `value` is the bound it supports."""
    says: str
    """One plain sentence with the number."""


class PowerLaw(Record):
    """L(n) = E + A·n^−α fitted to one arm's curve, or why no law is given."""

    arm: Literal["raw", "curated"]
    e: float | None = None
    a: float | None = None
    alpha: float | None = None
    alpha_ci95: tuple[float | None, float | None] | None = None
    """An end is None where the interval leaves the grid of exponents."""
    residuals: list[float] = []
    """Fitted minus measured, at each size."""
    left_out_error: float | None = None
    """Relative error of the largest size as predicted from the others."""
    refused: str | None = None


class LearningCurve(Record):
    """Quality against data, or against steps, and what follows from it."""

    axis: Literal["rows", "bytes", "steps"]
    points: list[CurvePoint]
    laws: list[PowerLaw] = []
    shift: str | None = None
    """What the shift test says: one multiplier at every size, or one that changes with it."""
    multipliers: list[Multiplier] = []


class Condition(Record):
    """The gap curated − raw under one other condition: a size, a learning rate, a test set."""

    kind: Literal["size", "learning rate", "test"]
    name: str
    gap: Gap
    n: float | None = None


class StepWorth(Record):
    """What one step of the recipe was worth."""

    step: str
    """Its name in the recipe, such as "4.near_dedup"."""
    dropped: int | None
    without: Gap | None
    """Curated minus curated without this step; positive: the step helps."""
    without_net: Gap | None
    """The same, less what the random twins of both sizes differ by: size is not the reason."""
    only: Gap | None
    """Only this step minus raw."""
    only_net: Gap | None
    """Only this step minus as many random raw rows."""
    verdict: Literal["earns its keep", "not shown to matter", "can go", "harms"]
    says: str


class Facts(Record):
    """What is known besides the scores; a trainer of one's own may leave all of it out."""

    plan_hash: str | None = None
    task: str | None = None
    profile: str | None = None
    model: str | None = None
    says: dict[str, str] = {}
    n: dict[str, int] = {}
    losses: dict[str, float | None] = {}
    left_out: dict[str, str] = {}
    """Arms that can't be drawn, and why."""
    runs: list[dict[str, Any]] = []
    mde_before: float | None = None
    trivial: str = "the trivial answer"
    """What the baseline of `compare_scores` is."""
    beside: dict[str, float] = {}
    """Scores to stand beside the baseline, such as bits per byte of zstd."""
    changed_plan: str | None = None
    shortened: str | None = None
    """That fewer steps were asked for than the recipe takes, if so."""
    carved_late: str | None = None
    """That the test rows were taken out of data that curation had seen, if so."""
    untraced_edits: str | None = None
    """That changed copies of test rows may be left in curated, if so."""
    leaks_left: int | None = None
    leak: dict[str, Any] = {}
    class_shift: float | None = None
    classes: list[ClassShare] = []
    rows: dict[str, Any] = {}
    cost: dict[str, Any] = {}
    versions: dict[str, str] = {}
    synthetic: list[str] = []
    """Defects that were planted in the data; the sentence names them."""
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
    conditions: list[Condition] = []
    """The same gap at other sizes and learning rates and on other tests."""
    curve: LearningCurve | None = None
    compute: LearningCurve | None = None
    """Quality against optimizer steps, every point a fully decayed run."""
    attribution: list[StepWorth] = []
    compressed: list[dict[str, Any]] = []
    """Operating points of the compressed model, see training.compression.compress."""
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
    model: str | None = None
    left_out: dict[str, str]
    synthetic: list[str] = []
    notes: list[str]
    remarks: list[str]

    @staticmethod
    def load(path: str | Path) -> Result:
        """Read a `result.json`."""
        return Result.model_validate(json.loads(Path(path).read_text(encoding="utf-8")))
