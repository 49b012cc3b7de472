"""A plan as text: the input, one line per step, the S-curve of `near_dedup`, the totals."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from curate.plan.plan import Banding, CostPlan
from curate.visible import printable

BAR = 30
"""Characters of a bar of probability 1."""


def print_plan(plan: CostPlan, console: Console) -> None:
    """Print a plan; fits 80 columns."""
    for line in input_lines(plan):
        console.print(printable(line), highlight=False, markup=False)
    console.print()
    console.print(cost_table(plan))
    for line in total_lines(plan):
        console.print(printable(line), highlight=False, markup=False)
    for banding in plan.banding:
        console.print()
        for line in curve_lines(banding):
            console.print(printable(line), highlight=False, markup=False)
    console.print()
    for remark in plan.remarks:
        console.print(printable(f"note: {remark}"), highlight=False, markup=False)
    console.print(f"cost model: {plan.model}", highlight=False, style="dim")


def input_lines(plan: CostPlan) -> Iterator[str]:
    """Yield what would be read."""
    seen = plan.input
    if seen.files:
        files = "1 file" if seen.files == 1 else f"{seen.files:,} files"
        yield f"input    {files}, {in_bytes(seen.bytes)}"
    how = {
        "counted": f"{seen.rows:,} rows",
        "estimated": f"about {seen.rows:,} rows, estimated from the first {seen.sampled:,}",
        "given": f"{seen.rows:,} rows, as asked",
    }[seen.known]
    content, stored = in_bytes(seen.content), in_bytes(seen.stored)
    yield f"rows     {how}; {content} of content each, {stored} with all columns"
    processes = "1 process" if plan.workers == 1 else f"{plan.workers} processes"
    tasks = "1 task" if plan.tasks == 1 else f"{plan.tasks:,} tasks"
    yield f"runs     {tasks}, {processes}, runner {plan.runner}"


def cost_table(plan: CostPlan) -> Table:
    """Return one line per step."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "op", "segment", "shuffles", "CPU", "memory", "shuffled"):
        table.add_column(name, justify="left" if name == "op" else "right", no_wrap=True)
    for step in plan.steps:
        costs = ("no cost known", "", "")
        if step.cost is not None:
            moved = in_bytes(step.cost.shuffled) if step.cost.shuffled else ""
            costs = (in_time(step.cost.cpu), f"+{in_bytes(step.cost.memory)}", moved)
        table.add_row(
            str(step.step),
            step.op,
            str(step.segment) if step.step else "all",
            str(step.shuffles or ""),
            *costs,
        )
    return table


def total_lines(plan: CostPlan) -> Iterator[str]:
    """Yield the totals."""
    total = plan.total
    process = "a process" if plan.workers == 1 else "the largest process"
    yield (
        f"total    {in_time(total.cpu)} of CPU, {in_time(total.wall)}; {in_bytes(total.memory)} "
        f"in {process}"
    )
    yield (
        f"         {in_bytes(total.shuffled)} through {plan.shuffles} shuffles, about "
        f"{in_bytes(plan.disk)} on disk"
    )


def curve_lines(banding: Banding) -> Iterator[str]:
    """Yield the S-curve: how surely a pair of each similarity is compared at all."""
    yield (
        f"step {banding.step} near_dedup: {banding.permutations} permutations in {banding.bands} "
        f"bands x {banding.rows} rows"
    )
    yield "Jaccard  becomes a candidate (which is then compared exactly)"
    for similarity, probability in banding.curve:
        bar = "█" * round(probability * BAR)
        mark = "  ← similarity" if similarity == banding.similarity else ""
        yield f"  {similarity:<5.4g} {probability:>9.4%}  {bar:<{BAR}}{mark}".rstrip()


def in_time(seconds: float) -> str:
    """Return seconds in a unit that suits them."""
    for least, unit, name in ((2 * 86_400, 86_400, "days"), (7_200, 3_600, "h"), (120, 60, "min")):
        if seconds >= least:
            return f"{seconds / unit:,.1f} {name}"
    return f"{seconds:.1f} s"


def in_bytes(size: float) -> str:
    """Return bytes in a unit that suits them, powers of 1000."""
    for power, name in ((5, "PB"), (4, "TB"), (3, "GB"), (2, "MB"), (1, "kB")):
        if size >= 1000**power:
            return f"{size / 1000**power:,.{0 if size >= 100 * 1000**power else 1}f} {name}"
    return f"{size:,.0f} B"
