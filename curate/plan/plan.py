"""What a run would do and cost, told without running it."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from curate.plan.costs import (
    EXTRAPOLATED,
    CostEstimate,
    Costs,
    PartCosts,
    Total,
    add_up,
    estimate_part,
    load_costs,
    name_of,
)
from curate.plan.estimate import Input, Reading, plan_input
from curate.recipe.recipe import Recipe
from curate.run.run import required_roles
from pipelines.engine.graph import Job, rounds_of
from pipelines.engine.segments import segments_of
from pipelines.errors import UserError
from pipelines.maths.sets.minhash import candidate_probability, plan_bands
from pipelines.steps.step import Step
from pipelines.stores import reached_by

MEASURED_PROCESSES = 2
"""Local processes the model was fitted to; more are an extrapolation."""
CURVE = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
"""Similarities at which the S-curve of `near_dedup` is told, beside the threshold."""


@dataclass(frozen=True)
class PlannedStep:
    """A step, where it stands and what it is expected to cost."""

    step: int
    """Counted from 1; 0 is reading and writing."""
    op: str
    segment: int
    shuffles: int
    """GroupByKeys of its own; 0 of a step that sees single batches."""
    cost: CostEstimate | None
    """None where no cost is known."""


@dataclass(frozen=True)
class Banding:
    """How `near_dedup` finds candidates."""

    step: int
    similarity: float
    permutations: int
    bands: int
    rows: int
    curve: tuple[tuple[float, float], ...]
    """Similarity of two texts, and the probability that they become candidates."""


@dataclass(frozen=True)
class CostPlan:
    """What a run would do."""

    name: str
    input: Input
    tasks: int
    """Parts the input is read in, each a working shard."""
    workers: int
    runner: str
    segments: int
    shuffles: int
    """GroupByKeys of the whole run."""
    steps: tuple[PlannedStep, ...]
    banding: tuple[Banding, ...]
    total: Total
    """Without the steps whose cost is not known."""
    disk: float
    """Bytes of working files and output."""
    model: str
    """What the costs were fitted to, and how far they are off."""
    remarks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain data."""
        return asdict(self)


def plan_recipe(
    recipe: Recipe,
    *,
    rows: int | None = None,
    total_bytes: int | None = None,
    row_bytes: int | None = None,
    workers: int | None = None,
    limit: int | None = None,
    costs: Costs | None = None,
) -> CostPlan:
    """Plan a run: read the first rows of the input, and of the target of a `dsir` step.

    Args:
        recipe: what would run.
        rows: plan for so many rows instead of those of the input.
        total_bytes: or for so many bytes of text and images.
        row_bytes: bytes of text and image a row, instead of those of the sample. With `rows` or
            `total_bytes`, the input need not be there.
        workers: local processes; as `run` chooses if left out.
        limit: read only the first so many records.
        costs: the cost model; the one of the package if left out.

    Raises:
        UserError: there is no input or no target, or a column is not there; or both rows and
            bytes are given.
    """
    if rows is not None and total_bytes is not None:
        raise UserError("give --rows or --bytes, not both: the one follows from the other")
    costs = costs or load_costs()
    with reached_by(recipe.storage):
        seen, reading, missing = plan_input(
            recipe,
            rows=rows,
            total_bytes=total_bytes,
            row_bytes=row_bytes,
            workers=workers,
            limit=limit,
        )
    steps, shuffles = _steps(recipe, seen, reading, costs)
    known = [step.cost for step in steps if step.cost is not None]
    total = add_up(costs, known, reading.workers)
    segments = segments_of(recipe.steps, recipe.seed)
    return CostPlan(
        name=recipe.name,
        input=seen,
        tasks=reading.tasks,
        workers=reading.workers,
        runner=recipe.run.runner,
        segments=len(segments),
        shuffles=shuffles,
        steps=steps,
        banding=tuple(bandings(recipe.steps)),
        total=total,
        disk=seen.rows * seen.stored * (sum(segment.rewrites for segment in segments) + 1),
        model=told(costs),
        remarks=(*missing, *_remarks(recipe, steps, seen, total, reading.workers, costs)),
    )


