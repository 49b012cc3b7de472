"""Quality against a cost, one point a model; the ones that none beats in both are joined."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from training.metrics import Metric
from training.page.svg import (
    Scale,
    dot,
    line,
    log_ticks,
    picture,
    polyline,
    short,
    text,
    tick_value,
    ticks,
)

HEIGHT, TOP, BOTTOM = 260, 18, 44
APART = 14
"""Pixels between the base lines of two labels."""


@dataclass(frozen=True)
class Spot:
    """One operating point."""

    name: str
    cost: float
    quality: float
    low: float
    high: float
    on_front: bool = False


def scatter(spots: Sequence[Spot], metric: Metric, unit: str) -> str:
    """Draw quality over a logarithmic cost: up and to the left is better."""
    costs = [spot.cost for spot in spots]
    x = Scale(min(costs) / 1.5, max(costs) * 1.5, log=True)
    ends = [end for spot in spots for end in (spot.low, spot.high)]
    room = 0.06 * (max(ends) - min(ends)) or 0.01
    y = Scale(min(ends) - room, max(ends) + room, HEIGHT - BOTTOM, TOP)
    grid = ticks(y.low, y.high)
    floor = HEIGHT - BOTTOM
    parts = [line("pf-grid", 0, 100, y(tick), y(tick)) for tick in grid]
    parts.append(line("pf-axis", 0, 100, floor, floor))
    for tick in log_ticks(x.low, x.high, most=5):
        parts.append(line("pf-axis", x(tick), x(tick), floor, floor + 4))
        parts.append(text(x(tick), floor + 18, short(tick), "pf-tick"))
    parts.append(text(50, floor + 37, unit, "pf-tick"))
    front = sorted((x(s.cost), y(s.quality)) for s in spots if s.on_front)
    if len(front) > 1:
        parts.append(polyline("pf-front", front, HEIGHT))
    for spot, label in zip(spots, _label_places(spots, x, y), strict=True):
        parts += _spot(spot, label, x, y)
    left = [text(100, y(t) + 4, tick_value(t, metric), "pf-tick", "end", -8) for t in grid]
    title = f"{metric.name} against {unit}"
    return (
        f'<div class="pf pf-scatter" role="img" aria-label="{escape(title)}">'
        f"{picture(HEIGHT, left)}{picture(HEIGHT, parts)}</div>"
    )


def _spot(spot: Spot, label: float, x: Scale, y: Scale) -> list[str]:
    at, kind = x(spot.cost), "pf-on" if spot.on_front else "pf-off"
    anchor, away = ("end", -9) if at > 60 else ("start", 9)
    return [
        line(f"pf-whisker {kind}", at, at, y(spot.low), y(spot.high)),
        dot(f"pf-spot {kind}", at, y(spot.quality), 4.5),
        text(at, label, spot.name, f"pf-spotname {kind}", anchor, away),
    ]


def _label_places(spots: Sequence[Spot], x: Scale, y: Scale) -> list[float]:
    """Return a base line for each label; one that would lie on another of its side moves down."""
    places = [0.0] * len(spots)
    for left in (True, False):
        taken = float(TOP - APART)
        side = [i for i, spot in enumerate(spots) if (x(spot.cost) > 60) == left]
        for i in sorted(side, key=lambda i: y(spots[i].quality)):
            taken = places[i] = max(y(spots[i].quality) + 4, taken + APART)
    return places
