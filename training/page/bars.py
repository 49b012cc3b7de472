"""Class shares of raw, curated and test as bars, the most shifted classes first."""

from collections.abc import Sequence
from html import escape

from training.page.svg import picture, rectangle
from training.result.result import ClassShare

ROW = 30
LONGEST_NAME = 26


def class_bars(classes: Sequence[ClassShare], most: int = 10) -> str:
    """Draw the share of each class in raw, curated and test, the most shifted classes first."""
    shown = sorted(classes, key=lambda c: -abs(c.curated - c.raw))[:most]
    longest = max([1e-12, *(max(c.raw, c.curated, c.test) for c in shown)])
    return '<div class="pf pf-classes">' + "".join(_row(c, longest) for c in shown) + "</div>"


def _row(shares: ClassShare, longest: float) -> str:
    bars = [
        rectangle(f"pf-{role}", 0, max(100 * share / longest, 0.3), 4 + 8 * place, 6)
        for place, (role, share) in enumerate(
            (("raw", shares.raw), ("curated", shares.curated), ("test", shares.test))
        )
    ]
    change = f"{100 * (shares.curated - shares.raw):+.1f}".replace("-", "−")
    value = f"{100 * shares.raw:.1f} → {100 * shares.curated:.1f} %  ({change})"
    name = escape(shares.name)
    return (
        f'<div class="pf-row"><span class="pf-label" title="{name}">'
        f"{escape(_short(shares.name))}</span>{picture(ROW, bars)}"
        f'<span class="pf-value">{escape(value)}</span></div>'
    )


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
