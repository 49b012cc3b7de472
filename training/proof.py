"""Prove a curated dataset against the raw one: plan, run, compare, report."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

import numpy as np

from training.arms import Arm, choose_arms
from training.compare import compare_scores
from training.data import Pool, Task, load_pool
from training.guards import check_seeds, points
from training.plan import (
    Plan,
    Profile,
    code_hash,
    recipe_for,
    trained_with,
    write_json,
    write_plan,
)
from training.report import write_report
from training.result import ClassShare, Facts, Result
from training.runs import Record, make_runs, read_scores, write_cache
from training.stats import detectable_before


def prove(
    *,
    raw: str | os.PathLike[str],
    curated: str | os.PathLike[str],
    test: str | os.PathLike[str],
    task: Task,
    out: str | os.PathLike[str],
    text: str = "text",
    image: str = "image",
    label: str = "label",
    seeds: int = 5,
    steps: int | None = None,
    batch: int | None = None,
    smallest_effect: float = 0.01,
    workers: int | None = None,
    profile: Profile = "cpu",
    notes: Sequence[str] = (),
    progress: Callable[[int, int, str], None] | None = None,
) -> Result:
    """Train on raw, on curated and on controls, and say whether curating was worth it.

    Every arm takes the same optimizer steps with the same recipe and the same seeds; the test set
    is looked at once a run, after its last step. The cost is about `seeds` × 6 short trainings on
    one core each. Finished runs in `out` are reused as long as the plan is the same.

    Args:
        raw: dataset directory before curation (its train split is read).
        curated: dataset directory after curation (its train split is read).
        test: dataset directory carved off before curation (its test split, else train).
        task: "text_classification" or "image_classification".
        out: directory for plan.json, result.json, report.html and runs/.
        text: column of the text.
        image: column of the image.
        label: column of the label; datasets are matched by label name.
        seeds: runs of each arm; 5 are usual, 3 the least; from 6 on sign flips confirm p.
        steps: optimizer steps of every arm; by default from the size of raw.
        batch: examples a step; by default the recipe's.
        smallest_effect: smallest difference in accuracy that matters (δ).
        workers: training processes; by default one a GPU, else one a core.
        profile: "cpu", "gpu" (wider and longer) or "smoke" (plumbing only, claims nothing).
        notes: what a reader must know about the data, such as "labels carry 30 % injected noise:
            synthetic"; repeated in the sentence.
        progress: called with (runs done, runs in all, what was done).

    Raises:
        ValueError: an argument or a dataset cannot be used; the message says what to do.
        RuntimeError: a training process failed; finished runs are kept.
    """
    started = time.perf_counter()
    places = {"raw": Path(raw), "curated": Path(curated), "test": Path(test)}
    _check_arguments(task, profile, seeds, steps, batch, smallest_effect, workers)
    recipe = recipe_for(task, profile, batch)
    content = text if task == "text_classification" else image
    pool = load_pool(places, task=task, content=content, label=label, buckets=recipe.width)
    arms, left_out = choose_arms(pool.raw, pool.curated)
    plan = Plan(
        code=code_hash(),
        versions=trained_with(),
        task=task,
        profile=profile,
        metric="accuracy",
        delta=smallest_effect,
        arms=[arm.name for arm in arms],
        left_out=left_out,
        seeds=list(range(seeds)),
        steps=steps or recipe.steps(len(pool.raw)),
        recipe=recipe,
        data=pool.hashes,
        rows={"raw": len(pool.raw), "curated": len(pool.curated), "test": len(pool.test)},
        mde_before=detectable_before(seeds, len(pool.test)),
    )
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    changed = write_plan(plan, folder)
    write_cache(pool, plan, folder)
    if progress:
        gap = points(plan.mde_before, sign=False)
        progress(0, len(arms) * seeds, f"expected to find a gap of {gap} with 80 % power")
    records = make_runs(plan, folder, tests=len(pool.test), workers=workers, progress=progress)
    shutil.rmtree(folder / "cache")
    facts = _facts(plan, pool, arms, records, changed, list(notes)).model_copy(
        update={"cost": _cost(records, places["curated"], time.perf_counter() - started)}
    )
    return _conclude(plan, pool, records, facts, folder)


def _check_arguments(
    task: str,
    profile: str,
    seeds: int,
    steps: int | None,
    batch: int | None,
    smallest_effect: float,
    workers: int | None,
) -> None:
    for name, given, allowed in (
        ("task", task, get_args(Task)),
        ("profile", profile, get_args(Profile)),
    ):
        if given not in allowed:
            raise ValueError(f"{name}: {given!r} given; allowed: {', '.join(allowed)}")
    check_seeds(seeds)
    for module in ("torch", "PIL") if task == "image_classification" else ("torch",):
        if find_spec(module) is None:
            raise ValueError(f"{task}: {module} is not installed; install curate-proof[prove]")
    for name, number in (("steps", steps), ("batch", batch), ("workers", workers)):
        if number is not None and number < 1:
            raise ValueError(f"{name}: {number} given; give 1 or more, or leave it out")
    if not 0 < smallest_effect < 1:
        raise ValueError(
            f"smallest_effect: {smallest_effect} given; give a share between 0 and 1, such as 0.01 "
            "for one point of accuracy"
        )


def _conclude(plan: Plan, pool: Pool, records: list[Record], facts: Facts, folder: Path) -> Result:
    scores = {
        arm: np.stack([read_scores(folder, run)[0] for run in records if run["arm"] == arm])
        for arm in plan.arms
    }
    trivial = pool.test.y == np.bincount(pool.test.y).argmax()
    result = compare_scores(
        scores, baseline=trivial, delta=plan.delta, metric=plan.metric, facts=facts
    )
    write_json(folder / "result.json", result.model_dump(mode="json"))
    write_report(folder / "result.json", folder / "report.html")
    return result


def _facts(
    plan: Plan,
    pool: Pool,
    arms: list[Arm],
    records: list[Record],
    changed: str | None,
    notes: list[str],
) -> Facts:
    shares = {role: pool.class_shares(getattr(pool, role)) for role in ("raw", "curated", "test")}
    losses: dict[str, float | None] = {}
    for arm in plan.arms:
        found = [run["loss"] for run in records if run["arm"] == arm]
        losses[arm] = None if None in found else float(np.mean(found))
    return Facts(
        plan_hash=plan.hash,
        task=plan.task,
        profile=plan.profile,
        says={arm.name: arm.says for arm in arms},
        n={run["arm"]: run["n"] for run in records},
        losses=losses,
        left_out=plan.left_out,
        runs=records,
        mde_before=plan.mde_before,
        trivial="always the most common label of test",
        changed_plan=changed,
        leaks_left=pool.leaks_left,
        leak=dict(pool.leaked),
        class_shift=float(np.abs(shares["raw"] - shares["curated"]).sum() / 2),
        classes=[
            ClassShare(name=name, **{role: float(share[code]) for role, share in shares.items()})
            for code, name in enumerate(pool.labels)
        ],
        rows={**plan.rows, "skipped": pool.skipped},
        versions=_versions(),
        notes=notes,
        remarks=list(pool.remarks),
    )


def _cost(records: list[Record], curated: Path, seconds: float) -> dict[str, Any]:
    """Charge what was spent; the curator's own seconds come from its manifest, if it says."""
    manifest: dict[str, Any] = {}
    path = curated / "_curate" / "manifest.json"
    if path.is_file():
        manifest = json.loads(path.read_text(encoding="utf-8"))
    return {
        "prove_seconds": round(seconds, 2),
        "train_seconds": round(sum(run["seconds"] for run in records), 2),
        "curate_seconds": manifest.get("seconds"),
        "curate_rows": manifest.get("rows"),
        "external_data": manifest.get("external_data", "none declared") if manifest else None,
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
