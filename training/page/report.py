"""Draw `result.json` as one self-contained page, or as a fragment for another page."""

import os
from pathlib import Path
from typing import Any

from markupsafe import Markup

from training.metrics import BITS, metric_named
from training.page.bars import class_bars
from training.page.curve_plot import curve_plot, written
from training.page.groups import ATTRIBUTED, arm_lines, condition_lines, grouped, step_lines
from training.page.plot import forest
from training.page.smaller import smaller_models
from training.page.spent import spent_by_arm
from training.page.svg import short
from training.page.templates import environment, visible
from training.result.result import LearningCurve, Result
from training.verdict.verdict import caveats, statement

TONES = {"better": "good", "worse": "bad", "inconclusive": "open", "invalid instrument": "void"}
COMPARED = ("raw", "curated")
MOST_SEEDS = 10
"""Above that many the runs table shows their spread and not each of them."""


def write_report(result_json: str | os.PathLike[str], page: str | os.PathLike[str]) -> None:
    """Write `report.html` from a `result.json` and nothing else."""
    Path(page).write_text(_render("report.html.j2", result_json), encoding="utf-8")


def report_fragment(result_json: str | os.PathLike[str]) -> str:
    """Return verdict and forest plot as an HTML fragment with its own scoped style."""
    return _render("fragment.html.j2", result_json)


def _render(template: str, result_json: str | os.PathLike[str]) -> str:
    result = Result.load(Path(result_json))
    metric = metric_named(result.metric)
    templates = environment(autoescape=True)
    templates.filters |= {
        "score": metric.value,
        "gap": metric.gap,
        "size": lambda value: metric.gap(value, sign=False),
        "span": metric.span,
        "p": lambda value: "< 0.0001" if value < 1e-4 else f"{value:.2g}",
        "commas": lambda value: "–" if value is None else f"{value:,}",
        "short": lambda value: "–" if value is None else short(value),
        "fixed": lambda value: "–" if value is None else f"{value:.3f}".replace("-", "−"),
        "times": written,
    }
    return visible(templates.get_template(template).render(_view(result)))


def _view(result: Result) -> dict[str, Any]:
    metric = metric_named(result.metric)
    lines = arm_lines(result)
    conditions = condition_lines(result)
    steps = step_lines(result.attribution)

    def drawn(shown: Any, title: str) -> Markup:
        return Markup(forest(shown, result.delta, metric, title) if shown else "")

    return {
        "result": result,
        "metric": metric,
        "statement": _unbroken(statement(result)),
        "caveats": [_unbroken(caveat) for caveat in caveats(result)],
        "tone": TONES.get(result.verdict, "even"),
        "forest": drawn(lines, "Gap of each arm"),
        "attribution": drawn(steps, "What each step was worth"),
        "conditions": drawn(conditions, "The gap under other conditions"),
        "class_bars": Markup(class_bars(result.classes) if result.classes else ""),
        "curves": [_curve(result, found) for found in (result.curve, result.compute) if found],
        "arms": grouped(result.arms),
        "attributed": ATTRIBUTED,
        "each_seed": result.seeds <= MOST_SEEDS,
        "removable": [s for s in result.attribution if s.verdict in ("harms", "can go")],
        "spent": spent_by_arm(result),
        "beside": _beside(result),
        "smaller": smaller_models(result),
    }


def _curve(result: Result, curve: LearningCurve) -> dict[str, Any]:
    rows = result.rows
    pool = rows["raw"] / rows["curated"] if rows.get("raw") and rows.get("curated") else None
    return {
        "curve": curve,
        "figure": Markup(curve_plot(curve, metric_named(result.metric))),
        "pool": pool if curve.axis == "rows" else None,
    }


def _beside(result: Result) -> str:
    """Name what stands beside the baseline; bits per byte with the compression they amount to."""
    known = {name: found for name, found in result.baseline.items() if isinstance(found, float)}
    known.pop("score", None)
    if result.metric != BITS.name:
        return ", ".join(f"{name} {found:.3g}" for name, found in known.items())
    means = {arm.name: -arm.mean for arm in result.arms if arm.mean and arm.name in COMPARED}
    both = {**known, **means} if known else {}
    return ", ".join(
        f"{name} {bits:.3f} bits per byte ({8 / bits:.2f} : 1)" for name, bits in both.items()
    )


def _unbroken(text: str) -> str:
    return text.replace(" %", "\u00a0%").replace("p =", "p\u00a0=").replace("p <", "p\u00a0<")
