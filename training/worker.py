"""A worker process: `python -m training.worker OUT` reads runs from stdin and trains them.

One thread and one import of torch for many runs. One JSON line in, one JSON line out.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from training.arms import ARMS
from training.data import Rows
from training.fit import evaluate, fit
from training.models import ImageInputs, Inputs, TextInputs, image_model, text_model
from training.plan import Recipe, write_json


class Bench:
    """What all runs share: the cached pool, the recipe and the device."""

    def __init__(self, out: Path) -> None:
        cache = out / "cache"
        self.out = out
        self.setup: dict[str, Any] = json.loads((cache / "setup.json").read_text("utf-8"))
        self.recipe = Recipe.model_validate(self.setup["recipe"])
        self.raw, self.curated, self.test = (
            Rows.load(cache / f"{role}.npz") for role in ("raw", "curated", "test")
        )
        self.inputs: Inputs = (
            TextInputs(cache)
            if self.setup["task"] == "text_classification"
            else ImageInputs(cache, self.recipe.shift)
        )
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def model(self) -> nn.Module:
        """Return a fresh model; the caller seeds torch first."""
        if isinstance(self.inputs, ImageInputs):
            channels = self.inputs.pixels.shape[1]
            return image_model(self.recipe, channels, self.setup["labels"])
        return text_model(self.recipe, self.setup["labels"])

    def run(self, name: str, seed: int) -> None:
        """Train and test one arm at one seed; write scores first and the record last."""
        started = time.perf_counter()
        arm = ARMS[name]
        rows = arm.rows(seed, self.raw, self.curated)
        steps = self.setup["steps"]
        if arm.budget == "equal epochs":
            steps = max(1, round(steps * len(rows) / len(self.raw)))
        torch.manual_seed(seed + arm.seed_offset)
        model = self.model().to(self.device)
        fit(model, self.inputs, rows, recipe=self.recipe, steps=steps, seed=seed + arm.seed_offset)
        right, losses = evaluate(model, self.inputs, self.test)
        folder = self.out / "runs"
        np.save(folder / f"{name}-{seed}.correct.npy", right)
        np.save(folder / f"{name}-{seed}.loss.npy", losses)
        finite = bool(np.isfinite(losses).all())
        record = {
            "arm": name,
            "seed": seed,
            "plan_hash": self.setup["plan_hash"],
            "n": len(rows),
            "steps": steps,
            "n_seen": steps * self.recipe.batch,
            "score": float(right.mean()),
            "loss": float(losses.mean()) if finite else None,
            "device": self.device.type,
            "torch": torch.__version__,
            "seconds": round(time.perf_counter() - started, 3),
        }
        write_json(folder / f"{name}-{seed}.json", record)


def main(out: Path) -> None:
    """Answer each line {"arm": …, "seed": …} on stdin with {} or {"error": …} on stdout."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    bench = Bench(out)
    for line in sys.stdin:
        job = json.loads(line)
        try:
            bench.run(job["arm"], job["seed"])
            answer = {}
        except Exception:
            answer = {"error": traceback.format_exc()}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
