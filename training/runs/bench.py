"""What all runs of a worker process share, and how one is written."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from training.arrays import FloatArray
from training.design.arms import Arm, Sources
from training.design.plan import TrainingJob, save_json
from training.pool.data import PoolRows
from training.recipes import ModelRecipe


@dataclass(frozen=True)
class Setup:
    """What the main process tells the workers."""

    plan_hash: str
    task: str
    labels: int
    steps: int
    budget_bytes: int | None
    recipes: dict[str, ModelRecipe]
    examples: dict[str, int]
    """Examples of one pass over raw and over curated."""
    keep: list[str]
    """Arms whose trained weights are kept."""

    @staticmethod
    def load(path: Path) -> Setup:
        """Read what `write_cache` wrote."""
        found = json.loads(path.read_text("utf-8"))
        recipes = {
            name: ModelRecipe.model_validate(given) for name, given in found["recipes"].items()
        }
        return Setup(**{**found, "recipes": recipes})

    def steps_of(self, arm: Arm, job: TrainingJob) -> int:
        """Return the optimizer steps of a run; in proportion to the rows where passes are equal."""
        steps = float(self.steps)
        if arm.name == "curated@epochs":
            steps *= self.examples["curated"] / self.examples["raw"]
        steps *= job.share
        if job.share < 1:
            steps = max(steps, min(self.steps, self.recipes[arm.recipe].least_steps))
        return max(1, round(steps * job.steps))


@dataclass(frozen=True)
class Outcome:
    """What a run found: a score for each row of each test set, and what it took."""

    scores: dict[str, FloatArray]
    """Higher is better; the mean is the run's score."""
    losses: dict[str, FloatArray]
    """Log loss of each row in nats, where the model gives one."""
    facts: dict[str, Any]
    weights: dict[str, npt.NDArray[np.int64]] = field(default_factory=dict)
    """Bytes of each row, where rows do not count alike."""


class Bench:
    """The cached pool, the recipes and the device.

    Args:
        out: folder of the proof.
        device: where to train.
    """

    def __init__(self, out: Path, device: Any) -> None:
        self.out, self.device = out, device
        self.cache = out / "cache"
        self.setup = Setup.load(self.cache / "setup.json")
        self.sources = Sources.load(self.cache / "sources")
        self.tests = Sources.load(self.cache / "tests").rows


def part(rows: PoolRows, job: TrainingJob) -> PoolRows:
    """Return the share of an arm's rows that a job asks for; those of one seed are nested."""
    if job.share == 1:
        return rows
    rng = np.random.default_rng([job.seed, zlib.crc32(b"share")])
    return rows.take(rng.permutation(len(rows))[: max(2, round(job.share * len(rows)))])


def write_run(
    out: Path, plan_hash: str, job: TrainingJob, outcome: Outcome, facts: dict[str, Any]
) -> None:
    """Write per-example scores and losses as one .npz file, then the run's record."""
    folder = out / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {n: score.astype(np.float32) for n, score in outcome.scores.items()}
    found |= {f"{name}.loss": loss.astype(np.float32) for name, loss in outcome.losses.items()}
    found |= {f"{name}.weight": weight for name, weight in outcome.weights.items()}
    temporary = folder / f"{job.name}.tmp.npz"
    np.savez_compressed(temporary, **found)
    temporary.replace(folder / f"{job.name}.npz")
    loss = outcome.losses.get("test")
    record = {
        "arm": job.arm,
        "seed": job.seed,
        "share": job.share,
        "rate": job.rate,
        "steps_factor": job.steps,
        "plan_hash": plan_hash,
        "score": _mean(outcome, "test"),
        "validation": _mean(outcome, "validation"),
        "loss": None if loss is None or not np.isfinite(loss).all() else float(loss.mean()),
        **outcome.facts,
        **facts,
    }
    save_json(folder / f"{job.name}.json", record)


def _mean(outcome: Outcome, test: str) -> float | None:
    scores = outcome.scores.get(test)
    if scores is None or not np.isfinite(scores).all():
        return None
    return float(np.average(scores, weights=outcome.weights.get(test)))
