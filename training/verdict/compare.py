"""From per-example scores of each arm and seed to a verdict; any trainer may supply them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from training.arrays import FloatArray
from training.errors import UserError
from training.metrics import Metric, metric_named
from training.result.result import (
    ArmScores,
    Condition,
    Detectable,
    Facts,
    Gap,
    Guard,
    LearningCurve,
    Result,
)
from training.statistics.stats import (
    Estimate,
    check_seeds,
    detectable_after,
    equivalence_p,
    estimate,
    holm,
    prior_of,
)
from training.verdict import guards
from training.verdict.attribution import is_attribution, worth_of_steps
from training.verdict.verdict import decide, with_sentence

NEEDED = ("raw", "curated", "aa")
CONTROLS = {
    "random@n": ("size", "size"),
    "random@bytes": ("bytes", "the number of bytes"),
    "random@n,class": ("class mix", "class mix"),
    "scrambled": ("decisions", "chance: the same decisions given to other rows"),
}
NEEDED_CONTROLS = ("random@n", "random@n,class")
"""Controls without which nothing is claimed, unless it is said why they can't be made."""
EQUAL_EPOCHS = "curated@epochs"
ALPHA = 0.05


def compare_scores(
    scores: Mapping[str, npt.ArrayLike],
    *,
    baseline: npt.ArrayLike,
    delta: float = 0.01,
    metric: str = "accuracy",
    weights: FloatArray | None = None,
    facts: Facts | None = None,
    conditions: Sequence[Condition] = (),
    curve: LearningCurve | None = None,
    compute: LearningCurve | None = None,
    dropped: Mapping[str, int] | None = None,
) -> Result:
    """Compare arms from their per-example scores and say what may be claimed.

    Args:
        scores: for each arm a (seeds × test rows) array, higher is better; the same seeds and
            rows in the same order in every arm. `raw`, `curated` and `aa` (raw again with other
            seeds) are needed; `random@n` and `random@n,class` rule out size and class mix.
        baseline: the score of the best trivial answer on each test row.
        delta: smallest effect that matters, in units of the score.
        metric: name of the score.
        weights: how much each test row counts, such as the bytes of a document; alike by default.
        facts: everything else the report should hold. Without a plan, runs and a leak check among
            them the result is exploratory.
        conditions: the gap curated − raw at other sizes and learning rates and on other tests.
        curve: quality against data.
        compute: quality against steps.
        dropped: rows that each step dropped, for attribution.

    Raises:
        UserError: an arm is missing, shapes differ, or there are fewer than three seeds.
    """
    facts = facts or Facts()
    tables = _tables(scores)
    trivial = np.asarray(baseline, dtype=np.float64)
    items = tables["raw"].shape[1]
    if trivial.shape != (items,):
        raise UserError(
            f"baseline: shape {trivial.shape}; needs one score for each of {items} rows"
        )
    complete = guards.finite(tables, facts.losses)
    measure = partial(estimate, weights=weights)
    draft = _Draft(tables, trivial, delta, metric_named(metric), facts, measure)
    if not complete.passed:
        return _assemble(draft, {}, None, [complete])
    found = {arm: measure(table - tables["raw"]) for arm, table in tables.items() if arm != "raw"}
    controls = {arm: measure(tables["curated"] - tables[arm]) for arm in CONTROLS if arm in tables}
    gaps = _adjusted(found, controls)
    checks = [complete, *_checks(draft, gaps, conditions)]
    result = _assemble(draft, gaps, found["curated"], checks)
    attribution = worth_of_steps(tables, delta, dropped or {}, draft.metric, measure)
    return with_sentence(
        result.model_copy(
            update={
                "conditions": list(conditions),
                "curve": curve,
                "compute": compute,
                "attribution": attribution,
            }
        )
    )


@dataclass(frozen=True)
class _Draft:
    """What is compared."""

    tables: dict[str, FloatArray]
    trivial: FloatArray
    delta: float
    metric: Metric
    facts: Facts
    measure: Callable[[FloatArray], Estimate]


