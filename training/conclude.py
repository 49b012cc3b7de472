"""From finished runs to `result.json`, the report and the model card."""

import json
import os
import platform
import time
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from training.arrays import FloatArray
from training.design.arms import Arm
from training.design.plan import ProofPlan, is_main, save_json
from training.page.model_card import write_model_card
from training.page.report import write_report
from training.pool.data import Pool
from training.pool.pretrained import outside_data
from training.result.result import ClassShare, Facts, Result
from training.runs.language import baseline
from training.runs.runs import Record
from training.verdict.compare import compare_scores
from training.verdict.scaling import Runs, compute_curve, conditions_of, learning_curve

MOST_SEEN = 0.5
"""Share of the test rows in raw from which on the test was hardly carved before curation."""
MOST_CLASSES = 200
"""Classes whose shares the result lists."""


@dataclass(frozen=True)
class Circumstances:
    """What is known besides plan, pool and runs."""

    started: float
    changed: str | None
    carved_late: str | None
    synthetic: list[str]
    notes: list[str]
    remarks: list[str]
    compress: bool


def conclude(
    plan: ProofPlan,
    pool: Pool,
    arms: list[Arm],
    records: list[Record],
    spent: Circumstances,
    curated: Path,
    folder: Path,
) -> Result:
    """Compare the runs of a plan and write what was found into `folder`."""
    runs = Runs.of(plan, folder, records)
    manifest = _manifest(curated)
    scores = {arm: runs.table(arm) for arm in plan.arms}
    trivial, weights, beside, says = _baseline(plan, pool)
    facts = _facts(plan, pool, arms, records, spent).model_copy(
        update={"trivial": says, "beside": beside, "cost": _cost(runs, manifest, spent.started)}
    )
    sizes = {name: _size(plan, pool, name) for name in ("raw", "curated")}
    result = compare_scores(
        scores,
        baseline=trivial,
        delta=plan.delta,
        metric=plan.metric,
        weights=weights,
        facts=facts,
        conditions=conditions_of(runs, plan.tests),
        curve=learning_curve(runs, sizes, sizes["curated"] / sizes["raw"]),
        compute=compute_curve(runs, manifest.get("seconds")),
        dropped=_dropped(manifest),
    )
    if spent.compress:
        from training.compression.compress_runs import compress_runs

        result = result.model_copy(update={"compressed": [compress_runs(plan, folder)]})
    save_json(folder / "result.json", result.model_dump(mode="json"))
    write_report(folder / "result.json", folder / "report.html")
    write_model_card(folder / "result.json", folder / "MODEL_CARD.md")
    return result


def _size(plan: ProofPlan, pool: Pool, name: str) -> int:
    rows = pool.rows[name]
    if plan.task != "language_modelling":
        return len(rows)
    assert pool.sizes is not None
    return int(pool.sizes[rows.x].sum())


def _baseline(
    plan: ProofPlan, pool: Pool
) -> tuple[FloatArray, FloatArray | None, dict[str, float], str]:
    """Return the floor's scores, the weights of test rows, what stands beside it and its name."""
    if plan.task == "language_modelling":
        floor, weights, beside = baseline(pool)
        return floor, weights, beside, "how often each byte occurs in raw"
    answers = pool.rows["test"].y
    right = answers == np.bincount(answers).argmax()
    return right.astype(np.float64), None, {}, "always the most common label of test"


