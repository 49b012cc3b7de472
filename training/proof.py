"""Prove a curated dataset against the raw one: plan, run, compare, report."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from training.arms import Arm, Sources, choose_arms
from training.cache import write_cache
from training.compare import prior_of
from training.conclude import Spent, conclude
from training.guards import check_seeds
from training.language import ONE_PASS, budget_bytes, windows_of
from training.metrics import ACCURACY, BITS
from training.own import OwnMaker, Train, name_of
from training.plan import BUDGETS, Plan, code_hash, trained_with, write_plan
from training.pool.data import Places, Pool, load_pool
from training.progress import Told
from training.recipes import Profile, Recipe, Task, recipe_for
from training.result import Result
from training.runs import Maker, Worker, default_workers, make_runs
from training.statistics.stats import detectable_before

SMALLEST = {"language_modelling": 0.01}
"""Smallest effect that matters by default: bits per byte; else a share, so one point."""
EXTRA = ("augmented", "warm")
SKIPPABLE = ("random@bytes", "scrambled", "rs2@n", "anti", "curated@epochs")
AUGMENTED: dict[Task, dict[str, Any]] = {
    "text_classification": {"dropout": 0.2},
    "image_classification": {"shift": 4, "flip": True},
}
WARM: dict[Task, str] = {"text_classification": "pretrained", "image_classification": "features"}


def prove(
    *,
    raw: str | os.PathLike[str],
    curated: str | os.PathLike[str],
    test: str | os.PathLike[str],
    task: Task,
    out: str | os.PathLike[str],
    text: str = "text",
    image: str = "image",
    label: str | None = "label",
    tests: Mapping[str, str | os.PathLike[str]] | None = None,
    validation: str | os.PathLike[str] | None = None,
    variants: Mapping[str, str | os.PathLike[str]] | None = None,
    oracle: str | None = None,
    also: Sequence[str] = (),
    model: str | None = None,
    train: Train | None = None,
    options: Mapping[str, Any] | None = None,
    seeds: int = 5,
    steps: int | None = None,
    smallest_effect: float | None = None,
    skip: Sequence[str] = (),
    sizes: int = 5,
    rates: Sequence[float] = (0.5, 2.0),
    compress: bool = False,
    processes: int = 1,
    workers: int | None = None,
    profile: Profile = "cpu",
    carved_late: str | None = None,
    synthetic: Sequence[str] = (),
    notes: Sequence[str] = (),
    remarks: Sequence[str] = (),
    progress: Told | None = None,
) -> Result:
    """Train on raw, on curated and on controls, and say whether curating was worth it.

    Every arm takes the same optimizer steps with the same recipe and the same seeds; a test set is
    looked at once a run, after its last step. Finished runs in `out` are reused as long as the plan
    is the same. The cost is about `seeds` × 15 short trainings on one core each.

    Args:
        raw: dataset directory before curation (its train split is read).
        curated: dataset directory after curation (its train split is read).
        test: dataset directory carved off before curation (its test split, else train).
        task: "text_classification", "image_classification" or "language_modelling".
        out: directory for plan.json, result.json, report.html, MODEL_CARD.md and runs/.
        text: column of the text.
        image: column of the image.
        label: column of the label; datasets are matched by label name. A language model needs
            none, and takes it as the domain of a text if it is there.
        tests: further test sets by name, such as one that is clean where `test` is as raw is.
        validation: data for choosing and for the estimate shown while runs go on; by default a
            twentieth of raw is held back from every arm.
        variants: datasets for attribution, "without:<step>" and "only:<step>".
        oracle: column of raw with true labels, for an arm that shows what is to be had.
        also: extra recipes for raw and curated: "augmented", "warm" (a pretrained model).
        model: bundled model, see `training.recipes.MODELS`; by default the task's first.
        train: a trainer of one's own instead, see `training.own`.
        options: fields of `training.recipes.Recipe` to change, such as {"rate": 0.01}.
        skip: control arms to save the cost of, of those no claim needs: see `SKIPPABLE`.
        seeds: runs of each arm; 5 are usual, 3 the least; from 6 on sign flips confirm p.
        steps: optimizer steps of every arm; by default from the size of raw.
        smallest_effect: smallest difference that matters (δ); by default one point of accuracy, or
            0.01 bits per byte.
        sizes: points of the learning curves, each half as large as the next; 0 draws none.
        rates: factors of the learning rate at which the sign of the gap is checked.
        compress: also compress the trained model and measure what that costs in quality.
        processes: processes that share each run's batches (torchrun).
        workers: runs made at once; by default one a GPU, else one a core.
        profile: "cpu", "gpu" (wider and longer) or "smoke" (plumbing only, claims nothing).
        carved_late: that `test` was taken out of data that curation had seen, if so.
        synthetic: defects that were planted in the data; the sentence names them.
        notes: what else a reader must know about the data; repeated in the sentence.
        remarks: what stands in the report besides.
        progress: told after each run, see `training.progress`.

    Raises:
        ValueError: an argument or a dataset cannot be used; the message says what to do.
        RuntimeError: a training process failed; finished runs are kept.
    """
    started = time.perf_counter()
    folders = {"raw": raw, "curated": curated, "test": test}
    folders |= {f"test:{name}": place for name, place in (tests or {}).items()}
    folders |= {"validation": validation} if validation else {}
    folders |= dict(variants or {})
    places = Places(
        {name: Path(place) for name, place in folders.items()},
        image if task == "image_classification" else text,
        label,
        oracle,
    )
    delta = SMALLEST.get(task, 0.01) if smallest_effect is None else smallest_effect
    _check_arguments(task, profile, seeds, steps, delta, workers, processes, also, skip, sizes)
    recipes = _recipes(task, profile, model, dict(options or {}), also, processes)
    for recipe in recipes.values() if train is None else ():
        _check_installed(recipe, task)
        if recipe.model == ONE_PASS and compress:
            raise ValueError(
                "compress: the ngram model counts and has no weights to compress; leave it out, or "
                "choose a gpt model"
            )
        if recipe.model == "linear" and processes > 1:
            raise ValueError(
                f"processes: {processes} given; the linear model's gradients are sparse and stay "
                "in one process; leave it out, or choose another model"
            )
    pool = load_pool(places, task, recipes[""])
    asked = _Asked(
        task, profile, delta, seeds, steps, sizes, tuple(rates), processes, tuple(also), tuple(skip)
    )
    plan, sources, arms = _plan(asked, pool, recipes, train)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    changed = write_plan(plan, folder)
    if train is None:
        keep = ["curated"] if compress else []
        examples = {name: _examples(task, recipes[""], pool, name) for name in ("raw", "curated")}
        write_cache(pool, plan, sources, folder, examples=examples, keep=keep)
    crew = _own_crew(train, plan, pool, sources, folder) if train else _crew(plan, folder, workers)
    records = make_runs(
        plan,
        folder,
        tests={name: len(pool.rows[name]) for name in plan.tests},
        crew=crew,
        told=progress,
    )
    spent = Spent(
        started=started,
        changed=changed,
        carved_late=carved_late,
        synthetic=list(synthetic),
        notes=list(notes),
        remarks=list(remarks),
        compress=compress and train is None,
    )
    result = conclude(plan, pool, arms, records, spent, places.folders["curated"], folder)
    shutil.rmtree(folder / "cache", ignore_errors=True)
    return result


@dataclass(frozen=True)
class _Asked:
    task: Task
    profile: Profile
    delta: float
    seeds: int
    steps: int | None
    sizes: int
    rates: tuple[float, ...]
    processes: int
    also: tuple[str, ...]
    skip: tuple[str, ...]


def _recipes(
    task: Task,
    profile: Profile,
    model: str | None,
    options: dict[str, Any],
    also: Sequence[str],
    processes: int,
) -> dict[str, Recipe]:
    main = recipe_for(task, profile, model, options)
    found = {"": main}
    if "augmented" in also:
        change = AUGMENTED.get(task, {})
        found["augmented"] = main.model_copy(update=change)
    if "warm" in also and task in WARM:
        found["warm"] = recipe_for(task, profile, WARM[task], {})
    return found


def _plan(
    asked: _Asked, pool: Pool, recipes: dict[str, Recipe], train: Train | None
) -> tuple[Plan, Sources, list[Arm]]:
    main = recipes[""]
    one_pass = main.model == ONE_PASS and train is None
    datasets = {
        name: rows
        for name, rows in pool.rows.items()
        if not name.startswith(("test", "validation"))
    }
    sources = Sources(datasets, pool.copies, pool.sizes)
    arms, left_out = choose_arms(
        sources, also=asked.also, one_pass=one_pass, untraced=pool.untraced
    )
    for name in asked.skip:
        left_out.setdefault(name, "it was not asked for")
    arms = [arm for arm in arms if arm.name not in asked.skip]
    if asked.profile == "smoke":
        arms = [arm for arm in arms if arm.name in ("raw", "curated", "random@n", "aa")]
    names = [arm.name for arm in arms]
    full = asked.profile != "smoke"
    metric = (BITS if asked.task == "language_modelling" else ACCURACY).name
    steps = asked.steps or main.steps(_examples(asked.task, main, pool, "raw"))
    if train:
        steps *= main.batch
    plan = Plan(
        code=code_hash(),
        versions=trained_with(),
        task=asked.task,
        profile=asked.profile,
        model=name_of(train) if train else main.model,
        metric=metric,
        delta=asked.delta,
        arms=names,
        left_out=left_out,
        tests=pool.tests,
        seeds=list(range(asked.seeds)),
        shares=[0.5**k for k in range(1, asked.sizes)] if full else [],
        rates=[] if one_pass or train or not full else [r for r in asked.rates if r != 1],
        budgets=[] if one_pass or not full or asked.sizes == 0 else list(BUDGETS),
        steps=0 if one_pass else steps,
        steps_asked=asked.steps,
        budget_bytes=budget_bytes(sources, arms, list(range(asked.seeds))) if one_pass else None,
        recipes=recipes,
        processes=asked.processes,
        data=pool.hashes,
        rows={name: len(rows) for name, rows in pool.rows.items()},
        mde_before=detectable_before(asked.seeds, len(pool.rows["test"]), prior_of(metric)),
    )
    return plan, sources, arms


def _examples(task: Task, recipe: Recipe, pool: Pool, name: str) -> int:
    """Return the examples of one pass over a dataset: its rows, or windows of its text."""
    rows = pool.rows[name]
    if task != "language_modelling" or recipe.model == ONE_PASS:
        return len(rows)
    assert pool.sizes is not None
    return windows_of(rows, pool.sizes, recipe)


def _crew(plan: Plan, out: Path, workers: int | None) -> Any:
    def start(missing: int) -> list[Maker]:
        count = workers or max(1, default_workers() // plan.processes)
        return [Worker(out, number, plan.processes) for number in range(min(count, missing))]

    return start


def _own_crew(train: Train, plan: Plan, pool: Pool, sources: Sources, out: Path) -> Any:
    return partial(lambda missing: [OwnMaker(train, plan, pool, sources, out)])


def _check_arguments(
    task: str,
    profile: str,
    seeds: int,
    steps: int | None,
    delta: float,
    workers: int | None,
    processes: int,
    also: Sequence[str],
    skip: Sequence[str],
    sizes: int,
) -> None:
    for name, given, allowed in (
        ("task", task, get_args(Task)),
        ("profile", profile, get_args(Profile)),
        *(("also", extra, EXTRA) for extra in also),
        *(("skip", arm, SKIPPABLE) for arm in skip),
    ):
        if given not in allowed:
            raise ValueError(f"{name}: {given!r} given; allowed: {', '.join(allowed)}")
    check_seeds(seeds)
    for name, number in (("steps", steps), ("workers", workers), ("processes", processes)):
        if number is not None and number < 1:
            raise ValueError(f"{name}: {number} given; give 1 or more, or leave it out")
    if sizes == 1 or not 0 <= sizes <= 10:
        raise ValueError(f"sizes: {sizes} given; give 2 to 10 points, 5 are usual, or 0 for none")
    if not 0 < delta < 1:
        raise ValueError(
            f"smallest_effect: {delta} given; give a number between 0 and 1, such as 0.01 for one "
            "point of accuracy"
        )


NEEDS: dict[str, tuple[str, ...]] = {
    "finetune": ("torch", "PIL"),
    "features": ("torch", "PIL"),
    "cnn": ("torch", "PIL"),
}


def _check_installed(recipe: Recipe, task: Task) -> None:
    if recipe.model == ONE_PASS:
        return
    needed = NEEDS.get(recipe.model, ("torch",))
    needed += ("tokenizers",) if recipe.model == "gpt-bpe" else ()
    for module in needed:
        if find_spec(module) is None:
            raise ValueError(f"{task}: {module} is not installed; install curate-proof[prove]")
