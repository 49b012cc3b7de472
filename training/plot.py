"""Small inline SVG figures in the colours of the page around them; no script, no library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from training.result import ClassShare

LEFT, WIDTH, RIGHT = 190, 440, 170
ROW = 34
TOP, BOTTOM = 18, 44


@dataclass(frozen=True)
class Line:
    """One row of a forest plot, in points; `strong` marks the primary comparison."""

    label: str
    mean: float
    low: float
    high: float
    dots: Sequence[float]
    strong: bool = False
    group: str = ""


def forest(lines: Sequence[Line], margin: float) -> str:
    """Draw intervals around zero with a dot for each seed and the ±`margin` band.

    A group heading takes a row of its own where the group changes.
    """
    ends = [abs(end) for line in lines for end in (line.low, line.high, *line.dots)]
    step = tick_step(max([margin, *ends]) * 1.08)
    reach = step * math.ceil(max([margin, *ends]) * 1.08 / step)
    x = _Scale(reach)
    parts: list[str] = []
    y, group = TOP, ""
    for line in lines:
        if line.group != group:
            group = line.group
            parts.append(_text(0, y + 20, group, "pf-group"))
            y += ROW
        parts += _line(line, x, y + ROW / 2)
        y += ROW
    frame = [
        f'<rect class="pf-band" x="{x(-margin):.1f}" y="{TOP}" '
        f'width="{x(margin) - x(-margin):.1f}" height="{y - TOP}"/>',
        f'<line class="pf-zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP}" y2="{y}"/>',
        *_axis(x, step, reach, y),
    ]
    return _svg(LEFT + WIDTH + RIGHT, y + BOTTOM, "Gap of each arm", frame + parts)


def class_bars(classes: Sequence[ClassShare], most: int = 10) -> str:
    """Draw the share of each class in raw, curated and test, the most shifted classes first."""
    shown = sorted(classes, key=lambda c: -abs(c.curated - c.raw))[:most]
    longest = max(max(c.raw, c.curated, c.test) for c in shown)
    parts: list[str] = []
    for place, shares in enumerate(shown):
        y = TOP + place * ROW
        parts.append(_text(LEFT - 12, y + 16, _short(shares.name), "pf-label", "end"))
        for offset, (role, share) in enumerate(
            (("raw", shares.raw), ("curated", shares.curated), ("test", shares.test))
        ):
            width = max(WIDTH * share / longest, 0.5)
            parts.append(
                f'<rect class="pf-{role}" x="{LEFT}" y="{y + 1 + offset * 8}" '
                f'width="{width:.1f}" height="6" rx="1"/>'
            )
        change = 100 * (shares.curated - shares.raw)
        parts.append(
            _text(
                LEFT + WIDTH + 16,
                y + 16,
                f"{100 * shares.raw:.1f} → {100 * shares.curated:.1f} %  ({_signed(change)})",
                "pf-value",
            )
        )
    height = TOP + len(shown) * ROW
    return _svg(LEFT + WIDTH + RIGHT, height, "Class shares in raw, curated and test", parts)


class _Scale:
    """Maps points to pixels, zero in the middle."""

    def __init__(self, reach: float) -> None:
        self.unit = WIDTH / 2 / reach

    def __call__(self, points: float) -> float:
        return LEFT + WIDTH / 2 + points * self.unit


def _line(line: Line, x: _Scale, y: float) -> list[str]:
    kind = "pf-strong" if line.strong else "pf-plain"
    value = f"{_signed(line.mean)}  [{_signed(line.low)}, {_signed(line.high)}]"
    dots = [
        f'<circle class="pf-dot" cx="{x(dot):.1f}" cy="{y + 7:.1f}" r="2.6"/>' for dot in line.dots
    ]
    return [
        _text(LEFT - 12, y + 4, line.label, f"pf-label {kind}", "end"),
        *dots,
        f'<line class="pf-ci {kind}" x1="{x(line.low):.1f}" x2="{x(line.high):.1f}" '
        f'y1="{y - 3:.1f}" y2="{y - 3:.1f}"/>',
        f'<rect class="pf-mean {kind}" x="{x(line.mean) - 4.5:.1f}" y="{y - 7.5:.1f}" '
        'width="9" height="9" rx="1.5"/>',
        _text(LEFT + WIDTH + 16, y + 4, value, f"pf-value {kind}"),
    ]


def _axis(x: _Scale, step: float, reach: float, y: float) -> list[str]:
    parts = [f'<line class="pf-axis" x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}"/>']
    count = round(reach / step)
    for tick in (step * place for place in range(-count, count + 1)):
        parts.append(
            f'<line class="pf-axis" x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{y}" y2="{y + 4}"/>'
        )
        parts.append(_text(x(tick), y + 18, _tick(tick, step), "pf-tick", "middle"))
    caption = "difference in points; band: ± smallest effect that matters"
    parts.append(_text(LEFT + WIDTH / 2, y + 37, caption, "pf-tick", "middle"))
    return parts


def tick_step(reach: float) -> float:
    """Return a step of 1, 2 or 5 × 10^k that puts two to five ticks between zero and `reach`."""
    size = 10.0 ** math.floor(math.log10(reach))
    return next(size * part for part in (0.2, 0.5, 1.0, 2.0) if reach / (size * part) <= 5)


def _signed(value: float) -> str:
    decimals = 1 if abs(value) >= 0.05 or value == 0 else 2
    return f"{value:+.{decimals}f}".replace("-", "−")


def _tick(value: float, step: float) -> str:
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return "0" if abs(value) < step / 2 else f"{value:+.{decimals}f}".replace("-", "−")


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="pf" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(title)}">' + "".join(parts) + "</svg>"
    )
