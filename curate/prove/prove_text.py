"""What a finished proof prints: the arms, what else was found, where it all lies, the verdict."""

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from curate.visible import printable
from training import Result
from training.design.arms import ATTRIBUTION
from training.metrics import Metric, metric_named
from training.result.result import ArmScores

FILES = {
    "report": "report.html",
    "result": "result.json",
    "model": "MODEL_CARD.md",
}

FAILED = {"void": "no verdict", "refuse": "not supported", "exploratory": "exploratory"}
"""What a guard that failed comes down to."""


def print_result(result: Result, place: Path, console: Console) -> None:
    """Print the numbers of a proof and its files; the verdict sentence is printed by others."""
    metric = metric_named(result.metric)
    console.print(arm_table(result.arms, metric))
    for line in findings(result, metric):
        console.print(Text(printable(line)), highlight=False, soft_wrap=True)
    for word, name in FILES.items():
        if (place / name).is_file():
            console.print(
                Text(printable(f"{word:<8}{place / name}")), highlight=False, soft_wrap=True
            )


def arm_table(arms: list[ArmScores], metric: Metric) -> Table:
    """Return one line per arm, curated first; arms that judge single steps have their own lines."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("arm", overflow="fold")
    for name in ("rows", metric.name, f"against raw, {metric.unit} (95 % CI)"):
        table.add_column(name, justify="right")
    main = [arm for arm in arms if not ATTRIBUTION.fullmatch(arm.name)]
    for arm in sorted(main, key=lambda arm: arm.name != "curated"):
        rows = "–" if arm.n is None else f"{arm.n:,}"
        gap = arm.vs_raw
        against = "" if gap is None else f"{metric.bare(gap.gap)} ({metric.span(gap.ci95)})"
        table.add_row(Text(printable(arm.name)), rows, metric.value(arm.mean), against)
    return table


def findings(result: Result, metric: Metric) -> Iterator[str]:
    """Yield what was found besides the arms, a line each: failed guards last."""
    for curve in (result.curve, result.compute):
        if curve is not None:
            yield from (multiplier.says for multiplier in curve.multipliers)
    for condition in result.conditions:
        if condition.kind == "test":
            gap = condition.gap
            yield f"on {condition.name}: {metric.gap(gap.gap)} ({metric.span(gap.ci95)})"
    yield from (f"step {step.step}: {step.says}" for step in result.attribution)
    for guard in result.guards:
        if not guard.passed:
            yield f"{FAILED[guard.if_failed]}: {guard.detail}"
