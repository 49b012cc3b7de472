"""Write what the workers memory-map: features, rows and the run set-up."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.arms import Sources
from training.bench import Setup
from training.language import save_documents
from training.plan import Plan, write_json
from training.pool.data import IntArray, Pool, features_of

KINDS = {"": "main", "warm": "warm"}
"""Folder of the features of each recipe; the augmented arms read those of the main one."""


def write_cache(
    pool: Pool,
    plan: Plan,
    sources: Sources,
    out: Path,
    *,
    examples: dict[str, int],
    keep: list[str],
) -> None:
    """Write everything a worker needs into `out`/cache."""
    cache = out / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    sources.save(cache / "sources")
    held = {name: rows for name, rows in pool.rows.items() if name.startswith(("test", "valid"))}
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
        if "pixels" in features.arrays:
            np.save(folder / "scale.npy", scale(features.arrays["pixels"], pool.rows["raw"].x))
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
    write_json(cache / "setup.json", fields)


def scale(pixels: npt.NDArray[Any], rows: IntArray) -> npt.NDArray[np.float32]:
    """Return mean and deviation (1 or more) of each channel over `rows`, shape (2, C, 1, 1).

    From exact sums of each picture, so that no float copy of the pixels is made.
    """
    times = np.bincount(rows, minlength=len(pixels))
    sums = times @ np.einsum("nchw->nc", pixels, dtype=np.int64)
    squares = times @ np.einsum("nchw,nchw->nc", pixels, pixels, dtype=np.int64)
    count = len(rows) * pixels.shape[2] * pixels.shape[3]
    mean = sums / count
    deviation = np.maximum(np.sqrt(np.maximum(squares / count - mean**2, 0)), 1.0)
    return np.stack([mean, deviation]).astype(np.float32)[:, :, None, None]