def _steps(
    recipe: Recipe, seen: Input, reading: Reading, costs: Costs
) -> tuple[tuple[PlannedStep, ...], int]:
    """Return the steps with their costs, and the number of shuffles of the run.

    The rounds of a step are those that would run; the files that it reads must be there.
    """
    job = Job(
        read=recipe.read,
        steps=recipe.steps,
        seed=recipe.seed,
        work="",
        tasks=reading.tasks,
        spools=reading.spools,
        required=required_roles(recipe),
        shard_bytes=recipe.write.shard_size,
    )
    for step in recipe.steps:
        step.check_files()
    rounds = rounds_of(job)
    own = Counter(number for _, _, number in rounds)
    segment_of: dict[int, int] = {}
    for segment in segments_of(recipe.steps, recipe.seed):
        numbers = [number for number, _ in segment.row_steps]
        numbers += [segment.corpus[0]] if segment.corpus else []
        segment_of |= dict.fromkeys(numbers, segment.index)
    around = estimate_part(costs.base, None, seen.size())
    steps = [PlannedStep(0, "read, write", 0, own[None], around)]
    for number, step in enumerate(recipe.steps, start=1):
        part = _part(costs, step)
        cost = None if part is None else estimate_part(part, step, seen.size(step))
        steps.append(PlannedStep(number, step.op, segment_of[number], own[number], cost))
    return tuple(steps), len(rounds)


def _part(costs: Costs, step: Step) -> PartCosts | None:
    return costs.steps.get(name_of(step))


def bandings(steps: Iterable[Step]) -> Iterator[Banding]:
    """Yield the banding of each `near_dedup` step."""
    for number, step in enumerate(steps, start=1):
        if step.op == "near_dedup":
            options = dict(step)
            similarity, permutations = options["similarity"], options["permutations"]
            bands, rows = plan_bands(similarity, permutations)
            at = sorted({*CURVE, similarity})
            curve = tuple((s, candidate_probability(s, bands, rows)) for s in at)
            yield Banding(number, similarity, permutations, bands, rows, curve)


def told(costs: Costs) -> str:
    """Return in words what the model was fitted to and how far it is off."""
    said = (
        f"fitted {costs.date} on {costs.machine}; CPU of whole runs missed by "
        f"{costs.error.median:.0%} in the middle, {costs.error.worst:.0%} at worst, memory by "
        f"{costs.memory_error.median:.0%} and {costs.memory_error.worst:.0%}"
    )
    if costs.checks:
        check = costs.checks[0]
        miss = check.predicted["cpu"] / check.measured["cpu"] - 1
        said += f"; on a run it was not fitted to ({check.recipe}, {check.rows:,} rows) {miss:+.0%}"
    return said


def _remarks(
    recipe: Recipe,
    steps: tuple[PlannedStep, ...],
    seen: Input,
    total: Total,
    workers: int,
    costs: Costs,
) -> Iterator[str]:
    """Yield what the figures do not say of themselves."""
    unknown = [f"{s.step} {s.op}" for s in steps if s.cost is None]
    if unknown:
        yield f"no cost known of step {', '.join(unknown)}: not in the total"
    if len(recipe.steps) > 1:
        yield "each step is priced as if no row had been dropped before it"
    parts = [costs.base, *(p for p in (_part(costs, step) for step in recipe.steps) if p)]
    fewest = min(part.rows for part in parts)
    if seen.rows > EXTRAPOLATED * fewest:
        yield f"extrapolated: measured up to {fewest:,} rows, these are {seen.rows:,}"
    if recipe.run.runner != "local":
        yield f"times and memory are those of the local runner, not of {recipe.run.runner}"
    elif workers > MEASURED_PROCESSES:
        yield f"more than {MEASURED_PROCESSES} processes were not measured"
    here = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if recipe.run.runner == "local" and total.memory > here:
        yield (
            f"needs {total.memory / 1e9:,.0f} GB in one process; this machine has "
            f"{here / 1e9:,.0f} GB: the local runner holds the shuffle in memory, others do not"
        )
