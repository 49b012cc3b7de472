"""What a finished run prints: one line per step, and the sum that accounts for every row."""

from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.manifest import Manifest
from curate.report.accounting import QUARANTINE_REASONS, damage
from curate.visible import printable
from pipelines.ledger.counts import RowCounts, StepCounts

REASONS = 4
"""Reasons printed for one step, the most frequent first; the report has all."""


def print_run(manifest: Manifest, console: Console) -> None:
    """Print the table of steps and the totals of a run."""
    console.print(step_table(manifest.steps))
    for step in manifest.steps:
        if step.said:
            console.print(printable(f"{step.op}: {step.said}"), highlight=False, markup=False)
    for note in manifest.notes:
        if note.op == "read":
            said = printable(f"note: {note.note} ({note.count:,})")
            console.print(said, highlight=False, markup=False)
    console.print(equation(manifest.rows), highlight=False)
    for note in manifest.notes:
        if note.warning:
            said = printable(f"warning: {note}")
            console.print(said, style="yellow", highlight=False, markup=False)
    if lost := manifest.damaged_files:
        said = printable(f"warning: {damage(lost)}")
        console.print(said, style="bold red", highlight=False, markup=False)


def step_table(steps: Sequence[StepCounts]) -> Table:
    """Return one line per step; fits 80 columns up to some hundred million rows."""
    derives = any(step.derived for step in steps)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("step", "op", "in", "kept", *(("derived",) if derives else ())):
        justify: Literal["left", "right"] = "left" if name == "op" else "right"
        table.add_column(name, justify=justify, no_wrap=True, overflow="fold")
    table.add_column("dropped or quarantined", overflow="fold")
    table.add_column("seconds", justify="right", no_wrap=True)
    for step in steps:
        table.add_row(
            str(step.step),
            step.op,
            f"{step.entered:,}",
            f"{step.kept:,}",
            *([f"{step.derived:,}" if step.derived else ""] if derives else []),
            _gone(step),
            f"{step.seconds:,.1f}",
        )
    return table


def equation(rows: RowCounts) -> str:
    """Return `rows in = kept + dropped + quarantined` with the numbers of a run."""
    said = (
        f"{rows.entered:,} rows in = {rows.kept:,} kept + {rows.dropped:,} dropped "
        f"+ {rows.quarantined:,} quarantined"
    )
    if rows.derived:
        said += f"\n{rows.derived:,} rows derived from kept ones"
    return said


def _gone(step: StepCounts) -> Text:
    """Return what left at a step, one reason per line."""
    counts = {k: n for k, n in step.reasons.items() if k not in QUARANTINE_REASONS}
    reasons = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    lines = [f"{count:,} {reason}" for reason, count in reasons[:REASONS]]
    if rest := sum(count for _, count in reasons[REASONS:]):
        lines.append(f"{rest:,} for {len(reasons) - REASONS} other reasons")
    if not reasons and step.dropped:
        lines.append(f"{step.dropped:,} dropped")
    if step.edited:
        lines.append(f"{step.edited:,} edited")
    said = Text("\n".join(lines))
    if step.quarantined:
        said.append("\n" if lines else "").append(f"{step.quarantined:,} quarantined", "red")
    return said
