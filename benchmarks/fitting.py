"""Fit the cost model of `curate/plan/costs.py` to measured runs: non-negative least squares.

A run is the start of the process, reading and writing, and one step. The start is what a run over
TINY rows costs, or a larger one that costs less. The rest is fitted by a sum of terms: of a row
step what the step counts itself; of a corpus step what the run costs above the same run without
the step, which holds its shuffles and the segment it adds, but never less than it counts itself.
The exponent is the slope of log(CPU of the whole run above its start) over log(rows).
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from benchmarks.observation import TINY, Observation
from curate.plan.costs import (
    Costs,
    Fixed,
    PartCosts,
    Processes,
    add_up,
    errors_of,
    estimate_part,
    name_of,
    quantities,
    term_value,
)
from pipelines.steps.corpus import Corpus

NOISE = 0.05
"""CPU seconds by which two runs of the same differ: what is below weighs little."""
START_NOISE = 0.3
"""CPU seconds above which a row step is taken to import something large, outside its own clock."""
_MEMORY_NOISE = 20e6

Terms = tuple[str, ...]
CONTENT: Terms = ("rows", "bytes")
VECTOR: Terms = ("rows", "rows*dimensions")
COPIES: Terms = ("rows*copies", "bytes*copies")
CLUSTERS: Terms = ("rows", "rows*dimensions", "rows*dimensions*clusters")
TERMS: dict[str, Terms] = {
    "near_dedup": ("rows", "bytes", "rows*permutations", "bytes*permutations"),
    "semantic_dedup": (
        "rows*dimensions",
        "rows*dimensions*cells",
        "rows*dimensions*probes*rows_a_cell",
    ),
    "drop_label_errors": VECTOR,
    "cluster_sample": CLUSTERS,
    "prune_prototypes": CLUSTERS,
    "k_center": ("rows", "rows*dimensions", "rows*dimensions*kept"),
    "augment_image": COPIES,
    "embed:hash": ("bytes", "rows*dimensions"),
}
"""What drives the CPU seconds of a step; CONTENT unless it stands here."""
MOVED: dict[str, Terms] = {
    "near_dedup": ("rows", "rows*bands", "bytes"),
    "semantic_dedup": ("rows", "rows*dimensions", "rows*dimensions*probes"),
    "cluster_sample": VECTOR,
    "prune_prototypes": VECTOR,
    "k_center": VECTOR,
    "embed:hash": ("rows*dimensions",),
}
"""What drives shuffle, where that is not what drives the seconds, and memory beside `task`."""


def solve(
    terms: Sequence[str],
    drivers: Sequence[dict[str, float]],
    values: Sequence[float],
    noise: float,
) -> dict[str, float]:
    """Return non-negative factors of terms by least squares of relative errors."""
    from scipy.optimize import nnls

    if not drivers:
        return {}
    wanted = np.maximum(np.array(values, np.float64), 0.0)
    weights = 1 / (noise + wanted)
    matrix = np.array([[term_value(term, found) for term in terms] for found in drivers])
    scale = np.maximum(np.abs(matrix).max(axis=0), 1e-300)
    factors = nnls(matrix / scale * weights[:, None], wanted * weights)[0] / scale
    return {t: float(f"{f:.4g}") for t, f in zip(terms, factors, strict=True) if f > 0}


def exponent(rows: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the slope of log(values) over log(rows); None for fewer than two sizes."""
    known = [(r, v) for r, v in zip(rows, values, strict=True) if v > 0]
    if len({r for r, _ in known}) < 2:
        return None
    x, y = np.log(np.array(known)).T
    return round(float(np.polyfit(x, y, 1)[0]), 3)


def fit(observed: Sequence[Observation], about: dict[str, Any]) -> Costs:
    """Return the model of all steps observed.

    Args:
        observed: the runs, those of TINY rows among them.
        about: date, machine and versions.
    """
    single = [o for o in observed if o.workers == 1]
    start = {o.name: _cheapest(o, single) for o in single if o.rows <= TINY}
    bare = start[""]
    base_runs = [o for o in single if not o.name and o.rows > TINY]
    base = _part(base_runs, "", bare, bare, lambda o: o.cpu - bare.cpu)
    without = {(o.corpus, o.rows): o.cpu for o in base_runs}

    def own_cpu(o: Observation) -> float:
        counted = o.own - start[o.name].own
        if not isinstance(o.parsed, Corpus):
            return counted
        growth = estimate_part(base, None, o.size).cpu
        below = without.get((o.corpus, o.rows), bare.cpu + growth)
        return max(counted, o.cpu - below - max(0.0, start[o.name].cpu - bare.cpu))

    parts = {}
    for name in dict.fromkeys(o.name for o in single if o.name):
        mine = [o for o in single if o.name == name and o.rows > TINY]
        parts[name] = _part(mine, name, start[name], bare, own_cpu)
    costs = Costs(
        **about,
        fixed=Fixed(cpu=round(bare.cpu, 3), wall=round(bare.wall, 3), memory=round(bare.peak)),
        base=base,
        steps=parts,
        processes=Processes(start_wall=0, cpu_factor=1, serial=0, memory_factor=1),
        error=errors_of([]),
        memory_error=errors_of([]),
    )
    return with_errors(costs.model_copy(update={"processes": _processes(observed)}), single)