def _tables(scores: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    tables = {arm: np.asarray(table, dtype=np.float64) for arm, table in scores.items()}
    missing = [arm for arm in NEEDED if arm not in tables]
    if missing:
        raise UserError(f"scores: arm {', '.join(missing)} is missing; needed: {', '.join(NEEDED)}")
    shapes = {arm: table.shape for arm, table in tables.items()}
    if len(set(shapes.values())) > 1 or tables["raw"].ndim != 2 or tables["raw"].shape[1] < 2:
        raise UserError(
            f"scores: shapes {shapes}; each arm needs the same (seeds, test rows), 2 rows or more"
        )
    check_seeds(tables["raw"].shape[0])
    return tables


def _adjusted(found: dict[str, Estimate], controls: dict[str, Estimate]) -> dict[str, Gap]:
    """Name every gap; Holm over all but the primary comparison and the A/A check."""
    named = {f"{arm} − raw": value for arm, value in found.items()}
    named |= {f"curated − {arm}": value for arm, value in controls.items()}
    secondary = [
        name
        for name in named
        if name not in ("curated − raw", "aa − raw") and not is_attribution(name)
    ]
    adjusted = dict(zip(secondary, holm([named[name].p_t for name in secondary]), strict=True))
    return {name: Gap.of(name, value, adjusted.get(name)) for name, value in named.items()}


def _checks(draft: _Draft, gaps: dict[str, Gap], conditions: Sequence[Condition]) -> list[Guard]:
    tables, facts, delta, metric = draft.tables, draft.facts, draft.delta, draft.metric
    checks = [
        guards.plan(facts),
        guards.budget(facts),
        guards.recipe(facts),
        guards.leak(facts),
        guards.null(draft.measure(tables["aa"] - tables["raw"]), metric),
        *(
            guards.floor(arm, draft.measure(tables[arm] - draft.trivial), delta, metric)
            for arm in ("raw", "curated")
        ),
        *(
            guards.control(
                name, explains, gaps.get(f"curated − {arm}"), facts.left_out.get(arm), metric
            )
            for arm, (name, explains) in CONTROLS.items()
            if arm in tables or arm in NEEDED_CONTROLS
        ),
        *guards.stable(gaps["curated − raw"], conditions, metric),
        guards.copies(facts.untraced_edits),
        guards.carved(facts.carved_late),
        guards.trained(facts),
        guards.power(facts.mde_before, delta, metric),
        guards.profile(facts.profile),
    ]
    return [check for check in checks if check is not None]


def _assemble(
    draft: _Draft, gaps: dict[str, Gap], primary: Estimate | None, checks: list[Guard]
) -> Result:
    tables, facts, delta = draft.tables, draft.facts, draft.delta
    gap = gaps.get("curated − raw")
    p_equivalence = None if primary is None else equivalence_p(primary, delta)
    verdict = decide(gap, p_equivalence, checks, delta=delta, alpha=ALPHA)
    shared: dict[str, Any] = facts.model_dump(
        include={
            "plan_hash", "task", "profile", "model", "runs", "leak", "class_shift", "classes",
            "rows", "cost", "versions", "left_out", "synthetic", "notes", "remarks",
        }
    )  # fmt: skip
    doubts = [
        check.detail
        for check in checks
        if not check.passed and (check.if_failed == "exploratory" or check.name == "plan")
    ]
    return with_sentence(
        Result(
            verdict=verdict,
            supported=verdict == "better",
            sentence="",
            refusals=[check.detail for check in checks if _refuses(check)],
            exploratory=bool(doubts) or facts.changed_plan is not None,
            exploratory_because=doubts,
            metric=draft.metric.name,
            delta=delta,
            gap=gap and gap.gap,
            ci95=gap and gap.ci95,
            p=gap and gap.p,
            p_method=gap and gap.p_method,
            p_equivalence=p_equivalence,
            mde=Detectable(
                before=facts.mde_before,
                after=None if primary is None else detectable_after(primary),
                prior=_prior_said(draft.metric),
            ),
            seeds=tables["raw"].shape[0],
            test_rows=tables["raw"].shape[1],
            arms=[_arm(arm, draft, gaps) for arm in tables],
            comparisons=[
                gap for name, gap in gaps.items() if name.removeprefix("curated − ") in CONTROLS
            ],
            equal_epoch=_equal_epoch(draft, gaps),
            guards=checks,
            baseline={
                "says": facts.trivial,
                "score": draft.measure(np.stack([draft.trivial] * 2)).mean,
                **facts.beside,
            },
            **shared,
        )
    )


def _equal_epoch(draft: _Draft, gaps: dict[str, Gap]) -> Gap | None:
    """Return curated against raw where each row is seen as often in both."""
    tables = draft.tables
    if EQUAL_EPOCHS in tables and "raw@epochs" in tables:
        found = draft.measure(tables[EQUAL_EPOCHS] - tables["raw@epochs"])
        return Gap.of(f"{EQUAL_EPOCHS} − raw@epochs", found)
    return gaps.get(f"{EQUAL_EPOCHS} − raw")


def _prior_said(metric: Metric) -> str:
    prior = prior_of(metric.name)
    return (
        f"guess: a seed changes the gap by {metric.gap(prior.seed_sd, sign=False)}, a test row by "
        f"{metric.gap(prior.item_sd, sign=False)} (standard deviations)"
    )


def _refuses(check: Guard) -> bool:
    return not check.passed and check.if_failed in ("void", "refuse")


def _arm(arm: str, draft: _Draft, gaps: dict[str, Gap]) -> ArmScores:
    facts = draft.facts
    seen = [run["n_seen"] for run in facts.runs if run["arm"] == arm and run.get("share", 1) == 1]
    found = draft.measure(draft.tables[arm]).per_seed
    per_seed = [score if np.isfinite(score) else None for score in found]
    finite = [score for score in per_seed if score is not None]
    return ArmScores(
        name=arm,
        says=facts.says.get(arm, ""),
        n=facts.n.get(arm),
        n_seen=seen[0] if seen else None,
        scores=per_seed,
        mean=float(np.mean(finite)) if len(finite) == len(per_seed) else None,
        loss=facts.losses.get(arm),
        vs_raw=gaps.get(f"{arm} − raw"),
    )
