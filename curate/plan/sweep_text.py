"""A sweep as text: one line per value, then pairs at the border between two values."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from curate.plan.sweep import Border, Sweep
from curate.report.examples import Example
from curate.visible import visible

SHOWN = 2
"""Examples of each border; `--json` has more."""
WIDTH = 72
LEAD = 24
"""Characters shown before the first difference of two texts."""


def print_sweep(sweep: Sweep, console: Console) -> None:
    """Print a sweep; fits 80 columns."""
    console.print(f"step {sweep.step} {sweep.op}: what each {sweep.option} drops", highlight=False)
    console.print()
    console.print(value_table(sweep))
    for border in sweep.borders:
        console.print()
        for line in border_lines(sweep.option, border):
            console.print(line, highlight=False, markup=False, soft_wrap=True)


def value_table(sweep: Sweep) -> Table:
    """Return one line per value."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    lost = ["quarantined"] if any(one.quarantined for one in sweep.values) else []
    for name in (sweep.option, "in", "dropped", "share", *lost, "seconds"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in sweep.values:
        share = f"{one.dropped / max(one.entered, 1):.2%}"
        gone = [f"{one.quarantined:,}"] if lost else []
        counts = (f"{one.entered:,}", f"{one.dropped:,}", share, *gone)
        table.add_row(one.value, *counts, f"{one.seconds:.1f}")
    return table


def border_lines(option: str, border: Border) -> Iterator[str]:
    """Yield how many rows one value drops and the next keeps, and some of them."""
    rows = "1 row is" if border.rows == 1 else f"{border.rows:,} rows are"
    yield f"{rows} dropped at {option} {border.value} and not at {border.keeper}, such as"
    for example in border.examples[:SHOWN]:
        yield f"  {_head(example)}"
        texts = [c.text if c else None for c in (example.content, example.other)]
        for sign, text in zip("-+", _alike(*texts), strict=True):
            if text is not None:
                yield f"    {sign} {text}"


def _head(example: Example) -> str:
    record = example.record
    said = f"{record.id}: {record.reason}"
    if record.other:
        said += f" of {record.other}"
    if record.value is not None:
        said += f" ({record.value:.4g})"
    return f"{said}, {record.detail}" if record.detail else said


def _alike(text: str | None, other: str | None) -> tuple[str | None, str | None]:
    """Return a line of each text, from shortly before they begin to differ."""
    start = 0
    if text and other:
        pairs = enumerate(zip(text, other, strict=False))
        same = next((i for i, (a, b) in pairs if a != b), min(len(text), len(other)))
        start = max(0, same - LEAD)
    return _line(text, start), _line(other, start)


def _line(text: str | None, start: int) -> str | None:
    if text is None:
        return None
    shown = " ".join(visible(text[start:], WIDTH).split())
    return f"…{shown}" if start else shown
