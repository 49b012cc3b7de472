"""From finished runs to learning curves, multipliers and the gap under other conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from training.arrays import FloatArray
from training.design.plan import CURVE_SEEDS, RATE_SEEDS, ProofPlan, TrainingJob
from training.metrics import Metric, metric_named
from training.result.result import Condition, CurvePoint, Gap, LearningCurve, Multiplier, PowerLaw
from training.runs.runs import Record, read_scores, read_weights
from training.statistics import curves
from training.statistics.powerlaw import Refused, fit_power_law, fit_shift
from training.statistics.stats import estimate

Axis = Literal["rows", "bytes", "steps"]
At = Mapping[str, float]
"""A condition: share, rate and steps of a Job, those that aren't 1."""
MAIN: At = {}


@dataclass(frozen=True)
class Runs:
    """The finished runs of a plan."""

    plan: ProofPlan
    folder: Path
    records: Mapping[TrainingJob, Record]

    @staticmethod
    def of(plan: ProofPlan, folder: Path, records: Sequence[Record]) -> Runs:
        """Pair the jobs of a plan with their records."""
        return Runs(plan, folder, dict(zip(plan.jobs(), records, strict=True)))

    def table(
        self, arm: str, at: At = MAIN, *, seeds: int | None = None, test: str = "test"
    ) -> FloatArray:
        """Return the scores of an arm under one condition, shape (seeds, test rows)."""
        chosen = self.plan.seeds[:seeds]
        return np.stack(
            [read_scores(self.folder, TrainingJob(arm, seed, **at), test) for seed in chosen]
        )

    def weights(self, test: str = "test") -> FloatArray | None:
        """Return how much each row of a test set counts; None if all count alike."""
        return read_weights(self.folder, self.plan.jobs()[0], test)

    def mean(self, arm: str, field: str, at: At = MAIN, *, seeds: int | None = None) -> float:
        """Return the mean of a field of the records of an arm under one condition."""
        found = [
            self.records[TrainingJob(arm, seed, **at)][field] for seed in self.plan.seeds[:seeds]
        ]
        return float(np.mean(found))


def conditions_of(runs: Runs, tests: Sequence[str]) -> list[Condition]:
    """Return the gap curated − raw at every other size and rate, and on every further test."""
    plan, found = runs.plan, []

    def gap(
        kind: Literal["size", "learning rate", "test"],
        name: str,
        seeds: int | None,
        at: At = MAIN,
        test: str = "test",
    ) -> None:
        tables = [runs.table(arm, at, seeds=seeds, test=test) for arm in ("curated", "raw")]
        if not all(np.isfinite(table).all() for table in tables):
            return
        n = runs.mean("raw", "n", at, seeds=seeds) if kind == "size" else None
        value = estimate(tables[0] - tables[1], runs.weights(test))
        measured = Gap.of(f"curated − raw, {name}", value)
        found.append(Condition(kind=kind, name=name, gap=measured, n=n))

    for share in plan.shares:
        gap("size", f"{share:.3g} of the rows", CURVE_SEEDS, {"share": share})
    for rate in plan.rates:
        gap("learning rate", f"{rate:g} × the learning rate", RATE_SEEDS, {"rate": rate})
    for test in tests:
        if test != "test":
            gap("test", test.removeprefix("test:"), None, test=test)
    return found


def learning_curve(runs: Runs, sizes: Mapping[str, int], keep_share: float) -> LearningCurve | None:
    """Return quality against data where every row is seen equally often, and its multipliers.

    Args:
        runs: the finished runs.
        sizes: rows (bytes, for a language model) of raw and curated.
        keep_share: curated over raw, in the same unit.
    """
    plan = runs.plan
    if not plan.shares:
        return None
    arms = dict(zip(("raw", "curated"), plan.curve_arms, strict=True))
    shares = [*sorted(plan.shares), 1.0]
    axis: Axis = "bytes" if plan.task == "language_modelling" else "rows"
    found = _measured(
        runs,
        {
            name: [(share * sizes[name], arm, {"share": share}) for share in shares]
            for name, arm in arms.items()
        },
    )
    if found is None:
        return None
    points, lines, metric = *found, metric_named(plan.metric)
    raw, curated = lines["raw"], lines["curated"]
    kept = curves.kept_multiplier(raw, curated)
    pool = curves.pool_multiplier(raw, curated, min(keep_share, 1.0))
    same = curves.same_quality(raw, curated)
    unit = "Raw bytes" if axis == "bytes" else "Raw rows"
    full = metric.value(_last(points, "raw"))
    multipliers = [
        _multiplier(
            "kept-sample",
            kept,
            f"{unit} needed to equal {kept.at:,.0f} curated ones: {{}} as many.",
        ),
        _multiplier(
            "pool",
            pool,
            "Raw pool needed to equal what curating a pool yields: {} that pool.",
        ),
        _same_quality(same, f"all raw data ({full})", "its size"),
    ]
    return LearningCurve(
        axis=axis,
        points=points,
        laws=_laws(lines, metric),
        shift=_shift(lines, metric),
        multipliers=multipliers,
    )


