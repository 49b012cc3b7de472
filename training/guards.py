"""The checks that void the instrument or refuse a claim, each one plain sentence."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.result import Facts, Gap, Guard, Interval
from training.stats import FloatArray, estimate

LEAST_SEEDS = 3
BUDGET_TOLERANCE = 0.001


def check_seeds(count: int) -> None:
    """Raise ValueError for fewer than three seeds: no spread can be read from them."""
    if count < LEAST_SEEDS:
        raise ValueError(f"seeds: {count} given; at least {LEAST_SEEDS} are needed, 5 are usual")


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
    """Every run saw the same number of examples, on one kind of device with one torch."""
    paired = [run for run in facts.runs if run["arm"] != "curated@epochs"]
    if not paired:
        return _not_shown("budget", "No record of the runs shows that every arm saw as much.")
    seen = [run["n_seen"] for run in paired]
    kinds = sorted({f"{run['device']}, torch {run['torch']}" for run in paired})
    even = max(seen) - min(seen) <= BUDGET_TOLERANCE * max(seen)
    if even and len(kinds) == 1:
        detail = f"Each run saw {seen[0]:,} examples ({kinds[0]})."
    elif even:
        detail = f"Runs were made on different machinery: {'; '.join(kinds)}."
    else:
        detail = f"Budgets differ between arms: {min(seen):,} to {max(seen):,} examples."
    return Guard(name="budget", passed=even and len(kinds) == 1, detail=detail, if_failed="void")


def leak(facts: Facts) -> Guard:
    """No train row stands in test any more."""
    if facts.leaks_left is None:
        return _not_shown("leak", "No leak check was made.")
    removed = facts.leak.get("raw", 0), facts.leak.get("curated", 0)
    detail = (
        f"{facts.leaks_left:,} train rows still stand in test after decontamination."
        if facts.leaks_left
        else f"No train row stands in test; {removed[0]:,} were removed from raw and "
        f"{removed[1]:,} from curated."
    )
    return Guard(name="leak", passed=not facts.leaks_left, detail=detail, if_failed="void")


def null(gap: Gap) -> Guard:
    """Raw against raw with other seeds must show no gap."""
    inside = gap.ci95[0] <= 0 <= gap.ci95[1]
    return Guard(
        name="A/A",
        passed=inside,
        detail=f"Raw against raw with other seeds {'shows no gap' if inside else 'shows a gap'}: "
        f"{points(gap.gap)} (95 % CI {span(gap.ci95)}).",
        if_failed="void",
    )


def floor(arm: str, scores: FloatArray, baseline: FloatArray, delta: float) -> Guard:
    """A model must beat the trivial answer by more than the smallest effect that matters."""
    found = estimate(scores - baseline)
    low, high = found.interval()
    return Guard(
        name=f"floor, {arm}",
        passed=low >= delta,
        detail=f"The {arm} model scores {points(found.mean)} over the trivial baseline (95 % CI "
        f"{span((low, high))}); the lower end must reach {points(delta, sign=False)}.",
        if_failed="void",
    )


def control(name: str, explains: str, gap: Gap | None, left_out: str | None) -> Guard:
    """Curated must beat the control arm, or the control explains the gap."""
    if gap is None:
        excused = name == "size" and left_out is not None
        detail = f"Not compared: {left_out}." if left_out else f"No arm rules out {explains}."
        return Guard(name=name, passed=excused, detail=detail, if_failed="refuse")
    passed = gap.ci95[0] > 0
    if passed:
        detail = f"Not explained by {explains}: {gap.name} is"
    elif gap.gap <= 0:
        detail = f"Explained by {explains}: {gap.name} is"
    else:
        detail = f"The gap may be explained by {explains}: {gap.name} is"
    detail += f" {points(gap.gap)} (95 % CI {span(gap.ci95)})."
    return Guard(name=name, passed=passed, detail=detail, if_failed="refuse")


def plan(facts: Facts) -> Guard:
    """The plan stood before the first run and was not changed since."""
    changed = facts.changed_plan
    if facts.plan_hash is None and not changed:
        return _not_shown("plan", "No plan was written before the runs.")
    detail = "The plan was written before the first run and has not changed."
    if changed:
        detail = changed[0].upper() + changed[1:] + "."
    return Guard(name="plan", passed=not changed, detail=detail, if_failed="refuse")


def power(before: float | None, delta: float) -> Guard | None:
    """Before running, the design could see the smallest effect that matters."""
    if before is None:
        return None
    enough = before <= delta
    detail = (
        f"Before running, this design was expected to find a gap of {points(before, sign=False)} "
        f"with 80 % power; the smallest that matters is {points(delta, sign=False)}."
    )
    return Guard(name="power", passed=enough, detail=detail, if_failed="exploratory")


def _not_shown(name: str, detail: str) -> Guard:
    return Guard(name=name, passed=False, detail=detail, if_failed="exploratory")


def points(value: float, *, sign: bool = True) -> str:
    """Write a score difference in points, for example "+8.1 points"."""
    return f"{_hundredths(value, sign=sign)} points"


def span(interval: Interval) -> str:
    """Write an interval in points, for example "+6.9 to +9.3"."""
    return f"{_hundredths(interval[0])} to {_hundredths(interval[1])}"


def _hundredths(value: float, *, sign: bool = True) -> str:
    text = f"{100 * value:{'+' if sign else ''}.1f}"
    if text.strip("+-0.") == "":
        text = f"{100 * value:{'+' if sign else ''}.2f}"
    return "0.0" if text.strip("+-0.") == "" else text.replace("-", "−")
