"""The claim, written and hashed before the first run."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from training.data import Task

Profile = Literal["smoke", "cpu", "gpu"]


class Recipe(BaseModel):
    """How every arm is trained; the same for all."""

    model_config = ConfigDict(frozen=True)

    model: str
    width: int
    """Hash buckets of the text model; channels of the image model's first layer."""
    rate: float
    """Peak learning rate."""
    momentum: float
    weight_decay: float
    warmup: float
    """Share of the steps over which the learning rate rises before it falls to zero."""
    shift: int
    """Pixels by which training images are shifted at random."""
    batch: int
    passes: int
    """Passes over raw that set the number of steps, within `least_steps` and `most_steps`."""
    least_steps: int
    most_steps: int

    def steps(self, raw_rows: int) -> int:
        """Return the optimizer steps of every arm, from the size of raw."""
        wanted = round(self.passes * raw_rows / self.batch)
        return max(self.least_steps, min(wanted, self.most_steps))


# Chosen on raw arms alone, never on a gap. Text: within about two points of the best setting tried
# on four public sets, with their own labels and with 30 % wrong ones (more passes memorise the
# wrong ones). Images: as many passes as two cores make in a minute on 5,000 small pictures.
TEXT = Recipe(
    model="linear on hashed word 1-2-grams", width=2**17, rate=30.0, momentum=0.0, weight_decay=0.0,
    warmup=0.1, shift=0, batch=128, passes=16, least_steps=300, most_steps=8_000,
)  # fmt: skip
IMAGE = Recipe(
    model="three-layer convolutional net", width=16, rate=0.05, momentum=0.9, weight_decay=5e-4,
    warmup=0.1, shift=2, batch=64, passes=12, least_steps=400, most_steps=4_000,
)  # fmt: skip


def recipe_for(task: Task, profile: Profile, batch: int | None) -> Recipe:
    """Return the bundled recipe of `task`; `gpu` is wider and longer, `smoke` far too short."""
    recipe = TEXT if task == "text_classification" else IMAGE
    change: dict[str, Any] = {} if batch is None else {"batch": batch}
    if profile == "smoke":
        change |= {"least_steps": 50, "most_steps": 50}
    if profile == "gpu":
        change |= {"most_steps": 40_000}
        if task == "image_classification":
            change |= {"width": 64, "passes": 32}
    return recipe.model_copy(update=change)


class Plan(BaseModel):
    """Everything that must be fixed before the first step; its hash names the runs."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = 1
    code: str
    """SHA-256 of this package's sources: runs of other code are never paired."""
    versions: dict[str, str]
    """Of the packages that decide what a run computes."""
    task: Task
    profile: Profile
    metric: str
    delta: float
    arms: list[str]
    left_out: dict[str, str]
    seeds: list[int]
    steps: int
    recipe: Recipe
    data: dict[str, str]
    """SHA-256 of raw, curated and test: contents, label names and order."""
    rows: dict[str, int]
    mde_before: float
    """Smallest gap found with 80 % power under the prior guess of training.stats."""

    @property
    def hash(self) -> str:
        """Return the SHA-256 of the plan's canonical JSON."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()


@cache
def code_hash(package: Path = Path(__file__).parent) -> str:
    """Return the SHA-256 of a package's Python sources."""
    digest = hashlib.sha256()
    for source in sorted(package.glob("*.py")):
        digest.update(f"{source.name}\0{source.stat().st_size}\0".encode() + source.read_bytes())
    return digest.hexdigest()


def trained_with() -> dict[str, str]:
    """Return the versions of the packages that train."""
    return {package: version(package) for package in ("numpy", "torch")}


def write_plan(plan: Plan, out: Path) -> str | None:
    """Write `plan.json`; return what changed if runs of another plan already stand in `out`.

    `plans.json` remembers each plan under which a run was finished: going back to the first plan
    after having seen the results of a second one is a change, too.
    """
    history = _history(out)
    others = [entry for entry in history if entry["hash"] != plan.hash]
    write_json(out / "plan.json", {**plan.model_dump(mode="json"), "hash": plan.hash})
    if not others:
        return None
    before, now = others[-1]["plan"], plan.model_dump(mode="json")
    changed = [name for name, value in now.items() if before.get(name) != value]
    return "the plan changed after runs had finished: " + ", ".join(changed)


def remember_plan(plan: Plan, out: Path) -> None:
    """Note in `plans.json` that a run of this plan has finished."""
    history = _history(out)
    if all(entry["hash"] != plan.hash for entry in history):
        entry = {"hash": plan.hash, "plan": plan.model_dump(mode="json")}
        write_json(out / "plans.json", [*history, entry])


def _history(out: Path) -> list[dict[str, Any]]:
    path = out / "plans.json"
    found: list[dict[str, Any]] = json.loads(path.read_text("utf-8")) if path.is_file() else []
    return found


def write_json(path: Path, value: Any) -> None:
    """Write JSON through a temporary name, so that a reader never sees half a file."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_bytes(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    temporary.replace(path)
