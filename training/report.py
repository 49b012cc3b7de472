"""Draw `result.json` as one self-contained page, or as a fragment for another page."""

from __future__ import annotations

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from training.plot import Line, class_bars, forest
from training.result import Gap, Result
from training.verdict import caveats, statement

TONES = {"better": "good", "worse": "bad", "inconclusive": "open", "invalid instrument": "void"}


def write_report(result_json: str | os.PathLike[str], page: str | os.PathLike[str]) -> None:
    """Write `report.html` from a `result.json` and nothing else."""
    html = _environment().get_template("report.html.j2").render(_view(Path(result_json)))
    Path(page).write_text(html, encoding="utf-8")


def report_fragment(result_json: str | os.PathLike[str]) -> str:
    """Return verdict and forest plot as an HTML fragment with its own scoped style."""
    return _environment().get_template("fragment.html.j2").render(_view(Path(result_json)))


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("training", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["points"] = lambda value: f"{100 * value:+.1f}".replace("-", "−")
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}"
    environment.filters["p"] = lambda value: "< 0.0001" if value < 1e-4 else f"{value:.2g}"
    environment.filters["commas"] = lambda value: f"{value:,}"
    return environment


def _view(result_json: Path) -> dict[str, object]:
    result = Result.load(result_json)
    return {
        "result": result,
        "statement": _unbroken(statement(result)),
        "caveats": [_unbroken(caveat) for caveat in caveats(result)],
        "tone": TONES.get(result.verdict, "even"),
        "forest": Markup(_forest(result)),
        "class_bars": Markup(class_bars(result.classes) if result.classes else ""),
    }


def _unbroken(text: str) -> str:
    return text.replace(" %", "\u00a0%").replace("p =", "p\u00a0=").replace("p <", "p\u00a0<")


def _forest(result: Result) -> str:
    lines = [
        _line(arm.vs_raw, arm.name, "each arm minus raw", strong=arm.name == "curated")
        for arm in sorted(result.arms, key=lambda arm: arm.name != "curated")
        if arm.vs_raw
    ]
    lines += [
        _line(gap, gap.name.replace("curated − ", "− "), "curated minus its controls")
        for gap in result.comparisons
    ]
    return forest(lines, 100 * result.delta) if lines else ""


def _line(gap: Gap, label: str, group: str, *, strong: bool = False) -> Line:
    low, high = gap.ci95
    dots = [100 * value for value in gap.per_seed]
    return Line(label, 100 * gap.gap, 100 * low, 100 * high, dots, strong, group)
