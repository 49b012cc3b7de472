"""What a step costs, by a model fitted to measured runs: CPU seconds, memory, bytes shuffled.

Cost = what starting the step costs + a sum of products of what drives it, such as 2 µs · rows +
3 ns · bytes · permutations. `costs.json` holds the numbers, the machine and the errors;
`python -m benchmarks.scaling` measures and fits them.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pipelines.readers.read_plan import TASK_BYTES
from pipelines.steps.step import Step

COSTS_FILE = Path(__file__).with_name("costs.json")
EXTRAPOLATED = 10
"""Rows past this many times the most that were measured are an extrapolation, and are called so."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Errors(_Model):
    """Share by which the model misses measured runs, the middle one and the worst."""

    median: float
    worst: float


class PartCosts(_Model):
    """Cost of a step, or of reading and writing."""

    start_cpu: float = 0.0
    """CPU seconds a process spends before its first row: imports, models."""
    start_memory: float = 0.0
    cpu: dict[str, float]
    """CPU seconds by term: a product of quantities, as in `bytes*permutations`."""
    memory: dict[str, float]
    """Bytes of the process above a run that has next to no rows."""
    shuffled: dict[str, float] = {}
    """Bytes that pass a GroupByKey."""
    rows: int
    """Most rows measured."""
    exponent: float | None = None
    """Slope of log(CPU of the whole run above its start) over log(rows), all sizes."""
    last_exponent: float | None = None
    """The same between the two largest sizes."""
    error: Errors
    """Of the CPU of whole runs."""


class Fixed(_Model):
    """What a run costs that has next to no rows and no steps."""

    cpu: float
    wall: float
    memory: float


class Processes(_Model):
    """What more than one local process changes."""

    start_wall: float
    """Seconds until they run."""
    cpu_factor: float
    """CPU seconds for one of a single process: columns move between processes."""
    serial: float
    """Share of the work that only one process does."""
    memory_factor: float
    """Memory of the largest process for that of a single one."""


class Check(_Model):
    """A run the model was not fitted to, held against what the model says."""

    recipe: str
    rows: int
    workers: int
    predicted: dict[str, float]
    measured: dict[str, float]


class Costs(_Model):
    """The fitted model."""

    date: str
    machine: str
    versions: dict[str, str]
    fixed: Fixed
    base: PartCosts
    """Reading, the ledger, writing."""
    steps: dict[str, PartCosts]
    processes: Processes
    error: Errors
    """Of the CPU of all runs fitted."""
    memory_error: Errors
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Size:
    """How much data: rows, and what one of them holds on average."""

    rows: float
    content: float
    """Bytes of the text and of the image."""
    stored: float
    """Bytes of all columns."""
    dimensions: int = 0
    """Numbers of the vector, where steps work on one."""


@dataclass(frozen=True)
class CostEstimate:
    """What a part of a run is expected to cost."""

    cpu: float
    memory: float
    shuffled: float


def load_costs(path: Path = COSTS_FILE) -> Costs:
    """Return the model that comes with the package."""
    return Costs.model_validate(json.loads(path.read_bytes()))


def name_of(step: Step) -> str:
    """Return the name costs go by: the op, and its model or method where it has several."""
    options = dict(step)
    kind = options.get("model") or options.get("method")
    if step.op == "semantic_dedup" and options["index"] != "auto":
        kind = options["index"]
    if step.op == "near_dedup" and options["unit"] != "word":
        kind = options["unit"]
    return f"{step.op}:{kind}" if isinstance(kind, str) else step.op


def quantities(step: Step | None, size: Size) -> dict[str, float]:
    """Return what drives the cost of a step: the size, its whole-number options, what they imply.

    `task` are the bytes that are read at a time. Without a step: of reading and writing, whose
    bytes are those of all columns.
    """
    stored = size.rows * size.stored
    found = {"rows": size.rows, "bytes": stored, "task": min(stored, float(TASK_BYTES))}
    found["dimensions"] = size.dimensions
    if step is None:
        return found
    found["bytes"] = size.rows * size.content
    own = {name: value for name, value in step if type(value) is int and name != "rows"}
    return {**found, **own, **_implied(step, size.rows)}


def _implied(step: Step, rows: float) -> dict[str, float]:
    """Return the quantities that follow from options and rows by the step's own planning."""
    options = dict(step)
    if step.op == "near_dedup":
        from pipelines.maths.sets.minhash import plan_bands

        return {"bands": plan_bands(options["similarity"], options["permutations"])[0]}
    if step.op == "semantic_dedup":
        from pipelines.maths.vectors.unit_vectors import plan_cells

        cells = plan_cells(int(rows))
        return {"cells": 0 if cells == 1 else cells, "rows_a_cell": rows / cells}
    if step.op == "k_center":
        return {"kept": options["rows"] or (options["fraction"] or 0) * rows}
    return {}


def term_value(term: str, drivers: Mapping[str, float]) -> float:
    """Return a product of quantities named as in `bytes*permutations`; one not there is 0."""
    return math.prod(drivers.get(name, 0.0) for name in term.split("*"))


def total_of(terms: Mapping[str, float], drivers: Mapping[str, float]) -> float:
    """Return the sum of coefficients times terms."""
    return sum(factor * term_value(term, drivers) for term, factor in terms.items())


def estimate_part(part: PartCosts, step: Step | None, size: Size) -> CostEstimate:
    """Return what a step, or reading and writing, is expected to cost in one process."""
    drivers = quantities(step, size)
    return CostEstimate(
        part.start_cpu + total_of(part.cpu, drivers),
        part.start_memory + total_of(part.memory, drivers),
        total_of(part.shuffled, drivers),
    )


@dataclass(frozen=True)
class Total:
    """What a run is expected to cost."""

    cpu: float
    wall: float
    memory: float
    """Of the largest local process."""
    shuffled: float


def add_up(costs: Costs, parts: Sequence[CostEstimate], workers: int) -> Total:
    """Return what a run of these parts costs.

    Steps follow one another, so memory is that of the one that needs most.
    """
    work = sum(part.cpu for part in parts)
    memory = costs.fixed.memory + max((part.memory for part in parts), default=0.0)
    shuffled = sum(part.shuffled for part in parts)
    wall = costs.fixed.wall
    if workers > 1:
        more = costs.processes
        work *= more.cpu_factor
        memory *= more.memory_factor
        wall += more.start_wall + work * (more.serial + (1 - more.serial) / workers)
    else:
        wall += work
    return Total(costs.fixed.cpu + work, wall, memory, shuffled)


def errors_of(misses: Iterable[float]) -> Errors:
    """Return the middle and the worst of some relative errors, to three decimals."""
    sorted_misses = sorted(abs(miss) for miss in misses)
    if not sorted_misses:
        return Errors(median=0.0, worst=0.0)
    middle = sorted_misses[len(sorted_misses) // 2]
    return Errors(median=round(middle, 3), worst=round(sorted_misses[-1], 3))
