"""Write what the workers memory-map: features, rows and the run set-up."""

import shutil
from dataclasses import asdict
from pathlib import Path

from training.design.arms import Sources
from training.design.plan import ProofPlan, save_json
from training.pool.data import Pool, features_of
from training.pool.shards import is_held
from training.runs.bench import Setup
from training.runs.language import save_documents

KINDS = {"": "main", "warm": "warm"}
"""Folder of the features of each recipe; the augmented arms read those of the main one."""


def write_cache(
    pool: Pool,
    plan: ProofPlan,
    sources: Sources,
    out: Path,
    *,
    examples: dict[str, int],
    keep: list[str],
) -> None:
    """Write everything a worker needs into `out`/cache."""
    cache = out / "cache"
    shutil.rmtree(cache, ignore_errors=True)  # of a run that was interrupted, maybe of another plan
    cache.mkdir(parents=True)
    sources.save(cache / "sources")
    held = {name: rows for name, rows in pool.rows.items() if is_held(name)}
    Sources(held, None, None).save(cache / "tests")
    for name, kind in KINDS.items():
        recipe = plan.recipes.get(name)
        if recipe is None:
            continue
        if plan.task == "language_modelling":
            save_documents(pool, recipe, cache)
            continue
        folder = cache / kind
        folder.mkdir(exist_ok=True)
        features = pool.features if not name else features_of(pool.distinct, plan.task, recipe)
        features.save(folder)
    setup = Setup(
        plan_hash=plan.hash,
        task=plan.task,
        labels=len(pool.labels),
        steps=plan.steps,
        budget_bytes=plan.budget_bytes,
        recipes=plan.recipes,
        examples=examples,
        keep=keep,
    )
    fields = asdict(setup)
    fields["recipes"] = {name: recipe.model_dump() for name, recipe in plan.recipes.items()}
    save_json(cache / "setup.json", fields)
