"""Draw CPU seconds over rows, log-log, one line per step, as SVG without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence

from benchmarks.observation import Observation

WIDTH, HEIGHT = 860, 520
LEFT, RIGHT, TOP, BOTTOM = 60, 200, 20, 50
COLOURS = [
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#777777",
    "#000000",
    "#0077bb",
    "#cc3311",
    "#009988",
    "#ee7733",
]
LEAST = 0.02
"""CPU seconds below which a point says nothing."""


def draw(runs: Sequence[Observation], starts: dict[str, float]) -> str:
    """Return the picture.

    Args:
        runs: of one process.
        starts: CPU seconds by step that a run over next to no rows costs; taken off.
    """
    lines = _lines(runs, starts)
    if not lines:
        return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"></svg>\n'
    xs = [math.log10(x) for points in lines.values() for x, _ in points]
    ys = [math.log10(y) for points in lines.values() for _, y in points]
    left, right, low, high = min(xs), max(xs), math.floor(min(ys)), math.ceil(max(ys))

    def at(rows: float, seconds: float) -> tuple[float, float]:
        x = LEFT + (math.log10(rows) - left) / (right - left) * (WIDTH - LEFT - RIGHT)
        y = TOP + (high - math.log10(seconds)) / (high - low) * (HEIGHT - TOP - BOTTOM)
        return round(x, 1), round(y, 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for power in range(math.ceil(left), math.floor(right) + 1):
        x, _ = at(10**power, 10**low)
        parts.append(f'<path d="M{x} {TOP}V{HEIGHT - BOTTOM}" stroke="#ddd"/>')
        parts.append(f'<text x="{x}" y="{HEIGHT - 30}" text-anchor="middle">{10**power:,}</text>')
    for power in range(low, high + 1):
        _, y = at(10**left, 10**power)
        parts.append(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4}" text-anchor="end">{10.0**power:g}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">rows</text>')
    parts.append(
        f'<text transform="translate(14 {HEIGHT / 2}) rotate(-90)" text-anchor="middle">'
        "CPU seconds above the start</text>"
    )
    ends = sorted(lines.items(), key=lambda item: at(*item[1][-1])[1])
    labels = _spread([at(*points[-1])[1] for _, points in ends])
    for number, ((name, points), label) in enumerate(zip(ends, labels, strict=True)):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{x} {y}" for x, y in (at(*point) for point in points))
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        for point in points:
            x, y = at(*point)
            parts.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{colour}"/>')
        x = WIDTH - RIGHT + 30
        end, y = at(*points[-1])
        parts.append(f'<path d="M{end} {y}L{x - 4} {label}" stroke="{colour}" opacity="0.3"/>')
        parts.append(f'<text x="{x}" y="{label + 4}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _spread(wanted: Sequence[float], gap: float = 14.0) -> list[float]:
    """Return the heights of labels, as near to those wanted (ascending) as `gap` allows."""
    placed: list[float] = []
    for y in wanted:
        placed.append(max([y, *(last + gap for last in placed[-1:])]))
    lowest = float(HEIGHT - 6)
    for i in reversed(range(len(placed))):
        placed[i] = round(min(placed[i], lowest), 1)
        lowest = placed[i] - gap
    return placed


def _lines(
    runs: Sequence[Observation], starts: dict[str, float]
) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each step over the corpus and options that were run at most sizes."""
    series: dict[tuple[str, str, str], list[tuple[float, float]]] = {}
    for run in runs:
        above = run.cpu - starts.get(run.name, 0.0)
        if above >= LEAST:
            name = run.name or "read, write"
            series.setdefault((name, run.corpus, str(run.step)), []).append((run.rows, above))
    found: dict[str, list[tuple[float, float]]] = {}
    for (name, _, _), points in series.items():
        if len(points) > 1 and len(points) > len(found.get(name, ())):
            found[name] = sorted(points)
    return found
