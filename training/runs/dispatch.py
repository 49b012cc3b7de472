"""Make one run: a model that counts, or one that torch trains."""

import time

import numpy as np

from training.design.arms import Arm, arm_named
from training.design.budgets import ONE_PASS
from training.design.plan import TrainingJob
from training.pool.data import PoolRows
from training.recipes import ModelRecipe
from training.runs.bench import Bench, Outcome, part, write_run
from training.runs.language import clipped, count, load_documents, per_byte


def make_run(bench: Bench, job: TrainingJob, *, write: bool = True) -> None:
    """Train and test one arm at one seed; write scores first and the record last."""
    started = time.perf_counter()
    arm = arm_named(job.arm)
    rows = part(arm.rows(job.seed, bench.sources), job)
    recipe = bench.setup.recipes[arm.recipe]
    if recipe.model == ONE_PASS:
        outcome = _count(bench, arm, rows, recipe, job)
    else:
        from training.runs.torch_run import torch_run

        outcome = torch_run(bench, arm, rows, recipe, job)
    if write:
        facts = {
            "n": len(rows),
            "recipe": recipe.hash,
            "seconds": round(time.perf_counter() - started, 3),
        }
        write_run(bench.out, bench.setup.plan_hash, job, outcome, facts)


def _count(
    bench: Bench, arm: Arm, rows: PoolRows, recipe: ModelRecipe, job: TrainingJob
) -> Outcome:
    documents, _ = load_documents(bench.cache, recipe)
    # A run of its own order: arms of one seed are cut at other places of their own text.
    order = np.random.default_rng([job.seed + arm.seed_offset, 1]).permutation(len(rows))
    most = None if arm.budget != "equal steps" else bench.setup.budget_bytes
    bits, read = count(documents, rows.take(order), bench.tests, recipe, most)
    lengths = {name: clipped(documents, test).lengths() for name, test in bench.tests.items()}
    scores = {name: per_byte(found, lengths[name]) for name, found in bits.items()}
    facts = {"steps": 0, "n_seen": read, "bytes_read": read, "device": "cpu", "flops": None}
    return Outcome(scores, {}, facts, lengths)