def _facts(
    plan: ProofPlan, pool: Pool, arms: list[Arm], records: list[Record], spent: Circumstances
) -> Facts:
    shares = {role: pool.class_shares(pool.rows[role]) for role in ("raw", "curated", "test")}
    main = [run for run in records if is_main(run)]
    losses: dict[str, float | None] = {}
    for arm in plan.arms:
        found = [run["loss"] for run in main if run["arm"] == arm]
        lost = [run["score"] is None for run in main if run["arm"] == arm]
        if any(lost):
            losses[arm] = None
        elif None not in found:
            losses[arm] = float(np.mean(found))
    common = np.argsort(-shares["raw"])[:MOST_CLASSES]
    return Facts(
        plan_hash=plan.hash,
        task=plan.task,
        profile=plan.profile,
        model=plan.model,
        says={arm.name: arm.says for arm in arms},
        n={run["arm"]: run["n"] for run in main},
        losses=losses,
        left_out=plan.left_out,
        runs=records,
        mde_before=plan.mde_before,
        changed_plan=spent.changed,
        shortened=_shortened(plan),
        carved_late=spent.carved_late or _seen_before(pool),
        untraced_edits=pool.untraced_edits,
        leaks_left=pool.leaks_left,
        leak=dict(pool.leaked),
        class_shift=float(np.abs(shares["raw"] - shares["curated"]).sum() / 2),
        classes=[
            ClassShare(
                name=pool.labels[code],
                **{role: float(share[code]) for role, share in shares.items()},
            )
            for code in sorted(common)
        ]
        if len(pool.labels) > 1
        else [],
        rows={**plan.rows, "skipped": pool.skipped, "held_back": pool.held_back},
        versions=_versions(),
        synthetic=spent.synthetic,
        notes=spent.notes,
        remarks=[*spent.remarks, *pool.remarks, *_luckless(plan, main)],
    )


def _luckless(plan: ProofPlan, main: list[Record]) -> list[str]:
    """Say so where seeds change nothing: the interval then is about test rows alone."""
    scores = {run["score"] for run in main if run["arm"] == "raw"}
    if len(scores) > 1:
        return []
    return [
        "every seed gave the same score on raw: intervals are about the draw of test rows, not "
        "about the luck of training"
    ]


def _seen_before(pool: Pool) -> str | None:
    """Say so where most of the test stood in raw: then it wasn't carved off before curation."""
    if pool.test_in_raw <= MOST_SEEN:
        return None
    return (
        f"{100 * pool.test_in_raw:.0f} % of the test rows stood in raw too, so curation has seen "
        "them; they were taken out of every arm."
    )


def _shortened(plan: ProofPlan) -> str | None:
    asked, least = plan.steps_asked, plan.recipes[""].least_steps
    if asked is None or asked >= least:
        return None
    return (
        f"The models were trained for {asked:,} steps where their recipe takes {least:,} at least: "
        "they may be under-trained."
    )


def _manifest(curated: Path) -> dict[str, Any]:
    path = curated / "_curate" / "manifest.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _dropped(manifest: dict[str, Any]) -> dict[str, int]:
    """Return the rows that each step of the curator's recipe dropped, by number and op."""
    return {
        f"{step['step']}.{step['op']}": step["dropped"]
        for step in manifest.get("steps", [])
        if isinstance(step.get("dropped"), int) and "step" in step
    }


def _cost(runs: Runs, manifest: dict[str, Any], started: float) -> dict[str, Any]:
    """Charge what was spent; the curator's own seconds come from its manifest, if it says."""
    arms = {}
    for arm in runs.plan.arms:
        of = [run for run in runs.records.values() if run["arm"] == arm and is_main(run)]
        arms[arm] = {
            field: float(np.mean([run[field] for run in of]))
            for field in ("seconds", "flops", "bytes_read", "joules")
            if all(run.get(field) is not None for run in of)
        }
    outside = [outside_data(recipe) for recipe in runs.plan.recipes.values()]
    return {
        "prove_seconds": round(time.perf_counter() - started, 2),
        "train_seconds": round(sum(run.get("seconds", 0) for run in runs.records.values()), 2),
        "runs": len(runs.records),
        "per_run": arms,
        "curate_seconds": manifest.get("seconds"),
        "curate_rows": manifest.get("rows"),
        "external_data": manifest.get("external_data", "none declared") if manifest else None,
        "model_data": "; ".join(seen for seen in outside if seen) or "none",
    }


def _versions() -> dict[str, str]:
    found = {
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    for package in ("curate-proof", "torch", "numpy", "scipy", "pyarrow", "pillow"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
