"""Pieces of inline SVG that fit any width: x is a share of the figure, y is in pixels.

Text keeps its size and nothing is drawn twice for narrow pages; no script, no library.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from training.metrics import Metric

CURVE_STEPS = 60


@dataclass(frozen=True)
class Scale:
    """Maps values to percent of the width, or to pixels between `start` and `end`."""

    low: float
    high: float
    start: float = 0.0
    end: float = 100.0
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a value."""
        low, high, at = (self._warp(number) for number in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (at - low) / (high - low)

    def _warp(self, value: float) -> float:
        return math.log(value) if self.log else value


def tick_step(reach: float, most: int = 5) -> float:
    """Return a step of 1, 2 or 5 × 10^k that parts `reach` into two to `most` pieces."""
    size = 10.0 ** math.floor(math.log10(reach))
    return next(size * part for part in (0.2, 0.5, 1.0, 2.0, 5.0) if reach / (size * part) <= most)


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Return the multiples of a round step in [low, high]."""
    step = tick_step(high - low, most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * place for place in range(first, last + 1)]


def log_ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers in [low, high] for a logarithmic axis: 1, 2, 5 × 10^k, or fewer."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
        values = [digit * 10.0**power for power in powers for digit in digits]
        fitting = [value for value in values if low <= value <= high]
        if found and len(fitting) > most:
            break
        found = fitting
        if len(found) >= 3:
            break
    return found


def short(value: float) -> str:
    """Write a number in about four characters: 0.4, 950, 1.2k, 3M."""
    for power, letter in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= power:
            return f"{value / power:.3g}{letter}"
    return f"{value:.3g}"


def tick_value(value: float, metric: Metric) -> str:
    """Write a score at a tick, without zeros that say nothing."""
    number, space, unit = metric.value(value).partition(" ")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + space + unit


def text(x: float, y: float, said: str, kind: str, anchor: str = "middle", dx: float = 0) -> str:
    """Return a line of text at x percent, shifted by dx pixels."""
    return (
        f'<text class="{kind}" x="{x:.2f}%" y="{y:.1f}" dx="{dx:g}" text-anchor="{anchor}">'
        f"{escape(said)}</text>"
    )


def line(kind: str, x1: float, x2: float, y1: float, y2: float) -> str:
    """Return a straight line from (x1, y1) to (x2, y2)."""
    return f'<line class="{kind}" x1="{x1:.2f}%" x2="{x2:.2f}%" y1="{y1:.1f}" y2="{y2:.1f}"/>'


def rectangle(kind: str, x1: float, x2: float, y: float, height: float) -> str:
    """Return a rectangle between two places."""
    left, width = min(x1, x2), abs(x2 - x1)
    return (
        f'<rect class="{kind}" x="{left:.2f}%" y="{y:.1f}" width="{width:.2f}%" '
        f'height="{height:.1f}"/>'
    )


def dot(kind: str, x: float, y: float, radius: float) -> str:
    """Return a circle."""
    return f'<circle class="{kind}" cx="{x:.2f}%" cy="{y:.1f}" r="{radius:g}"/>'


def mark(kind: str, x: float, y: float, path: str) -> str:
    """Return a small shape, drawn in pixels around (x, y)."""
    return f'<svg class="pf-mark" x="{x:.2f}%" y="{y:.1f}"><path class="{kind}" d="{path}"/></svg>'


def polyline(kind: str, places: Sequence[tuple[float, float]], height: float) -> str:
    """Return a line through (percent, pixel) places in a figure of this height."""
    path = " L".join(f"{x:.2f} {y:.2f}" for x, y in places)
    return (
        f'<svg width="100%" height="{height:g}" viewBox="0 0 100 {height:g}" '
        f'preserveAspectRatio="none"><path class="{kind}" d="M{path}" '
        'vector-effect="non-scaling-stroke"/></svg>'
    )


def picture(height: float, parts: Sequence[str], title: str = "", kind: str = "pf-svg") -> str:
    """Return an SVG as wide as its place; with a title it is an image to a screen reader."""
    named = f'role="img" aria-label="{escape(title)}"' if title else 'aria-hidden="true"'
    return (
        f'<svg class="{kind}" width="100%" height="{height:g}" {named}>' + "".join(parts) + "</svg>"
    )
