"""Histograms before and after curation as inline SVG, in the colours of the page around them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup

from pipelines.rows.profile import STEPS_PER_OCTAVE

WIDTH, HEIGHT = 480, 190
TOP, BOTTOM, LEFT, RIGHT = 12, 26, 46, 8
FEWEST_BINS = 8
MOST_TICKS = 8

Counts = Mapping[int, int]


@dataclass(frozen=True)
class Figure:
    """A histogram of one measure, before and after."""

    name: str
    svg: Markup
    middle: str
    """Where the middle row lies before and after, in words."""


def figure(name: str, before: Counts, after: Counts) -> Figure:
    """Draw two histograms of `pipelines.rows.profile` on top of each other."""
    was, now = dict(before), dict(after)
    said = f"middle row: {_range(_median(was), name)} before, {_range(_median(now), name)} after"
    return Figure(name, _draw(name, was, now), said)


def _draw(name: str, was: dict[int, int], now: dict[int, int]) -> Markup:
    if not was and not now:
        return Markup()
    scale = _Scale.of(was, now)
    parts = list(_grid(scale))
    bins = sorted(was.keys() | now.keys())
    parts.extend(_bar(scale, name, b, was.get(b, 0), now.get(b, 0)) for b in bins)
    parts.extend(_axis(scale, name))
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, f"{name} before and after", Markup("").join(parts))


@dataclass(frozen=True)
class _Scale:
    """Where bins and counts lie in the picture."""

    first: int
    last: int
    most: int
    zeros: bool

    @classmethod
    def of(cls, was: dict[int, int], now: dict[int, int]) -> _Scale:
        bins = [b for b in was.keys() | now.keys() if b >= 0] or [0]
        first, last = min(bins), max(bins)
        missing = max(0, FEWEST_BINS - (last - first + 1))
        first = max(0, first - missing // 2)
        last = max(last, first + FEWEST_BINS - 1)
        most = max(1, *was.values(), *now.values())
        return cls(first, last, most, -1 in was or -1 in now)

    @property
    def width(self) -> float:
        """Width of a bin."""
        return (WIDTH - LEFT - RIGHT) / (self.last - self.first + 1 + 1.5 * self.zeros)

    def x(self, place: float) -> float:
        """Left edge of a bin; zeros, which have no place on a logarithmic axis, stand apart."""
        start = LEFT + 1.5 * self.zeros * self.width
        return LEFT if place == -1 else start + (place - self.first) * self.width

    def y(self, count: float) -> float:
        """Height of a count."""
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * count / self.most


def _bar(scale: _Scale, name: str, bin_: int, was: int, now: int) -> Markup:
    x, width, base = scale.x(bin_), scale.width, scale.y(0)
    said = f"{_range(bin_, name)}: {was:,} before, {now:,} after"
    parts = [Markup("<title>{}</title>").format(said)]
    for count, kind, inset in ((was, "was", 0.04), (now, "now", 0.2)):
        if count:
            top = min(scale.y(count), base - 1)
            shape = '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>'
            left, wide = x + inset * width, (1 - 2 * inset) * width
            parts.append(Markup(shape).format(kind, left, top, wide, base - top))
    return Markup("<g>{}</g>").format(Markup("").join(parts))


def _grid(scale: _Scale) -> Iterator[Markup]:
    step = _nice(scale.most / 4)
    for count in range(0, scale.most + 1, step):
        y = scale.y(count)
        yield Markup(
            '<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>'
            '<text class="tick" x="{}" y="{:.1f}" text-anchor="end">{}</text>'
        ).format(LEFT, WIDTH - RIGHT, y, y, LEFT - 8, y + 4, _short(count))


def _axis(scale: _Scale, name: str) -> Iterator[Markup]:
    low = 2 ** (scale.first / STEPS_PER_OCTAVE)
    high = 2 ** ((scale.last + 1) / STEPS_PER_OCTAVE)
    places = [(scale.x(STEPS_PER_OCTAVE * math.log2(v)), v) for v in _round_values(low, high)]
    if scale.zeros:
        places.insert(0, (LEFT + scale.width / 2, 0))
    for x, value in places:
        text = '<text class="tick" x="{:.1f}" y="{}" text-anchor="middle">{}</text>'
        yield Markup(text).format(x, HEIGHT - 8, _measure(value, name))


def _round_values(low: float, high: float) -> list[int]:
    """Return some round numbers in [low, high]: powers of ten where they are enough."""
    found: list[int] = []
    for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 4, 5, 6, 8)):
        powers = range(math.ceil(math.log10(high)) + 1)
        values = [digit * 10**power for power in powers for digit in digits]
        fitting = [value for value in values if low <= value <= high]
        if found and len(fitting) > MOST_TICKS:
            break
        found = fitting
        if len(found) >= 4:
            break
    return found


def _nice(step: float) -> int:
    """Return the next of 1, 2, 5, 10, 20, … from `step`."""
    power = 10 ** math.floor(math.log10(max(step, 1)))
    return int(next(power * digit for digit in (1, 2, 5, 10) if power * digit >= step))


def _median(counts: dict[int, int]) -> int | None:
    """Return the bin the middle row lies in, None where there are no rows."""
    half, passed = sum(counts.values()) / 2, 0
    for bin_ in sorted(counts):
        passed += counts[bin_]
        if passed >= half:
            return bin_
    return None


def _range(bin_: int | None, name: str) -> str:
    """Return the whole numbers of a bin in words."""
    if bin_ is None:
        return "none"
    if bin_ < 0:
        return f"0 {_unit(name)}"
    first = math.ceil(2 ** (bin_ / STEPS_PER_OCTAVE))
    last = math.ceil(2 ** ((bin_ + 1) / STEPS_PER_OCTAVE)) - 1
    return f"{first:,} {_unit(name)}" if first >= last else f"{first:,}–{last:,} {_unit(name)}"


def _unit(name: str) -> str:
    return name.split()[-1]


def _measure(value: float, name: str) -> str:
    if _unit(name) == "bytes" and value:
        return f"{_short(value, ' ')}B"
    return _short(value)


def _short(value: float, between: str = "") -> str:
    for power, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= power:
            return f"{value / power:g}{between}{letter}"
    return f"{value:g}{between}"
