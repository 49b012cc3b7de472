"""The part of a report that shows the operating points of the compressed model."""

from dataclasses import dataclass

from markupsafe import Markup

from training.metrics import metric_named
from training.page.pareto import Compression, Cost, OperatingPoint, pareto_plot
from training.result.result import Result

DRAWN: tuple[Cost, ...] = ("bytes", "latency_1")
"""Costs with a plot of their own; the table holds all."""


@dataclass(frozen=True)
class Smaller:
    """Operating points, a plot for each cost, and what else was measured."""

    points: list[OperatingPoint]
    figures: list[Markup]
    remarks: list[str]


def smaller_models(result: Result) -> Smaller | None:
    """Return what `result.compressed` holds: operating points, or one whole compression."""
    if not result.compressed:
        return None
    remarks: list[str] = []
    if "points" in result.compressed[0]:
        whole = Compression.model_validate(result.compressed[0])
        points, remarks = whole.points, _remarks(whole)
    else:
        points = [OperatingPoint.model_validate(point) for point in result.compressed]
    metric = metric_named(result.metric)
    figures = [Markup(pareto_plot(points, metric, cost)) for cost in DRAWN]
    return Smaller(points, figures, remarks)


def _remarks(whole: Compression) -> list[str]:
    one, many = whole.rounds
    threads = "1 thread" if whole.threads == 1 else f"{whole.threads} threads"
    said = [
        f"{whole.seeds} seeds, {whole.test_rows:,} test rows. Latencies on {whole.device}, "
        f"{threads}: {one:,} passes at batch 1 and {many:,} at the larger one, in shuffled order.",
        whole.zeros,
    ]
    return said + [f"{name} is left out: {why}." for name, why in whole.left_out.items()]
