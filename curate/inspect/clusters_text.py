"""What `curate clusters` prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.inspect.clusters import StepClusters
from curate.visible import printable


def print_clusters(steps: Sequence[StepClusters], console: Console) -> None:
    """Print how many clusters of duplicates each step found, and the largest."""
    if not steps:
        console.print("no step dropped a row for another one")
    for step in steps:
        console.print(
            f"step {step.step} ({step.op}): {step.rows:,} rows in {step.clusters:,} "
            f"clusters; lowest similarity to the kept row {step.lowest:.4g}",
            highlight=False,
        )
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("kept row", overflow="fold")
        table.add_column("rows", justify="right")
        table.add_column("lowest similarity", justify="right")
        for kept, rows, lowest in step.largest:
            table.add_row(Text(printable(kept)), f"{rows:,}", f"{lowest:.4g}")
        console.print(table)
