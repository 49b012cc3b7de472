"""From per-example scores of each arm and seed to a verdict; any trainer may supply them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from training import guards
from training.result import ArmScores, Detectable, Facts, Gap, Guard, Result
from training.stats import (
    PRIOR_ITEM_SD,
    PRIOR_SEED_SD,
    Estimate,
    FloatArray,
    detectable,
    equivalence_p,
    estimate,
    holm,
)
from training.verdict import decide, sentence

NEEDED = ("raw", "curated", "aa")
CONTROLS = {"random@n": ("size", "size"), "random@n,class": ("class mix", "class mix")}
EQUAL_EPOCHS = "curated@epochs"
ALPHA = 0.05
PRIOR = (
    f"guess: a seed changes the gap by {PRIOR_SEED_SD:g} and "
    f"{PRIOR_ITEM_SD**2:.0%} of test rows are answered differently"
)


def compare_scores(
    scores: Mapping[str, npt.ArrayLike],
    *,
    baseline: npt.ArrayLike,
    delta: float = 0.01,
    metric: str = "accuracy",
    facts: Facts | None = None,
) -> Result:
    """Compare arms from their per-example scores and say what may be claimed.

    Args:
        scores: for each arm a (seeds × test rows) array, higher is better; the same seeds and
            rows in the same order in every arm. `raw`, `curated` and `aa` (raw again with other
            seeds) are needed; `random@n` and `random@n,class` rule out size and class mix.
        baseline: the score of the best trivial answer on each test row.
        delta: smallest effect that matters, in units of the score.
        metric: name of the score.
        facts: everything else the report should hold. Without a plan, runs and a leak check among
            them the result is exploratory.

    Raises:
        ValueError: an arm is missing, shapes differ, or there are fewer than three seeds.
    """
    facts = facts or Facts()
    tables = _tables(scores)
    trivial = np.asarray(baseline, dtype=np.float64)
    items = tables["raw"].shape[1]
    if trivial.shape != (items,):
        raise ValueError(
            f"baseline: shape {trivial.shape}; needs one score for each of {items} rows"
        )
    complete = guards.finite(tables, facts.losses)
    if not complete.passed:
        return _assemble(tables, {}, None, [complete], facts, trivial, delta, metric)
    found = {arm: estimate(table - tables["raw"]) for arm, table in tables.items() if arm != "raw"}
    controls = {arm: estimate(tables["curated"] - tables[arm]) for arm in CONTROLS if arm in tables}
    gaps = _adjusted(found, controls)
    checks = _checks(tables, gaps, trivial, facts, delta)
    return _assemble(
        tables, gaps, found["curated"], [complete, *checks], facts, trivial, delta, metric
    )


def _tables(scores: Mapping[str, npt.ArrayLike]) -> dict[str, FloatArray]:
    tables = {arm: np.asarray(table, dtype=np.float64) for arm, table in scores.items()}
    missing = [arm for arm in NEEDED if arm not in tables]
    if missing:
        raise ValueError(
            f"scores: arm {', '.join(missing)} is missing; needed: {', '.join(NEEDED)}"
        )
    shapes = {arm: table.shape for arm, table in tables.items()}
    if len(set(shapes.values())) > 1 or tables["raw"].ndim != 2 or tables["raw"].shape[1] < 2:
        raise ValueError(
            f"scores: shapes {shapes}; each arm needs the same (seeds, test rows), 2 rows or more"
        )
    guards.check_seeds(tables["raw"].shape[0])
    return tables


def _adjusted(found: dict[str, Estimate], controls: dict[str, Estimate]) -> dict[str, Gap]:
    """Name every gap; Holm over all but the primary comparison and the A/A check."""
    named = {f"{arm} − raw": value for arm, value in found.items()}
    named |= {f"curated − {arm}": value for arm, value in controls.items()}
    secondary = [name for name in named if name not in ("curated − raw", "aa − raw")]
    adjusted = dict(zip(secondary, holm([named[name].p for name in secondary]), strict=True))
    return {name: _gap(name, value, adjusted.get(name)) for name, value in named.items()}


def _gap(name: str, found: Estimate, p_holm: float | None) -> Gap:
    return Gap(
        name=name,
        gap=found.mean,
        ci95=found.interval(),
        p=found.p,
        p_method=found.p_method,
        p_holm=p_holm,
        per_seed=list(found.per_seed),
    )


def _checks(
    tables: dict[str, FloatArray],
    gaps: dict[str, Gap],
    trivial: FloatArray,
    facts: Facts,
    delta: float,
) -> list[Guard]:
    checks = [
        guards.plan(facts),
        guards.budget(facts),
        guards.leak(facts),
        guards.null(gaps["aa − raw"]),
        guards.floor("raw", tables["raw"], trivial, delta),
        guards.floor("curated", tables["curated"], trivial, delta),
        *(
            guards.control(name, explains, gaps.get(f"curated − {arm}"), facts.left_out.get(arm))
            for arm, (name, explains) in CONTROLS.items()
        ),
        guards.power(facts.mde_before, delta),
        guards.profile(facts.profile),
    ]
    return [check for check in checks if check is not None]


def _assemble(
    tables: dict[str, FloatArray],
    gaps: dict[str, Gap],
    primary: Estimate | None,
    checks: list[Guard],
    facts: Facts,
    trivial: FloatArray,
    delta: float,
    metric: str,
) -> Result:
    gap = gaps.get("curated − raw")
    p_equivalence = None if primary is None else equivalence_p(primary, delta)
    verdict = decide(gap, p_equivalence, checks, delta=delta, alpha=ALPHA)
    shared: dict[str, Any] = facts.model_dump(
        include={
            "plan_hash", "task", "profile", "runs", "leak", "class_shift", "classes", "rows",
            "cost", "versions", "left_out", "notes", "remarks",
        }
    )  # fmt: skip
    doubts = [
        check.detail
        for check in checks
        if not check.passed and (check.if_failed == "exploratory" or check.name == "plan")
    ]
    draft = Result(
        verdict=verdict,
        supported=verdict == "better",
        sentence="",
        refusals=[check.detail for check in checks if _refuses(check)],
        exploratory=bool(doubts) or facts.changed_plan is not None,
        exploratory_because=doubts,
        metric=metric,
        delta=delta,
        gap=gap and gap.gap,
        ci95=gap and gap.ci95,
        p=gap and gap.p,
        p_method=gap and gap.p_method,
        p_equivalence=p_equivalence,
        mde=Detectable(
            before=facts.mde_before,
            after=None if primary is None else detectable(primary.se, primary.df),
            prior=PRIOR,
        ),
        seeds=tables["raw"].shape[0],
        test_rows=tables["raw"].shape[1],
        arms=[_arm(arm, table, gaps, facts) for arm, table in tables.items()],
        comparisons=[gap for name, gap in gaps.items() if name.startswith("curated − random")],
        equal_epoch=gaps.get(f"{EQUAL_EPOCHS} − raw"),
        guards=checks,
        baseline={"says": facts.trivial, "score": float(trivial.mean())},
        **shared,
    )
    return draft.model_copy(update={"sentence": sentence(draft)})


def _refuses(check: Guard) -> bool:
    return not check.passed and check.if_failed in ("void", "refuse")


def _arm(arm: str, table: FloatArray, gaps: dict[str, Gap], facts: Facts) -> ArmScores:
    seen = [run["n_seen"] for run in facts.runs if run["arm"] == arm]
    per_seed = [float(score) if np.isfinite(score) else None for score in table.mean(axis=1)]
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
