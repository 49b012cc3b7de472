"""The model card of a proof: what was trained on what, how it was measured, and its limits.

In the form of the Hugging Face hub: a YAML header with `model-index`, then Markdown (Mitchell et
al., Model Cards for Model Reporting, 2019).
"""

import io
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from training.metrics import metric_named
from training.page.groups import ATTRIBUTED, grouped
from training.page.spent import spent_by_arm
from training.page.svg import short
from training.page.templates import environment, visible
from training.result.result import ArmScores, LearningCurve, Result
from training.verdict.verdict import sentence

HUB_TASKS = {
    "text_classification": "text-classification",
    "image_classification": "image-classification",
    "language_modelling": "text-generation",
}
"""Names of our tasks on the hub."""
SHOWN = ("raw", "curated", "random@n", "random@n,class", "aa")
"""Arms whose scores stand in the header."""

_ACTIVE = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def write_model_card(result_json: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Write `MODEL_CARD.md` from a `result.json` and nothing else."""
    Path(path).write_text(model_card(Result.load(Path(result_json))), encoding="utf-8")


def model_card(result: Result) -> str:
    """Return the model card of the arm `curated`, beside the arms it was compared with."""
    metric = metric_named(result.metric)
    # Markdown is not escaped; what users wrote goes through `md`.
    templates = environment(autoescape=False, keep_trailing_newline=True)
    templates.filters |= {
        "score": metric.value,
        "span": metric.span,
        "md": plain,
        "p": lambda p: "–" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}",
        "commas": lambda count: "–" if count is None else f"{count:,}",
    }
    external = result.cost.get("external_data")
    removed = [f"{count:,} of {name}" for name, count in result.leak.items() if count]
    card = templates.get_template("MODEL_CARD.md.j2").render(
        result=result,
        metric=metric,
        header=_header(result),
        title=_title(result),
        sentence=plain(sentence(result)),
        describe=_describe(result),
        removed=plain(", ".join(removed)),
        external="not on record" if external is None else plain(str(external)),
        training=plain(_training(result)),
        arms=[arm for group, arms in grouped(result.arms) if group != ATTRIBUTED for arm in arms],
        multipliers=[m.says for curve in _curves(result) for m in curve.multipliers],
        limits=list(_limits(result)),
        costs=list(_costs(result)),
        reproduce=list(_reproduce(result)),
    )
    return visible(re.sub(r"\n{3,}", "\n\n", card))


def plain(said: str) -> str:
    """Return words on one line, so that Markdown takes them for words."""
    return _ACTIVE.sub(r"\\\1", " ".join(said.split()))


def _title(result: Result) -> str:
    kind = {
        "text_classification": "Text classifier",
        "image_classification": "Image classifier",
        "language_modelling": "Language model",
    }.get(result.task or "", "Model")
    return f"{kind} trained on curated data"


def _header(result: Result) -> str:
    """Return the YAML front matter; the licence is the owner's to add.

    The index of results is left out where there is no gap, or none to trust.
    """
    task = HUB_TASKS.get(result.task or "")
    header: dict[str, Any] = {"tags": ["data-curation", "controlled-comparison"]}
    header["tags"] += ["synthetic-defects"] if result.synthetic else []
    if task:
        header |= {"pipeline_tag": task}
    header |= {"metrics": [_metric_id(result)]}
    shown = [arm for arm in result.arms if arm.name in SHOWN and arm.mean is not None]
    if task and shown and result.verdict != "invalid instrument":
        header["model-index"] = [{"name": _title(result), "results": [_entry(result, task, shown)]}]
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    out = io.StringIO()
    yaml.dump(header, out)
    return out.getvalue()


def _entry(result: Result, task: str, shown: list[ArmScores]) -> dict[str, Any]:
    turn = -1 if metric_named(result.metric).turned else 1
    name = f"held-out test ({result.test_rows:,} rows)"
    return {
        "task": {"type": task},
        "dataset": {"type": "held-out-test", "name": name, "split": "test"},
        "metrics": [
            {
                "type": _metric_id(result),
                "value": round(turn * float(arm.mean or 0.0), 6),
                "name": f"{result.metric}, trained on {arm.name}, mean of {result.seeds} seeds",
            }
            for arm in shown
        ],
    }


def _metric_id(result: Result) -> str:
    return result.metric.replace(" ", "_")


def _describe(result: Result) -> str:
    if result.model is None:
        return "This is the model of one experiment, made by a trainer of the user's own"
    parts = [f"This is the model of one experiment: `{result.model}`"]
    parts += [result.task.replace("_", " ")] if result.task else []
    return ", ".join([*parts, *([f"profile {result.profile}"] if result.profile else [])])


def _training(result: Result) -> str:
    seen = sorted({arm.n_seen for arm in result.arms if arm.n_seen and "@epochs" not in arm.name})
    steps = sorted({run["steps"] for run in result.runs if "steps" in run and run["arm"] == "raw"})
    said = "Every arm was trained by one loop with one recipe, the same seeds and the same budget"
    if seen:
        said += f": {seen[-1]:,} examples" + (f" in {steps[-1]:,} steps" if steps else "")
    return (
        f"{said}. The learning rate ends at zero in every arm."
        if result.runs
        else ("The scores were made by another trainer, whose recipe is not on record.")
    )


def _curves(result: Result) -> list[LearningCurve]:
    return [curve for curve in (result.curve, result.compute) if curve]


def _limits(result: Result) -> Iterator[str]:
    yield "Not a general-purpose model: it has seen one data set, and one short training."
    measured = f"{result.test_rows:,} test rows and {result.seeds} seeds"
    yield f"The gap is about {measured}{_missed(result)}."
    for curve in _curves(result):
        sizes = [point.n for point in curve.points]
        yield f"Measured from {min(sizes):,.0f} to {max(sizes):,.0f} {curve.axis}; nothing beyond."
    if result.curve is None:
        yield "Measured at one size only: rankings of data can change with size."
    yield from (f"Exploratory: {reason}" for reason in result.exploratory_because)
    yield from (f"Refused: {reason}" for reason in result.refusals)
    yield from (note.rstrip(".") + "." for note in result.notes)
    yield from (remark.rstrip(".") + "." for remark in result.remarks)
    yield from (f"Arm {arm} is left out: {why}." for arm, why in result.left_out.items())


def _missed(result: Result) -> str:
    least = result.mde.after if result.mde.after is not None else result.mde.before
    if least is None:
        return ""
    size = metric_named(result.metric).gap(least, sign=False)
    return f"; a gap below {size} would often be missed"


def _costs(result: Result) -> Iterator[str]:
    seconds = result.cost.get("curate_seconds")
    known = "not on record" if seconds is None else f"{seconds:,.1f} s"
    yield f"Curating: {known}."
    for spent in spent_by_arm(result):
        if spent.name in ("raw", "curated", "all"):
            sums = [f"{short(v)} {name}" for name, v in spent.sums.items() if v is not None]
            yield f"Training, {spent.name}: {spent.runs:,} runs, {', '.join(sums)}."


def _reproduce(result: Result) -> Iterator[str]:
    if result.plan_hash:
        yield f"Plan: {result.plan_hash}, written before the first run to plan.json."
    seeds = sorted({run["seed"] for run in result.runs if "seed" in run})
    if seeds:
        yield f"Seeds: {', '.join(map(str, seeds))}."
    if result.versions:
        yield "Versions: " + ", ".join(f"{name} {v}" for name, v in result.versions.items()) + "."
    if result.runs:
        yield (
            "The folder runs/ holds the score of each test row in each run; compare_scores makes "
            "every figure here from them."
        )
    yield "Every figure stands in result.json, drawn in report.html."