def compute_curve(runs: Runs, curate_seconds: float | None) -> LearningCurve | None:
    """Return quality against steps, every point fully decayed; the curator's cost is charged."""
    plan = runs.plan
    if not plan.budgets:
        return None
    factors = [*sorted(plan.budgets), 1.0]
    found = _measured(
        runs,
        {
            arm: [(factor * plan.steps, arm, {"steps": factor}) for factor in factors]
            for arm in ("raw", "curated")
        },
    )
    if found is None:
        return None
    points, lines = found
    a_step = runs.mean("raw", "seconds") / plan.steps
    charged = (curate_seconds or 0.0) / a_step
    multipliers = []
    costs = [("compute", 0.0, "of training alone")]
    if curate_seconds is not None:
        of = "with the curator's seconds charged to one training"
        costs.append(("compute with curation", charged, of))
    for name, steps, of in costs:
        ratio = curves.compute_multiplier(lines["raw"], lines["curated"], curator_steps=steps)
        says = f"Raw steps needed to equal {plan.steps:,} curated ones: {{}} as many, {of}."
        multipliers.append(_multiplier(name, ratio, says))
    same = curves.same_quality(lines["raw"], lines["curated"])
    full = metric_named(plan.metric).value(_last(points, "raw"))
    multipliers.append(_same_quality(same, f"all raw steps ({full})", "them"))
    return LearningCurve(axis="steps", points=points, multipliers=multipliers)


Wanted = Mapping[str, Sequence[tuple[float, str, dict[str, float]]]]


def _measured(
    runs: Runs, wanted: Wanted
) -> tuple[list[CurvePoint], dict[str, curves.ErrorCurve]] | None:
    """Return the points and the curve of raw and of curated; None where a run is not finite."""
    points, lines = [], {}
    weights = runs.weights()
    for name, places in wanted.items():
        tables = [runs.table(arm, at, seeds=CURVE_SEEDS) for _, arm, at in places]
        if not all(np.isfinite(table).all() for table in tables):
            return None
        for (n, _, at), table in zip(places, tables, strict=True):
            points.append(
                CurvePoint(
                    arm="raw" if name == "raw" else "curated",
                    share=next(iter(at.values())),
                    n=n,
                    scores=np.average(table, axis=1, weights=weights).tolist(),
                    mean=float(np.average(table.mean(axis=0), weights=weights)),
                )
            )
        errors = _errors(np.stack(tables, axis=1), runs.plan.metric)
        if weights is not None:
            errors = errors * (weights / weights.mean())
        lines[name] = curves.ErrorCurve([n for n, *_ in places], errors)
    return points, lines


def _errors(scores: FloatArray, metric: str) -> FloatArray:
    """Return errors, lower is better, from scores of which more is better."""
    return -scores if metric_named(metric).turned else 1.0 - scores


def _last(points: Sequence[CurvePoint], arm: str) -> float:
    return max((point for point in points if point.arm == arm), key=lambda point: point.n).mean


def _multiplier(name: str, ratio: curves.Ratio, says: str, *, share: bool = False) -> Multiplier:
    def number(value: float) -> str:
        return f"{100 * value:.0f} %" if share else f"{value:.2f} ×"

    sign = {"at least": "≥ ", "at most": "≤ ", None: ""}[ratio.censored]
    text = says.format(sign + number(ratio.value))
    low, high = ratio.low, ratio.high
    if low is not None and high is not None:
        text += f" 95 % CI {number(low)} to {number(high)}."
    elif low is not None:
        text += f" 95 % CI from {number(low)}."
    elif high is not None:
        text += f" 95 % CI up to {number(high)}."
    return Multiplier(
        name=name, value=ratio.value, low=low, high=high, censored=ratio.censored, says=text
    )


def _same_quality(ratio: curves.Ratio, of: str, what: str) -> Multiplier:
    """Say with which share curated reaches the quality of all of raw, if it does."""
    if ratio.censored == "at least":
        says = f"Curated data did not reach the quality of {of}, tried up to {{}} of {what}."
        found = _multiplier("same quality", ratio, says, share=True)
        return found.model_copy(update={"says": found.says.replace("≥ ", "")})
    says = f"Curated data reaches the quality of {of} with {{}} of {what}."
    return _multiplier("same quality", ratio, says, share=True)


def _laws(lines: Mapping[str, curves.ErrorCurve], metric: Metric) -> list[PowerLaw]:
    found: list[PowerLaw] = []
    for name, line in lines.items():
        arm: Literal["raw", "curated"] = "raw" if name == "raw" else "curated"
        law = fit_power_law(line, classification=not metric.turned)
        if isinstance(law, Refused):
            found.append(PowerLaw(arm=arm, refused=law.reason))
            continue
        found.append(
            PowerLaw(
                arm=arm,
                e=law.E,
                a=law.A,
                alpha=law.alpha,
                alpha_ci95=(law.alpha_low, law.alpha_high),
                residuals=list(law.residuals),
                left_out_error=law.left_out_error,
            )
        )
    return found


def _shift(lines: Mapping[str, curves.ErrorCurve], metric: Metric) -> str | None:
    found = fit_shift(lines["raw"], lines["curated"], classification=not metric.turned)
    if isinstance(found, Refused):
        return f"No shift is fitted: {found.reason}."
    if not found.changes_with_size:
        return (
            f"One multiplier fits every size: {found.multiplier:.2f} × (95 % CI {found.low:.2f} to "
            f"{found.high:.2f}; separate laws fit no better, p = {found.p:.2g})."
        )
    by_size = ", ".join(f"{r.value:.2f} × at {r.at:,.0f}" for r in found.by_size)
    return f"The multiplier changes with size (p = {found.p:.2g}): {by_size}."
