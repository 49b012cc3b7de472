"""The claim, written and hashed before the first run."""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from training.recipes import ModelRecipe, Profile, Task

FULL = 1.0
DRAWING = "page/"
CURVE_SEEDS = 5
"""Seeds of the learning curves, at most."""
RATE_SEEDS = 3
"""Seeds at other learning rates, at most."""
BUDGETS = (0.25, 0.5)
"""Shares of the steps at which raw and curated are trained for the compute multiplier."""


@dataclass(frozen=True)
class TrainingJob:
    """One run: an arm at a seed, under conditions that are 1 for the main comparison."""

    arm: str
    seed: int
    share: float = FULL
    """Of the arm's rows; subsets of one seed are nested."""
    rate: float = FULL
    """Factor of the learning rate."""
    steps: float = FULL
    """Factor of the optimizer steps."""

    @property
    def name(self) -> str:
        """Return the name of the run's files."""
        parts = [f"{kind}={value:g}" for kind, value in self.conditions.items() if value != FULL]
        return "-".join([self.arm.replace("/", "_"), str(self.seed), *parts])

    @property
    def conditions(self) -> dict[str, float]:
        """Return share, rate and steps."""
        return {"share": self.share, "rate": self.rate, "steps": self.steps}

    @property
    def main(self) -> bool:
        """Tell whether the run belongs to the main comparison."""
        return all(value == FULL for value in self.conditions.values())

    def in_words(self) -> str:
        """Name the run for a person."""
        said = f"{self.arm}, seed {self.seed}"
        said += f", {self.share:g} of the rows" if self.share != FULL else ""
        said += f", {self.rate:g} × the learning rate" if self.rate != FULL else ""
        return said + (f", {self.steps:g} of the steps" if self.steps != FULL else "")


def is_main(record: Mapping[str, Any]) -> bool:
    """Tell whether a run's record belongs to the main comparison, as `Job.main` does."""
    return all(record.get(kind, FULL) == FULL for kind in ("share", "rate", "steps_factor"))


class ProofPlan(BaseModel):
    """Everything that must be fixed before the first step; its hash names the runs."""

    model_config = ConfigDict(frozen=True)

    format: Literal[2] = 2
    code: str
    """SHA-256 of this package's sources: runs of other code are never paired."""
    versions: dict[str, str]
    """Of the packages that decide what a run computes."""
    task: Task
    profile: Profile
    model: str
    """Of the main arms: a bundled one, or the name of a trainer of one's own."""
    metric: str
    delta: float
    arms: list[str]
    left_out: dict[str, str]
    tests: list[str]
    """Names of the test sets; the first one is the main one."""
    seeds: list[int]
    shares: list[float]
    """Sizes of the learning curves below the full one."""
    rates: list[float]
    budgets: list[float]
    steps: int
    """Optimizer steps of every main arm; 0 for a model that counts. Examples to see, for a trainer
    of one's own."""
    steps_asked: int | None
    """Steps that were asked for instead of the recipe's."""
    budget_bytes: int | None
    """Bytes that every main arm of a counting model reads."""
    recipes: dict[str, ModelRecipe]
    """By the name that arms give; the main one is ""."""
    processes: int
    """Processes that share one run's batches."""
    data: dict[str, str]
    """SHA-256 of each dataset: contents, label names and order."""
    rows: dict[str, int]
    mde_before: float
    """Smallest gap found with 80 % power under the prior guess of training.statistics.stats."""

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def curve_arms(self) -> tuple[str, str]:
        """Return which arms are raw and curated where each row is seen equally often."""
        raw, curated = (
            f"{name}@epochs" if f"{name}@epochs" in self.arms else name
            for name in ("raw", "curated")
        )
        return raw, curated

    def jobs(self) -> list[TrainingJob]:
        """Return every run: the main comparison first, seed by seed, then other conditions."""
        main = [TrainingJob(arm, seed) for seed in self.seeds for arm in self.arms]
        curves = [
            TrainingJob(arm, seed, share=share)
            for seed in self.seeds[:CURVE_SEEDS]
            for share in self.shares
            for arm in dict.fromkeys(["raw", "curated", *self.curve_arms])
        ]
        budgets = [
            TrainingJob(arm, seed, steps=steps)
            for seed in self.seeds[:CURVE_SEEDS]
            for steps in self.budgets
            for arm in ("raw", "curated")
        ]
        rates = [
            TrainingJob(arm, seed, rate=rate)
            for seed in self.seeds[:RATE_SEEDS]
            for rate in self.rates
            for arm in ("raw", "curated")
        ]
        return main + curves + budgets + rates


@cache
def code_hash(package: Path = Path(__file__).parents[1]) -> str:
    """Return the SHA-256 of a package's Python sources, less those that only draw."""
    digest = hashlib.sha256()
    for source in sorted(package.rglob("*.py")):
        name = source.relative_to(package).as_posix()
        if not name.startswith(DRAWING):
            size = source.stat().st_size
            digest.update(f"{name}\0{size}\0".encode() + source.read_bytes())
    return digest.hexdigest()


def trained_with() -> dict[str, str]:
    """Return the versions of the packages that train, of those that are installed."""
    found = {}
    for package in ("numpy", "torch"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def write_plan(plan: ProofPlan, out: Path) -> str | None:
    """Write `plan.json`; return what changed if runs of another plan already stand in `out`.

    `plans.json` remembers each plan under which a run was finished: going back to the first plan
    after having seen the results of a second one is a change, too.
    """
    history = _history(out)
    others = [entry for entry in history if entry["hash"] != plan.hash]
    save_json(out / "plan.json", {**plan.model_dump(mode="json"), "hash": plan.hash})
    if not others:
        return None
    before, now = others[-1]["plan"], plan.model_dump(mode="json")
    changed = [name for name, value in now.items() if before.get(name) != value]
    return "the plan changed after runs had finished: " + ", ".join(changed)


def remember_plan(plan: ProofPlan, out: Path) -> None:
    """Note in `plans.json` that a run of this plan has finished."""
    history = _history(out)
    if all(entry["hash"] != plan.hash for entry in history):
        entry = {"hash": plan.hash, "plan": plan.model_dump(mode="json")}
        save_json(out / "plans.json", [*history, entry])


def _history(out: Path) -> list[dict[str, Any]]:
    path = out / "plans.json"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return found


def save_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary name, so that a reader never sees half a file."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    temporary.replace(path)
