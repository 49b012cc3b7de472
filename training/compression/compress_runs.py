"""Compress the curated models of a finished proof, in a process of its own.

`python -m training.compression.compress_runs OUT` reads the weights that the runs kept and writes
compressed.json; `compress_runs` starts it and returns what it found.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from training.design.arms import arm_named
from training.design.plan import ProofPlan, TrainingJob, save_json
from training.runs.runs import weights_file, worker_environment

ARM = "curated"
MOST_SEEDS = 3
MOST_TESTED = 2_000
"""Test rows that operating points are scored on: each point is scored once per seed."""


def compress_runs(plan: ProofPlan, out: Path) -> dict[str, Any]:
    """Return the operating points of the curated models, see `training.compression.compress`.

    Raises:
        RuntimeError: the process failed; its messages stand above.
    """
    found = out / "compressed.json"
    if found.is_file():
        before: dict[str, Any] = json.loads(found.read_text("utf-8"))
        if before["plan_hash"] == plan.hash:
            return dict(before["compression"])
    command = [sys.executable, "-P", "-m", "training.compression.compress_runs", str(out.resolve())]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, env=worker_environment())
    if done.returncode:
        raise RuntimeError(f"compress: the process ended with status {done.returncode}")
    return dict(json.loads(found.read_text("utf-8"))["compression"])


def _main(out: Path) -> None:
    """Compress what the runs in `out` kept."""
    import torch

    from training.compression.compress import Trained, compress
    from training.runs.bench import Bench
    from training.runs.torch_run import learner_for

    torch.set_num_threads(1)
    plan = ProofPlan.model_validate_json((out / "plan.json").read_text("utf-8"))
    bench = Bench(out, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    recipe = bench.setup.recipes[""]
    arm = arm_named(ARM)
    learner = learner_for(bench, recipe, arm)
    every = bench.tests["test"]
    test = every.take(np.arange(0, len(every), max(1, -(-len(every) // MOST_TESTED))))
    seeds = plan.seeds[:MOST_SEEDS]
    models = []
    for seed in seeds:
        model = learner.model().to(bench.device)
        file = weights_file(out, bench.setup.plan_hash, TrainingJob(ARM, seed))
        state = torch.load(file, weights_only=True)
        model.load_state_dict(state)
        models.append(model)
    trained = Trained(
        models=models,
        seeds=seeds,
        train=[learner.examples(arm.rows(seed, bench.sources), seed) for seed in seeds],
        test=learner.examples(test, 0),
        score=lambda model: learner.score(model, test)[0],
        build=learner.build,
        recipe=recipe,
        steps=plan.steps,
    )
    found = compress(trained)
    fields = {"plan_hash": bench.setup.plan_hash, "compression": found.model_dump(mode="json")}
    save_json(out / "compressed.json", fields)


if __name__ == "__main__":
    os.dup2(2, 1)
    _main(Path(sys.argv[1]))
