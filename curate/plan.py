"""What a run would do and cost, told without running it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from curate.banding import Banding, bandings
from curate.costs import (
    EXTRAPOLATED,
    Costs,
    Estimate,
    PartCosts,
    Total,
    add_up,
    estimate_part,
    load_costs,
    name_of,
)
from curate.estimate import Input, sample_input
from curate.recipe import Recipe
from curate.run import BYTES_A_PROCESS, required_roles
from pipelines import files
from pipelines.engine import Job, rounds_of
from pipelines.plan import TASK_BYTES, make_plan
from pipelines.segment import segments_of
from pipelines.steps.step import Step

MEASURED_PROCESSES = 2
"""Local processes the model was fitted to; more are an extrapolation."""


@dataclass(frozen=True)
class PlannedStep:
    """A step, where it stands and what it is expected to cost."""

    step: int
    """Counted from 1; 0 is reading and writing."""
    op: str
    segment: int
    shuffles: int
    """GroupByKeys of its own; 0 of a step that sees single batches."""
    cost: Estimate | None
    """None where no cost is known."""


@dataclass(frozen=True)
class Plan:
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
) -> Plan:
    """Plan a run: read the first rows of the input and nothing else.

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
        ValueError: there is no input, or a column is not there; or both rows and bytes are given.
    """
    if rows is not None and total_bytes is not None:
        raise ValueError("give --rows or --bytes, not both: the one follows from the other")
    costs = costs or load_costs()
    imagined = (rows or total_bytes) is not None
    seen, missing = _input(recipe, limit, row_bytes if imagined else None)
    seen = _scaled(seen, rows, total_bytes, row_bytes)
    size = seen.rows * seen.stored
    tasks = max(1, round(size / TASK_BYTES))
    chosen = workers or (None if recipe.run.workers == "auto" else recipe.run.workers)
    chosen = chosen or min(os.cpu_count() or 1, 1 + int(size) // BYTES_A_PROCESS)
    steps, shuffles = _steps(recipe, seen, tasks, costs)
    known = [step.cost for step in steps if step.cost is not None]
    total = add_up(costs, known, chosen)
    segments = segments_of(recipe.steps, recipe.seed)
    return Plan(
        name=recipe.name,
        input=seen,
        tasks=tasks,
        workers=chosen,
        runner=recipe.run.runner,
        segments=len(segments),
        shuffles=shuffles,
        steps=steps,
        banding=tuple(bandings(recipe.steps)),
        total=total,
        disk=size * (sum(segment.rewrites for segment in segments) + 1),
        model=told(costs),
        remarks=(*missing, *_remarks(recipe, steps, seen, total, chosen, costs)),
    )


def _input(
    recipe: Recipe, limit: int | None, row_bytes: int | None
) -> tuple[Input, tuple[str, ...]]:
    """Return what the input is like; without one, what the options say of it."""
    try:
        plan = make_plan(recipe.read, limit=limit)
    except files.NoInput as error:
        if row_bytes is None:
            raise
        nothing = Input(0, 0, 0, "given", 0, row_bytes, row_bytes)
        return nothing, (f"there is no input yet ({error}): rows are taken as described",)
    return sample_input(recipe, plan, required_roles(recipe)), ()


def _scaled(seen: Input, rows: int | None, total_bytes: int | None, row_bytes: int | None) -> Input:
    """Return an input of so many rows like those that were seen."""
    if row_bytes is not None:
        stored = seen.stored - seen.content + row_bytes
        seen = replace(seen, content=float(row_bytes), stored=stored)
    if total_bytes is not None:
        rows = max(1, round(total_bytes / max(seen.content, 1.0)))
    return seen if rows is None else replace(seen, rows=rows, known="given")


def _steps(
    recipe: Recipe, seen: Input, tasks: int, costs: Costs
) -> tuple[tuple[PlannedStep, ...], int]:
    """Return the steps with their costs, and the number of shuffles of the run."""
    job = Job(
        read=recipe.read,
        steps=recipe.steps,
        seed=recipe.seed,
        work="",
        tasks=tasks,
        spools=False,
        required=required_roles(recipe),
        shard_bytes=recipe.write.shard_size,
    )
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
