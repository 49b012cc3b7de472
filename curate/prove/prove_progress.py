"""What is shown while a proof runs: the plan first, then how far, how long still, and a first look.

The first look is an estimate on validation rows. The test set is opened once per run, after its
last step, and nobody sees a result on it before all runs are done.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from curate.visible import printable

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from training.design.plan import ProofPlan
    from training.runs.progress import Progress

QUIET_SECONDS = 10.0
"""Between two lines where there is no terminal."""
CAVEAT = "on validation rows, not the test"


class Display(Protocol):
    """Shows what a proof does."""

    def tell(self, said: str) -> None:
        """Show what is being done now; the next call takes its place."""

    def note(self, *lines: str) -> None:
        """Show lines that stay."""

    def plan_in(self, folder: Path) -> None:
        """Learn where the plan of the proof will stand."""

    def runs(self, now: Progress) -> None:
        """Show how the runs stand; the first call shows the plan, too."""


class Silent:
    """Shows nothing."""

    def tell(self, said: str) -> None:
        """Say nothing."""

    def note(self, *lines: str) -> None:
        """Say nothing."""

    def plan_in(self, folder: Path) -> None:
        """Say nothing."""

    def runs(self, now: Progress) -> None:
        """Say nothing."""


class Lines:
    """Plain lines for a log file: of what changes all the time, one every few seconds."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.write = write
        self.folder: Path | None = None
        self._last = -QUIET_SECONDS

    def tell(self, said: str) -> None:
        """Write a line."""
        self.write(said)

    def note(self, *lines: str) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def plan_in(self, folder: Path) -> None:
        """Learn where the plan of the proof will stand."""
        self.folder = folder

    def runs(self, now: Progress) -> None:
        """Write a line if the last one is old, or this is the end."""
        if self.folder is not None:
            self.note(*planned_runs(self.folder))
            self.folder = None
        elapsed = time.monotonic()
        if elapsed - self._last >= QUIET_SECONDS or now.done == now.total:
            self._last = elapsed
            self.write(f"{standing(now)}; {now.what}")


class Live:
    """A bar that moves, on a terminal."""

    def __init__(self, console: Console, show: Callable[[RenderableType], None]) -> None:
        self.console, self.show = console, show
        self.folder: Path | None = None

    def tell(self, said: str) -> None:
        """Show a line with a spinner."""
        from rich.spinner import Spinner
        from rich.text import Text

        self.show(Spinner("dots", Text(printable(said))))

    def note(self, *lines: str) -> None:
        """Print lines above the one that changes."""
        for line in lines:
            self.console.print(printable(line), highlight=False, markup=False)

    def plan_in(self, folder: Path) -> None:
        """Learn where the plan of the proof will stand."""
        self.folder = folder

    def runs(self, now: Progress) -> None:
        """Move the bar."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        if self.folder is not None:
            self.note(*planned_runs(self.folder))
            self.folder = None
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(total=max(now.total, 1), completed=now.done, width=24),
            f"{now.done:,}/{now.total:,} runs",
            remaining(now),
        )
        self.show(Group(line, Text(printable(first_look(now) or now.what))))


@contextmanager
def proof_display() -> Iterator[Display]:
    """Give the display that suits where stderr goes."""
    if not sys.stderr.isatty():
        import click

        yield Lines(lambda line: click.echo(printable(line), err=True))
        return
    from rich.console import Console
    from rich.live import Live as LiveScreen
    from rich.text import Text

    console = Console(stderr=True)
    with LiveScreen(Text("starting"), console=console, transient=True) as screen:
        yield Live(console, screen.update)


def standing(now: Progress) -> str:
    """Return how far the runs are, what is left, and the estimate so far."""
    parts = [f"{now.done:,} of {now.total:,} runs", remaining(now), first_look(now)]
    return "; ".join(part for part in parts if part)


def remaining(now: Progress) -> str:
    """Return the time to go in words; nothing before a run is timed or when none is left."""
    if now.left is None or now.done == now.total:
        return ""
    return f"about {duration(now.left)} to go"


def first_look(now: Progress) -> str:
    """Return the gap so far with its interval, and on which rows it was measured."""
    from training.metrics import metric_named

    if now.estimate is None:
        return ""
    metric = metric_named(now.metric)
    span = f" (95 % CI {metric.span(now.ci95)})" if now.ci95 else ""
    return f"curated − raw so far {metric.gap(now.estimate)}{span} {CAVEAT}"


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def planned_runs(folder: Path) -> list[str]:
    """Return what the plan in a folder will run and what it can find, before it is run."""
    from training.design.plan import ProofPlan

    plan = ProofPlan.model_validate(json.loads((folder / "plan.json").read_bytes()))
    return [_runs(plan), _power(plan)]


def _runs(plan: ProofPlan) -> str:
    from training.design.arms import ATTRIBUTION

    jobs = plan.jobs()
    said = [f"{len(plan.arms)} arms × {len(plan.seeds)} seeds"]
    for count, what in (
        (sum(job.share != 1 for job in jobs), f"at {len(plan.shares)} smaller sizes"),
        (sum(job.steps != 1 for job in jobs), f"with {len(plan.budgets)} smaller budgets"),
        (sum(job.rate != 1 for job in jobs), f"at {len(plan.rates)} other learning rates"),
    ):
        said += [f"{count:,} {what}"] if count else []
    arms = [name for name in plan.arms if not ATTRIBUTION.fullmatch(name)]
    more = len(plan.arms) - len(arms)
    for_steps = f" and {more} that judge single steps" if more else ""
    return (
        f"plan    {' + '.join(said)} = {len(jobs):,} runs of {plan.model}; arms: "
        f"{', '.join(arms)}{for_steps}"
    )


def _power(plan: ProofPlan) -> str:
    from training.metrics import metric_named

    metric = metric_named(plan.metric)
    least, wanted = (metric.gap(x, sign=False) for x in (plan.mde_before, plan.delta))
    enough = plan.mde_before <= plan.delta
    close = "enough for a claim" if enough else "exploratory; more seeds or test rows find less"
    return (
        f"power   expected to find a gap of {least} with 80 % power; the smallest that matters is "
        f"{wanted}: {close}"
    )