def _cheapest(start: Observation, runs: Iterable[Observation]) -> Observation:
    """Return the run that stands for the start with the least CPU of all runs of the same.

    Others load the machine for a while, and never lighten it: a run over 10,000 rows that costs
    less than one over TINY shows that the start was measured too high.
    """
    return replace(start, cpu=min(o.cpu for o in runs if o.name == start.name))


def _part(
    runs: list[Observation],
    name: str,
    start: Observation,
    bare: Observation,
    own_cpu: Callable[[Observation], float],
) -> PartCosts:
    """Fit one step, or reading and writing where it has no name."""
    drivers = [quantities(o.parsed, o.size) for o in runs]
    moved = MOVED.get(name, TERMS.get(name, CONTENT))
    cpu = solve(TERMS.get(name, CONTENT), drivers, [own_cpu(o) for o in runs], NOISE)
    memory = solve((*moved, "task"), drivers, [o.peak - start.peak for o in runs], _MEMORY_NOISE)
    shuffled = solve(moved, drivers, [o.shuffled for o in runs], 1.0)
    alike = _one_series(runs)
    alone = start.cpu - bare.cpu
    if not isinstance(start.parsed, Corpus) and alone < START_NOISE:
        alone = start.own
    return PartCosts(
        start_cpu=round(max(0.0, alone), 3) if name else 0.0,
        start_memory=max(0, round(start.peak - bare.peak)),
        cpu=cpu,
        memory=memory,
        shuffled=shuffled if any(o.shuffled for o in runs) else {},
        rows=max((o.rows for o in runs), default=TINY),
        exponent=exponent([o.rows for o in alike], [o.cpu - start.cpu for o in alike]),
        last_exponent=exponent(*_last_two(alike, start.cpu)),
        error=errors_of([]),
    )


def _one_series(runs: Iterable[Observation]) -> list[Observation]:
    """Return the runs of the corpus and options that were run at most sizes."""
    series: dict[str, list[Observation]] = {}
    for run in runs:
        series.setdefault(f"{run.corpus} {run.step}", []).append(run)
    return max(series.values(), key=lambda found: len({o.rows for o in found}), default=[])


def _last_two(runs: list[Observation], start: float) -> tuple[list[float], list[float]]:
    """Return rows and CPU seconds of the two largest sizes."""
    last = sorted(runs, key=lambda o: o.rows)[-2:]
    return [o.rows for o in last], [o.cpu - start for o in last]


def _processes(observed: Sequence[Observation]) -> Processes:
    """Compare runs of two processes with the same of one."""
    one = {(o.name, o.corpus, o.rows): o for o in observed if o.workers == 1}
    two = [o for o in observed if o.workers == 2]
    tiny = [o for o in two if o.rows <= TINY]
    large = [o for o in two if o.rows > TINY]
    if not tiny or not large:
        return Processes(start_wall=5.0, cpu_factor=1.2, serial=0.3, memory_factor=1.2)
    alone = one["", tiny[0].corpus, tiny[0].rows]
    start = tiny[0].wall - alone.wall
    factors, serials, memories = [], [], []
    for run in large:
        single = one[run.name, run.corpus, run.rows]
        work = run.cpu - tiny[0].cpu
        factors.append(max(1.0, work / (single.cpu - alone.cpu)))
        # wall = start + work · (serial + (1 - serial) / 2)
        serials.append(2 * (run.wall - alone.wall - start) / work - 1)
        memories.append(run.peak / single.peak)
    return Processes(
        start_wall=round(start, 2),
        cpu_factor=round(statistics.median(factors), 3),
        serial=round(min(1.0, max(0.0, statistics.median(serials))), 3),
        memory_factor=round(statistics.median(memories), 3),
    )


def predicted(costs: Costs, run: Observation) -> dict[str, float]:
    """Return what the model says of a run that was observed."""
    parts = [estimate_part(costs.base, None, run.size)]
    step = run.parsed
    if step is not None:
        parts.append(estimate_part(costs.steps[name_of(step)], step, run.size))
    return asdict(add_up(costs, parts, run.workers))


def with_errors(costs: Costs, runs: Sequence[Observation]) -> Costs:
    """Return the model with its relative errors over the runs it was fitted to."""
    cpu: dict[str, list[float]] = {}
    memory = []
    for run in runs:
        said = predicted(costs, run)
        cpu.setdefault(run.name, []).append(said["cpu"] / run.cpu - 1)
        memory.append(said["memory"] / run.peak - 1)
    steps = {
        name: part.model_copy(update={"error": errors_of(cpu[name])})
        for name, part in costs.steps.items()
    }
    return costs.model_copy(
        update={
            "base": costs.base.model_copy(update={"error": errors_of(cpu[""])}),
            "steps": steps,
            "error": errors_of(miss for misses in cpu.values() for miss in misses),
            "memory_error": errors_of(memory),
        }
    )
