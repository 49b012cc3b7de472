"""Learning curves of raw and curated: means, seeds, fitted laws and the multiplier between them."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

import numpy as np

from training.metrics import Interval, Metric
from training.page.svg import (
    CURVE_STEPS,
    Scale,
    dot,
    line,
    log_ticks,
    mark,
    picture,
    polyline,
    short,
    text,
    tick_value,
    ticks,
)
from training.result.result import CurvePoint, LearningCurve, Multiplier, PowerLaw
from training.statistics.stats import LEVEL, t_quantile

HEIGHT, TOP, BOTTOM = 320, 26, 30
NAMES = {"rows": "training rows", "bytes": "bytes of training text", "steps": "optimizer steps"}
SAME = "same quality"
COUNTED = {"steps": "compute"}
SAID = {
    "rows": ("raw rows", "of raw’s rows"),
    "bytes": ("raw bytes", "of raw’s bytes"),
    "steps": ("steps on raw", "of raw’s steps"),
}
Words = Literal["above", "under the tip", "under the start"]
SHORTEST = 0.02
"""Of an arrow, in natural logarithms of its multiplier."""


def curve_plot(curve: LearningCurve, metric: Metric) -> str:
    """Draw both curves over a logarithmic axis, up is better.

    A mean line with a dot for each seed and 95 % whiskers over seeds; a fitted law as a dashed
    line, only within the sizes measured; multipliers as arrows at equal quality, open-ended where
    the other curve ends before it gets there.
    """
    sizes = [point.n for point in curve.points]
    x = Scale(min(sizes) / 1.15, max(sizes) * 1.15, log=True)
    scores = [end for p in curve.points for end in (*p.scores, *whisker(p.scores))]
    room = 0.04 * (max(scores) - min(scores)) or 0.01
    y = Scale(min(scores) - room, max(scores) + room, HEIGHT - BOTTOM, TOP)
    grid = ticks(y.low, y.high, most=6)
    arms = ("raw", "curated")
    parts = [line("pf-grid", 0, 100, y(tick), y(tick)) for tick in grid]
    parts += _ticks_below(x, curve.axis)
    parts += [part for law in curve.laws for part in _law(law, curve, metric, x, y)]
    for arm in arms:
        parts += _arm(_points(curve, arm), x, y)
    parts += [part for arrow in arrows(curve) for part in _arrow(arrow, x, y)]
    left = [text(100, y(t) + 4, tick_value(t, metric), "pf-tick", "end", -8) for t in grid]
    names = _names({arm: _points(curve, arm) for arm in arms}, y)
    title = f"{metric.name} against {NAMES[curve.axis]}, raw and curated"
    return (
        f'<div class="pf pf-curve" role="img" aria-label="{escape(title)}">'
        f"{picture(HEIGHT, left)}{picture(HEIGHT, parts)}{picture(HEIGHT, names)}</div>"
    )


def whisker(scores: Sequence[float]) -> Interval:
    """Return the 95 % t interval of a mean over seeds; the score itself where there is one."""
    mean = float(np.mean(scores))
    if len(scores) < 2:
        return mean, mean
    error = float(np.std(scores, ddof=1)) / len(scores) ** 0.5
    half = t_quantile(0.5 + LEVEL / 2, len(scores) - 1) * error
    return mean - half, mean + half


@dataclass(frozen=True)
class Arrow:
    """A multiplier at equal quality: from where it is asked to where the other curve is."""

    start: float
    end: float
    level: float
    open: bool
    """The other curve was not measured further: the arrow ends where it does."""
    said: str
    words: Words
    """Where the words have room: above, under the tip, or right of and under the start."""


def arrows(curve: LearningCurve) -> list[Arrow]:
    """Return the multipliers that can be drawn, each from the largest point of its arm.

    The kept-sample (or compute) multiplier leads from curated to raw, "same quality" from raw to
    curated. One too short to see is left to the words, and so is that curated never gets there.
    """
    found = {multiplier.name: multiplier for multiplier in curve.multipliers}
    drawn = []
    for name, arm in ((COUNTED.get(curve.axis, "kept-sample"), "curated"), (SAME, "raw")):
        points = _points(curve, arm)
        if name not in found or not points:
            continue
        last, multiplier = points[-1], found[name]
        never = name == SAME and multiplier.censored == "at least"
        if never or abs(math.log(max(multiplier.value, 1e-12))) < SHORTEST:
            continue
        words: Words = "under the tip" if name == SAME else "above"
        if name != SAME and multiplier.value < 1:
            words = "under the start"
        said = f"{written(multiplier)} {SAID[curve.axis][name == SAME]}"
        end = last.n * multiplier.value
        drawn.append(Arrow(last.n, end, last.mean, bool(multiplier.censored), said, words))
    return drawn


def written(multiplier: Multiplier) -> str:
    """Write a multiplier, such as "≥ 1.85×"; a share of the data as "42 %"."""
    bound = {"at least": "≥ ", "at most": "≤ ", None: ""}[multiplier.censored]
    if multiplier.name == SAME:
        return f"{bound}{100 * multiplier.value:.0f}\u00a0%"
    return f"{bound}{multiplier.value:.3g}×"


def _points(curve: LearningCurve, arm: str) -> list[CurvePoint]:
    return sorted((p for p in curve.points if p.arm == arm), key=lambda point: point.n)


def _arm(points: Sequence[CurvePoint], x: Scale, y: Scale) -> Iterator[str]:
    if not points:
        return
    arm = points[0].arm
    yield polyline(f"pf-path pf-{arm}", [(x(p.n), y(p.mean)) for p in points], HEIGHT)
    for point in points:
        low, high = whisker(point.scores)
        at = x(point.n)
        yield line(f"pf-whisker pf-{arm}", at, at, y(low), y(high))
        yield from (dot(f"pf-seed pf-{arm}", at, y(score), 2.2) for score in point.scores)
        yield dot(f"pf-point pf-{arm}", at, y(point.mean), 3.6)


def _law(law: PowerLaw, curve: LearningCurve, metric: Metric, x: Scale, y: Scale) -> Iterator[str]:
    sizes = [point.n for point in _points(curve, law.arm)]
    if law.e is None or law.a is None or law.alpha is None or len(sizes) < 2:
        return
    n = np.geomspace(sizes[0], sizes[-1], CURVE_STEPS)
    loss = law.e + law.a * n**-law.alpha
    score = -loss if metric.turned else 1 - loss
    shown = [(x(at), y(value)) for at, value in zip(n, score, strict=True)]
    yield polyline(f"pf-law pf-{law.arm}", [(a, b) for a, b in shown if 0 <= b <= HEIGHT], HEIGHT)


def _arrow(arrow: Arrow, x: Scale, y: Scale) -> Iterator[str]:
    level, start = y(arrow.level), x(arrow.start)
    end = x(min(max(arrow.end, x.low), x.high))
    away = 1 if end >= start else -1
    yield line("pf-arrow", start, end, level, level)
    if arrow.open:
        yield mark("pf-open", end, level, f"M{-6 * away} -5 L0 0 L{-6 * away} 5")
    else:
        yield mark("pf-tip", end, level, f"M{-7 * away} -4.5 L0 0 L{-7 * away} 4.5 z")
        yield line("pf-drop", end, end, level, HEIGHT - BOTTOM)
    if arrow.words == "under the start":
        yield text(100, level + 21, arrow.said, "pf-said", "end", 50)
    elif arrow.words == "under the tip":
        yield text(end, level + 18, arrow.said, "pf-said", "start", 7)
    elif max(start, end) > 60:
        yield text(max(start, end), level - 9, arrow.said, "pf-said", "end", -4)
    else:
        yield text(min(start, end), level - 9, arrow.said, "pf-said", "start", 4)


def _ticks_below(x: Scale, axis: str) -> Iterator[str]:
    floor = HEIGHT - BOTTOM
    yield line("pf-axis", 0, 100, floor, floor)
    for tick in log_ticks(x.low, x.high):
        yield line("pf-axis", x(tick), x(tick), floor, floor + 4)
        said = f"{short(tick)}B" if axis == "bytes" else short(tick)
        yield text(x(tick), floor + 19, said, "pf-tick")


def _names(arms: dict[str, list[CurvePoint]], y: Scale) -> list[str]:
    """Write each arm's name right of its last point, at least a line apart."""
    ends = [(y(points[-1].mean), arm) for arm, points in arms.items() if points]
    ends.sort()
    if len(ends) == 2 and ends[1][0] - ends[0][0] < 16:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - 8, ends[0][1]), (middle + 8, ends[1][1])]
    return [text(0, at + 4, arm, f"pf-name pf-{arm}", "start", 6) for at, arm in ends]
