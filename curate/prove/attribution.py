"""What each step is worth: runs of the recipe without one step, and with one step alone."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from curate.errors import RunFailed
from curate.manifest import MANIFEST, Manifest, read_manifest
from curate.recipe.recipe import Recipe, Write, load_recipe
from curate.run.made_manifest import versions
from curate.run.run import run_recipe
from pipelines.ledger.counts import StepCounts
from pipelines.readers.read_plan import make_plan
from pipelines.rows import SPLIT, MissingColumn
from pipelines.steps.rows.columns import DropColumns
from pipelines.steps.step import Map, Step

Tell = Callable[[str], None]
Steps = tuple[Step, ...]


@dataclass(frozen=True)
class Variants:
    """Recipes by name, `without:<step>` and `only:<step>`, and why others are not made."""

    steps: dict[str, Steps]
    left_out: dict[str, str]


def plan_variants(steps: Sequence[Step], counted: Sequence[StepCounts]) -> Variants:
    """Return the variants of a recipe that tell what a step is worth.

    Only a step that changed a row has any. `without:` is the recipe less that step, and less what
    drops its columns. `only:` is that step with those before it that add a column it reads; `split`
    and `drop_columns` stay away from it. Steps count from 1, as in `curate plan --sweep`.

    Args:
        steps: of the recipe.
        counted: what each did in the run, in the order of the steps.
    """
    names = [f"{number}.{step.op}" for number, step in enumerate(steps, start=1)]
    idle = [_idle(step, done) for step, done in zip(steps, counted, strict=True)]
    left_out = {name: why for name, why in zip(names, idle, strict=True) if why}
    judged = [at for at, why in enumerate(idle) if not why]
    if len(judged) == 1:
        alone = "no other step changes a row, so the gap of all is its worth"
        return Variants({}, {**left_out, names[judged[0]]: alone})
    found: dict[str, Steps] = {}
    for at in judged:
        readers = [names[other] for other in _readers(steps, at)]
        if readers:
            left_out[f"without:{names[at]}"] = f"{', '.join(readers)} reads a column it adds"
        else:
            found[f"without:{names[at]}"] = _without(steps, at)
        found[f"only:{names[at]}"] = _only(steps, at)
    return Variants(found, left_out)


def make_variants(
    recipe: Recipe,
    manifest: Manifest,
    place: Path,
    *,
    cache: str | None = None,
    tell: Tell,
) -> tuple[dict[str, Path], dict[str, str]]:
    """Run the variants of a recipe that has run; returns their outputs and what is left out.

    Two runs of the recipe per step that changes rows; reading and signatures they have in common
    are made once. An output that is there is used again if recipe, input and versions are the same.

    Args:
        recipe: what has run.
        manifest: of that run.
        place: folder of the outputs.
        cache: folder for what the runs have in common; one in `place`, removed at the end, if
            left out.
        tell: told which variant is made.
    """
    variants = plan_variants(recipe.steps, manifest.steps[1:])
    limit = manifest.input.limit
    fingerprint = make_plan(recipe.read, limit=limit).fingerprint
    shared = place / "cache"
    made: dict[str, Path] = {}
    left_out = dict(variants.left_out)
    for name, steps in variants.steps.items():
        out = place / name.replace(":", "-")
        write = Write(path=str(out), overwrite=True)
        variant = recipe.model_copy(update={"steps": steps, "write": write, "prove": None})
        if not is_made(variant, out, fingerprint):
            tell(f"attribution: {name} ({len(made) + 1} of {len(variants.steps)})")
            try:
                run_recipe(variant, limit=limit, cache=cache or str(shared))
            except (RunFailed, MissingColumn) as error:
                left_out[name] = str(error).partition("\n")[0]
                continue
        made[name] = out
    shutil.rmtree(shared, ignore_errors=True)
    return made, left_out


def is_made(recipe: Recipe, out: Path, fingerprint: str) -> bool:
    """Tell whether `out` is the output of this recipe on this input, by these versions."""
    if not (out / MANIFEST).is_file():
        return False
    manifest = read_manifest(str(out))
    ran: Recipe = load_recipe(out / "_curate" / "recipe.yaml")
    same = all(
        getattr(ran, name) == getattr(recipe, name)
        for name in ("seed", "read", "steps", "max_quarantined")
    )
    here = manifest.input.fingerprint == fingerprint
    return same and here and manifest.versions == versions()


def _idle(step: Step, done: StepCounts) -> str:
    """Return why a step needs no judging; nothing where it does."""
    if SPLIT in step.adds():
        return "it sets rows aside and judges none"
    if isinstance(step, DropColumns):
        return "it takes out columns, which no model reads"
    if isinstance(step, Map):
        return "it only adds a column that other steps read" if step.adds() else ""
    return "" if done.dropped or done.edited or done.derived else "it changed no row"


def _reads(step: Step) -> set[str]:
    return {column for _, column in step.names()}


def _readers(steps: Sequence[Step], at: int) -> list[int]:
    """Return the later steps that read a column which the step at `at` alone adds before them."""
    others = {c for i, step in enumerate(steps) if i != at for c in step.adds()}
    own = set(steps[at].adds()) - others
    return [
        i
        for i, step in enumerate(steps)
        if i > at and not isinstance(step, DropColumns) and own & _reads(step)
    ]


def _without(steps: Sequence[Step], at: int) -> Steps:
    gone = set(steps[at].adds())
    kept: list[Step] = []
    for i, step in enumerate(steps):
        if i == at:
            continue
        if i > at and isinstance(step, DropColumns):
            columns = tuple(name for name in step.columns if name not in gone)
            if not columns:
                continue
            step = step.model_copy(update={"columns": columns})
        kept.append(step)
    return tuple(kept)


def _only(steps: Sequence[Step], at: int) -> Steps:
    kept, wanted = [steps[at]], _reads(steps[at])
    for step in reversed(steps[:at]):
        if wanted & set(step.adds()):
            kept.insert(0, step)
            wanted = (wanted - set(step.adds())) | _reads(step)
    return tuple(kept)
