"""What README.md shows of the evidence: a table and a figure, from NAME.json and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

from training.metrics import metric_named

HERE = Path(__file__).parent
TITLES = {
    "cifar10n-worse": "CIFAR-10N *worse*: 40 % of labels wrong",
    "cifar10n-random1": "CIFAR-10N *random1*: 17 % wrong",
    "cifar10n-aggre": "CIFAR-10N *aggre*: 9 % wrong",
    "cifar10n-clean": "CIFAR-10, true labels",
    "newsgroups": "20 Newsgroups: cross-posts, conflicting labels",
    "newsgroups-talk": "its six groups on politics and religion",
    "packages": "package documents, half of it copies",
    "reviews": "film reviews, labels as the critics gave them",
}
"""Of each experiment that is shown, in this order."""
Found = dict[str, Any]


def stored() -> dict[str, Found]:
    """Return the evidence that is there, by name."""
    paths = {name: HERE / f"{name}.json" for name in TITLES}
    return {name: json.loads(path.read_bytes()) for name, path in paths.items() if path.exists()}


def table() -> str:
    """Return what each experiment found, a line each."""
    lines = [
        "| Real data, nothing planted | rows kept | raw → curated, same steps "
        "| rows for raw's quality | as many random rows | true labels | verdict "
        "| what the steps were worth |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, found in stored().items():
        metric = metric_named(found["metric"])
        arms = {arm["name"]: arm for arm in found["arms"]}
        means = {arm: metric.value(fields["mean"]) for arm, fields in arms.items()}
        rows = found["curation"]["rows"]
        gap = f"{metric.gap(found['gap'])}, 95 % CI {metric.span(found['ci95'])}"
        lines.append(
            f"| {TITLES[name]} | {rows['kept']:,} of {rows['in']:,} "
            f"| {means['raw']} → {means['curated']} ({gap}) | {_share(found)} "
            f"| {means.get('random@n', '–')} "
            f"| {means.get('oracle', '–')} | {_verdict(found)} | {'; '.join(_steps(found))} |"
        )
    vectors = stored()["cifar10n-worse"]["vectors"]
    seeds = sorted({found["seeds"] for found in stored().values()})
    lines += [
        "",
        f"Accuracy, or bits per byte for `packages` (fewer are better); {seeds[0]} to {seeds[-1]} "
        "seeds, intervals over seeds and test rows. CIFAR-10N: frozen EfficientNet-Lite0 features "
        "and a linear model, tested on true labels; making the vectors took another "
        f"{vectors['seconds']:.0f} s ({vectors['external_data']}). Made by "
        "`python benchmarks/evidence/run.py NAME --work FOLDER`; each file in "
        "[benchmarks/evidence](benchmarks/evidence/README.md) "
        "holds machine, commit, plan hash, all arms, learning curves and conditions.",
    ]
    return "\n".join(lines)


def _verdict(found: Found) -> str:
    said = str(found["verdict"]).replace("inconclusive", "no significant gap")
    if found["verdict"] == "inconclusive" and found["ci95"][0] > 0:
        said = "not supported: " + found["refusals"][0].split(":")[0].rstrip(".").lower()
    metric = metric_named(found["metric"])
    if said.startswith("equivalent"):
        said = f"equivalent within ±{metric.gap(found['delta'], sign=False)}"
    for condition in found["conditions"]:
        if condition["kind"] == "test":
            gap = condition["gap"]
            said += f"; test `{condition['name']}`: {metric.bare(gap['gap'])} "
            said += f"({metric.span(gap['ci95'])})"
    return said


def _share(found: Found) -> str:
    """Return with which share of raw's rows curated has the quality of all of raw, if it has."""
    multipliers = found["curve"]["multipliers"] if found["curve"] else []
    for one in multipliers:
        if one["name"] == "same quality" and one["censored"] is None:
            ends = [
                f"{100 * end:.0f}" if end is not None else "" for end in (one["low"], one["high"])
            ]
            said = f"{100 * one['value']:.0f} %"
            return f"{said} ({ends[0]} to {ends[1]})" if all(ends) else f"{said} (from {ends[0]})"
    return "–"


def _steps(found: Found) -> Iterator[str]:
    for step in found["attribution"]:
        yield f"`{step['step'].partition('.')[2]}` {step['verdict'].replace('harms', '**harms**')}"


WIDTH, LEFT, RIGHT, ROW, TOP = 860, 330, 40, 46, 58
MARKS = {
    "curated": ("curated − raw", "#2a6fb8", 5.0),
    "random@n": ("as many random rows − raw", "#8a949d", 3.5),
    "oracle": ("true labels − raw", "#1d7a4c", 3.5),
}


def figure() -> str:
    """Return the gap of each experiment on accuracy with its interval, as one SVG file."""
    shown = {name: found for name, found in stored().items() if found["metric"] == "accuracy"}
    gaps = {
        name: {arm["name"]: arm["vs_raw"] for arm in found["arms"] if arm["name"] in MARKS}
        for name, found in shown.items()
    }
    ends = [100 * end for of in gaps.values() for gap in of.values() if gap for end in gap["ci95"]]
    low, high = min([*ends, 0.0]) - 0.5, max([*ends, 0.0]) + 0.5
    scale = (WIDTH - LEFT - RIGHT) / (high - low)

    def x(points: float) -> float:
        return LEFT + (points - low) * scale

    height = TOP + ROW * len(shown) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        'font-family="system-ui, sans-serif" font-size="13">',
        "<title>Gap against raw in points of accuracy, with 95 % intervals</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP - 14}" y2="{height - 30}" '
        'stroke="#1c2024"/>',
    ]
    for at, (label, colour, radius) in zip((12, 150, 390), MARKS.values(), strict=True):
        parts.append(f'<circle cx="{at + 6}" cy="20" r="{radius}" fill="{colour}"/>')
        parts.append(_text(at + 18, 24, label, "#1c2024"))
    parts.append(_text(560, 24, "points of accuracy, 95 % intervals", "#667079"))
    step = next(size for size in (1, 2, 5, 10, 20) if (high - low) / size <= 9)
    parts += [
        _text(
            x(tick),
            height - 12,
            f"{tick:+d}".replace("-", "−").replace("+0", "0"),
            "#667079",
            middle=True,
        )
        for tick in range(int(low // step) * step, int(high) + step, step)
        if low <= tick <= high
    ]
    for at, name in enumerate(shown):
        y = TOP + ROW * at
        parts.append(_text(12, y + 12, TITLES[name].replace("*", ""), "#1c2024"))
        for line, (arm, (_, colour, radius)) in enumerate(MARKS.items()):
            gap = gaps[name].get(arm)
            if gap is None:
                continue
            place = y + 10 * line
            start, end = (x(100 * bound) for bound in gap["ci95"])
            parts.append(
                f'<line x1="{start:.1f}" x2="{end:.1f}" y1="{place}" y2="{place}" '
                f'stroke="{colour}" stroke-width="2"/>'
                f'<circle cx="{x(100 * gap["gap"]):.1f}" cy="{place}" r="{radius}" '
                f'fill="{colour}"/>'
            )
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, colour: str, *, middle: bool = False) -> str:
    anchor = ' text-anchor="middle"' if middle else ""
    return f'<text x="{x:.1f}" y="{y}" fill="{colour}"{anchor}>{escape(text)}</text>'
