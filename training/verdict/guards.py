"""The checks that void the instrument or refuse a claim, each one plain sentence."""

from collections.abc import Mapping, Sequence

import numpy as np

from training.arrays import FloatArray
from training.design.arms import arm_named
from training.design.plan import is_main
from training.metrics import Metric
from training.result.result import Condition, Facts, Gap, Guard
from training.statistics.stats import Estimate

NULL_LEVEL = 0.99
BUDGET_TOLERANCE = 0.001


def finite(scores: Mapping[str, FloatArray], losses: Mapping[str, float | None]) -> Guard:
    """Every run is there and finite."""
    bad = sorted(
        {arm for arm, table in scores.items() if not np.isfinite(table).all()}
        | {arm for arm, loss in losses.items() if loss is None}
    )
    runs = sum(len(table) for table in scores.values())
    return Guard(
        name="runs",
        passed=not bad,
        detail=f"A run of {', '.join(bad)} is missing or not finite."
        if bad
        else f"All {runs} runs are there and finite.",
        if_failed="void",
    )


def profile(name: str | None) -> Guard | None:
    """A smoke run is too short to measure anything."""
    if name != "smoke":
        return None
    detail = "The smoke profile only tries the plumbing and makes no claim about quality."
    return Guard(name="profile", passed=False, detail=detail, if_failed="void")


def budget(facts: Facts) -> Guard:
    """Every compared run saw the same number of examples, on one kind of device with one torch."""
    paired = [run for run in facts.runs if _compared(run)]
    if not paired:
        return _not_shown("budget", "No record of the runs shows that every arm saw as much.")
    seen = [run.get("n_allowed", run["n_seen"]) for run in paired]
    kinds = sorted({_machinery(run) for run in paired})
    even = max(seen) - min(seen) <= BUDGET_TOLERANCE * max(seen)
    counted = facts.task == "language_modelling" and not paired[0].get("steps")
    unit = "bytes" if counted else "examples"
    if even and len(kinds) == 1:
        detail = f"Each run saw {max(seen):,} {unit} ({kinds[0]})."
    elif even:
        detail = f"Runs were made on different machinery: {'; '.join(kinds)}."
    else:
        detail = f"Budgets differ between arms: {min(seen):,} to {max(seen):,} {unit}."
    return Guard(name="budget", passed=even and len(kinds) == 1, detail=detail, if_failed="void")


def recipe(facts: Facts) -> Guard | None:
    """Every compared run was trained by the same recipe."""
    seen = {run["recipe"] for run in facts.runs if _compared(run) and "recipe" in run}
    if not seen:
        return None
    detail = "Every compared run was trained by the same recipe."
    if len(seen) > 1:
        detail = f"The recipe differs between arms: {len(seen)} recipes were used."
    return Guard(name="recipe", passed=len(seen) == 1, detail=detail, if_failed="void")


def _compared(run: Mapping[str, object]) -> bool:
    arm = arm_named(str(run["arm"]))
    return is_main(run) and arm.budget == "equal steps" and not arm.recipe


def _machinery(run: Mapping[str, object]) -> str:
    torch = run.get("torch")
    return f"{run['device']}, torch {torch}" if torch else str(run["device"])


def leak(facts: Facts) -> Guard:
    """No train row stands in test any more."""
    if facts.leaks_left is None:
        return _not_shown("leak", "No leak check was made.")
    removed = facts.leak.get("raw", 0), facts.leak.get("curated", 0)
    detail = (
        f"Leak after decontamination: {facts.leaks_left:,} train rows still stand in test."
        if facts.leaks_left
        else f"No train row stands in test; {removed[0]:,} were removed from raw and "
        f"{removed[1]:,} from curated."
    )
    return Guard(name="leak", passed=not facts.leaks_left, detail=detail, if_failed="void")


def null(found: Estimate, metric: Metric) -> Guard:
    """Raw against raw with other seeds must show no gap.

    At 99 %: at 95 % one sound instrument in twenty would be thrown away.
    """
    interval = found.interval(NULL_LEVEL)
    inside = interval[0] <= 0 <= interval[1]
    return Guard(
        name="A/A",
        passed=inside,
        detail=f"Raw against raw with other seeds {'shows no gap' if inside else 'shows a gap'}: "
        f"{metric.gap(found.mean)} (99 % CI {metric.span(interval)}).",
        if_failed="void",
    )


