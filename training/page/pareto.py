"""Operating points of a compressed model: what each costs, how good it is, which none beats."""

from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import Field

from training.metrics import Interval, Metric
from training.page.scatter import Spot, scatter
from training.result.result import Record

Cost = Literal["bytes", "latency_1", "latency_n"]
SAME_LATENCY = 0.03
"""Relative difference of two medians that is noise: the same model timed twice shows it."""
UNITS: dict[Cost, str] = {
    "bytes": "bytes on disk",
    "latency_1": "median milliseconds for one example",
    "latency_n": "median milliseconds for a batch",
}


class Latency(Record):
    """Measured time of one forward pass in milliseconds, inputs read and tokenised before."""

    batch: int
    p50: float
    p95: float


class OperatingPoint(Record):
    """One way to ship the model; a mean over seeds where not said otherwise."""

    name: str
    how: str
    """One sentence."""
    parameters: int
    macs: int
    """Multiply-adds of a forward pass for one example, a mean over examples of the test set."""
    bytes: int
    """Size of the saved file, that of the first seed."""
    latency_1: Latency
    """At batch 1, of the first seed's model."""
    latency_n: Latency
    scores: list[float]
    """One per seed; higher is better."""
    mean: float
    gap: float | None = None
    """Mean score minus that of the uncompressed model, paired by seed and test row."""
    ci95: Interval | None = None
    extra_flops: int = 0
    """Floating-point operations of one seed's training beyond the uncompressed run."""
    best_at: list[Cost] = Field(default_factory=list)
    """Costs at which no other point is at least as good and as cheap, and better in one."""


class Compression(Record):
    """All operating points of one trained arm, and what there is to know about them."""

    points: list[OperatingPoint]
    """The uncompressed model first."""
    seeds: int
    test_rows: int
    rounds: tuple[int, int]
    """Timed passes of each point at batch 1 and at batch N; the order is shuffled every round."""
    device: str
    threads: int
    zeros: str
    """What weights set to zero, the shapes unchanged, do to latency: measured, not an option."""
    left_out: dict[str, str]
    """Options without a point, and why."""


def mark_fronts(points: Sequence[OperatingPoint]) -> list[OperatingPoint]:
    """Return the points with `best_at` filled in for every cost."""
    fronts = {cost: front(points, cost) for cost in get_args(Cost)}
    return [
        point.model_copy(update={"best_at": [cost for cost in fronts if fronts[cost][place]]})
        for place, point in enumerate(points)
    ]


def front(points: Sequence[OperatingPoint], cost: Cost) -> list[bool]:
    """Return whether no other point is at least as good and as cheap, and better in one.

    Latencies within 3 % of each other are equal; the mean score is taken as it is.
    """
    near = 0.0 if cost == "bytes" else SAME_LATENCY
    places = [(price(point, cost), point.mean) for point in points]

    def beats(other: tuple[float, float], here: tuple[float, float]) -> bool:
        if other[1] > here[1]:
            return other[0] <= here[0] * (1 + near)
        return other[1] == here[1] and other[0] < here[0] * (1 - near)

    return [not any(beats(other, here) for other in places) for here in places]


def price(point: OperatingPoint, cost: Cost) -> float:
    """Return what a point costs: bytes, or its median latency in milliseconds."""
    found = getattr(point, cost)
    return float(found.p50 if isinstance(found, Latency) else found)


def pareto_plot(points: Sequence[OperatingPoint], metric: Metric, cost: Cost) -> str:
    """Draw the score over a cost; whiskers are the 95 % interval of the paired gap.

    The uncompressed model is the reference of every gap and has none.
    """
    spots = []
    for point in points:
        low, high = point.ci95 or (0.0, 0.0)
        base = point.mean - (point.gap or 0.0)
        spots.append(
            Spot(
                name=point.name,
                cost=price(point, cost),
                quality=point.mean,
                low=base + low,
                high=base + high,
                on_front=cost in point.best_at,
            )
        )
    return scatter(spots, metric, UNITS[cost])
