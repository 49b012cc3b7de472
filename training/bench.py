"""What all runs of a worker process share, and how it makes one."""

from __future__ import annotations

import json
import time
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
    """The cached pool, the recipe and the device.

    Args:
        out: folder of the proof.
        number: number of the worker; workers take turns at the GPUs, if there are any.
    """

    def __init__(self, out: Path, number: int) -> None:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True, warn_only=True)
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
        gpus = torch.cuda.device_count()
        self.device = torch.device(f"cuda:{number % gpus}" if gpus else "cpu")

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