def floor(arm: str, found: Estimate, delta: float, metric: Metric) -> Guard:
    """A model must beat the trivial answer by more than the smallest effect that matters."""
    interval = found.interval()
    return Guard(
        name=f"floor, {arm}",
        passed=interval[0] >= delta,
        detail=f"The {arm} model scores {metric.gap(found.mean)} over the trivial baseline (95 % "
        f"CI {metric.span(interval)}); the lower end must reach {metric.gap(delta, sign=False)}.",
        if_failed="void",
    )


def control(
    name: str, explains: str, gap: Gap | None, left_out: str | None, metric: Metric
) -> Guard:
    """Curated must beat the control arm, or the control explains the gap."""
    if gap is None:
        excused = name != "class mix" and left_out is not None
        detail = f"Not compared: {left_out}." if left_out else f"No arm rules out {explains}."
        return Guard(name=name, passed=excused, detail=detail, if_failed="refuse")
    passed = gap.ci95[0] > 0
    if passed:
        detail = f"Not explained by {explains}: {gap.name} is"
    elif gap.gap <= 0:
        detail = f"Explained by {explains}: {gap.name} is"
    else:
        detail = f"The gap may be explained by {explains}: {gap.name} is"
    detail += f" {metric.gap(gap.gap)} (95 % CI {metric.span(gap.ci95)})."
    return Guard(name=name, passed=passed, detail=detail, if_failed="refuse")


def stable(primary: Gap, conditions: Sequence[Condition], metric: Metric) -> list[Guard]:
    """No size, learning rate or further test may show the opposite sign beyond doubt.

    Beyond doubt: its whole interval lies on the other side of zero. A single run of few seeds
    strays across zero by chance; that alone is said, and does not refuse.
    """
    sign = np.sign(primary.gap)
    found = []
    for kind in ("size", "learning rate", "test"):
        seen = [condition for condition in conditions if condition.kind == kind]
        if not seen:
            continue
        against = [c for c in seen if max(sign * c.gap.ci95[0], sign * c.gap.ci95[1]) < 0]
        others = [c for c in seen if sign * c.gap.gap < 0 and c not in against]
        if against:
            detail = f"The verdict depends on the {kind}: {_listed(against, metric)}."
        elif others:
            detail = f"Within noise, the sign differs at: {_listed(others, metric)}."
        else:
            detail = f"The sign is the same at every {kind} tried ({len(seen)})."
        name = f"other {kind}s"
        found.append(Guard(name=name, passed=not against, detail=detail, if_failed="refuse"))
    return found


def _listed(conditions: Sequence[Condition], metric: Metric) -> str:
    return "; ".join(
        f"{c.name} {metric.gap(c.gap.gap)} (95 % CI {metric.span(c.gap.ci95)})" for c in conditions
    )


def trained(facts: Facts) -> Guard | None:
    """The models were given the steps that the recipe asks for."""
    if facts.shortened is None:
        return None
    return Guard(name="training", passed=False, detail=facts.shortened, if_failed="exploratory")


def plan(facts: Facts) -> Guard:
    """The plan stood before the first run and was not changed since."""
    changed = facts.changed_plan
    if facts.plan_hash is None and not changed:
        return _not_shown("plan", "No plan was written before the runs.")
    detail = "The plan was written before the first run and has not changed."
    if changed:
        detail = changed[0].upper() + changed[1:] + "."
    return Guard(name="plan", passed=not changed, detail=detail, if_failed="refuse")


def power(before: float | None, delta: float, metric: Metric) -> Guard | None:
    """Before running, the design could see the smallest effect that matters."""
    if before is None:
        return None
    return Guard(
        name="power",
        passed=before <= delta,
        detail=f"Before running, this design was expected to find a gap of "
        f"{metric.gap(before, sign=False)} with 80 % power; the smallest that matters is "
        f"{metric.gap(delta, sign=False)}.",
        if_failed="exploratory",
    )


def copies(remark: str | None) -> Guard | None:
    """No changed copy of a test row can be left in curated that raw has lost."""
    if remark is None:
        return None
    return Guard(name="changed copies", passed=False, detail=remark, if_failed="refuse")


def carved(remark: str | None) -> Guard | None:
    """The test set was carved before curation."""
    if remark is None:
        return None
    return Guard(name="test set", passed=False, detail=remark, if_failed="exploratory")


def _not_shown(name: str, detail: str) -> Guard:
    return Guard(name=name, passed=False, detail=detail, if_failed="exploratory")
