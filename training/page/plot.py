"""The forest plot: one line per arm, with its interval, a dot for each seed and its number."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

from training.metrics import Metric
from training.page.svg import Scale, dot, line, mark, picture, rectangle, text, tick_step
from training.result.result import Gap

ROW, DENSE_ROW, DENSE_FROM = 34, 28, 14
AXIS = 24
Kind = Literal["strong", "plain", "good", "bad", "far"]
FARTHEST = 1.5
"""How many times as far as the lines that matter most an axis reaches for the others."""


@dataclass(frozen=True)
class Line:
    """One line of a forest plot, in units of the score."""

    label: str
    mean: float
    low: float
    high: float
    dots: Sequence[float] = ()
    kind: Kind = "plain"
    """strong: the primary comparison; plain, good or bad; far: plain, and may leave the axis."""
    group: str = ""
    says: str = ""
    """Shown where the pointer rests on the label."""
    bar: bool = False
    """Draw a bar from zero to the mean in place of a square."""
    also: float | None = None
    """A second reading of the gap, drawn as an open circle."""


def gap_line(gap: Gap, label: str, group: str, kind: Kind = "plain", says: str = "") -> Line:
    """Return the line of a paired difference."""
    return Line(label, gap.gap, *gap.ci95, gap.per_seed, kind, group, says)


def forest(lines: Sequence[Line], margin: float, metric: Metric, title: str) -> str:
    """Draw intervals around zero with a dot for each seed and the ±`margin` band.

    A heading stands where the group changes; of "name · more" the name is set off. Lines of kind
    "far" stretch the axis to at most half as far again as the others need; what lies beyond is
    drawn as an arrowhead.
    """
    x, step = _axis_of(lines, margin)
    height = DENSE_ROW if len(lines) > DENSE_FROM else ROW
    parts: list[str] = []
    group = ""
    for row in lines:
        if row.group != group:
            group = row.group
            head, dash, rest = escape(group).partition(" · ")
            said = f"<b>{head}</b> · {rest}" if dash else head
            parts.append(f'<p class="pf-group">{said}</p>')
        parts.append(_row(row, x, margin, height, metric))
    parts.append(_grid("pf-foot", "", _axis(x, step, metric), ""))
    caption = f"difference in {metric.unit}; band: ± smallest effect that matters"
    parts.append(f'<p class="pf-caption">{escape(caption)}</p>')
    said = "; ".join(f"{row.label} {_value(row, metric)}" for row in lines)
    return (
        f'<div class="pf pf-forest" role="img" aria-label="{escape(f"{title}: {said}")}">'
        + "".join(parts)
        + "</div>"
    )


def _axis_of(lines: Sequence[Line], margin: float) -> tuple[Scale, float]:
    """Return the scale, ends on ticks, and the step between ticks."""
    near = [end for row in lines if row.kind != "far" for end in _ends(row)]
    far = [end for row in lines if row.kind == "far" for end in _ends(row)]
    reach = FARTHEST * max([margin, *map(abs, near)])
    held = [min(max(end, -reach), reach) for end in far]
    ends = [margin, -margin, *near, *held]
    low, high = 1.05 * min(ends), 1.05 * max(ends)
    step = tick_step(high - low, most=6)
    return Scale(step * math.floor(low / step), step * math.ceil(high / step)), step


def _ends(row: Line) -> list[float]:
    return [row.low, row.high, *row.dots, *([] if row.also is None else [row.also])]


def _row(row: Line, x: Scale, margin: float, height: float, metric: Metric) -> str:
    figure = picture(
        height,
        [
            rectangle("pf-band", x(-margin), x(margin), 0, height),
            line("pf-zero", x(0), x(0), 0, height),
            *_interval(row, x, height / 2),
        ],
    )
    return _grid(f"pf-{row.kind}", row.label, figure, _value(row, metric), row.says)


def _interval(row: Line, x: Scale, y: float) -> Iterator[str]:
    low, high = (min(max(end, x.low), x.high) for end in (row.low, row.high))
    lift = 3 if row.dots else 0
    if row.bar:
        yield rectangle("pf-bar", x(0), x(min(max(row.mean, x.low), x.high)), y - lift - 6, 12)
    if row.also is not None:
        yield dot("pf-also", x(min(max(row.also, x.low), x.high)), y - lift, 4)
    yield from (dot("pf-dot", x(seed), y + 6, 2.4) for seed in row.dots if x.low <= seed <= x.high)
    if low < high or row.low == row.high:
        yield line("pf-ci", x(low), x(high), y - lift, y - lift)
    if row.low < x.low:
        yield mark("pf-head", 0, y - lift, "M7 -5 L0 0 L7 5")
    if row.high > x.high:
        yield mark("pf-head", 100, y - lift, "M-7 -5 L0 0 L-7 5")
    if not row.bar and x.low <= row.mean <= x.high:
        yield mark("pf-mean", x(row.mean), y - lift, "M-4.5 -4.5 h9 v9 h-9 z")


def _value(row: Line, metric: Metric) -> str:
    return f"{metric.bare(row.mean)}  [{metric.bare(row.low)}, {metric.bare(row.high)}]"


def _axis(x: Scale, step: float, metric: Metric) -> str:
    parts = [line("pf-axis", 0, 100, 0.5, 0.5)]
    decimals = max(0, -math.floor(math.log10(step * metric.scale) + 1e-9))
    for place in range(round(x.low / step), round(x.high / step) + 1):
        tick = step * place
        said = f"{metric.scale * tick:+.{decimals}f}".replace("-", "−") if place else "0"
        at = x(tick)
        parts.append(line("pf-axis", at, at, 0, 4))
        parts.append(text(at, 18, said, "pf-tick"))
    return picture(AXIS, parts)


def _grid(kind: str, label: str, figure: str, value: str, says: str = "") -> str:
    title = f' title="{escape(says)}"' if says else ""
    return (
        f'<div class="pf-row {kind}"><span class="pf-label"{title}>{escape(label)}</span>{figure}'
        f'<span class="pf-value">{escape(value)}</span></div>'
    )
