"""Prove a curated dataset against the raw one: plan, run, compare, report."""

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.conclude import Circumstances, conclude
from training.design.arms import Sources
from training.design.design import Asked, design, examples_of
from training.design.plan import ProofPlan, write_plan
from training.own import OwnMaker, Train, name_of
from training.pool.data import Pool, load_pool
from training.pool.origins import RowOrigins
from training.recipes import Profile, Task
from training.result.result import Result
from training.runs.cache import write_cache
from training.runs.progress import Told
from training.runs.runs import Maker, Worker, default_workers, make_runs


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
    looked at once per run, after its last step. Finished runs in `out` are reused as long as the
    plan is the same. The cost is about `seeds` × 15 short trainings on one core each.

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
        options: fields of `training.recipes.ModelRecipe` to change, such as {"rate": 0.01}.
        skip: control arms to save the cost of: see `training.design.design.SKIPPABLE`.
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
        progress: told after each run, see `training.runs.progress`.

    Raises:
        UserError: an argument or a dataset cannot be used; the message says what to do.
        RuntimeError: a training process failed; finished runs are kept.
    """
    started = time.perf_counter()
    folders = {"raw": raw, "curated": curated, "test": test}
    folders |= {f"test:{name}": place for name, place in (tests or {}).items()}
    folders |= {"validation": validation} if validation else {}
    folders |= dict(variants or {})
    places = RowOrigins(
        {name: Path(place) for name, place in folders.items()},
        image if task == "image_classification" else text,
        label,
        oracle,
    )
    asked = Asked(
        task=task,
        profile=profile,
        model=model,
        options=dict(options or {}),
        smallest_effect=smallest_effect,
        seeds=seeds,
        steps=steps,
        sizes=sizes,
        rates=tuple(rates),
        processes=processes,
        workers=workers,
        also=tuple(also),
        skip=tuple(skip),
        compress=compress,
        trainer=name_of(train) if train else None,
    )
    asked.check()
    recipes = asked.recipes()
    pool = load_pool(places, task, recipes[""])
    plan, sources, arms = design(asked, pool, recipes)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    changed = write_plan(plan, folder)
    keep = ["curated"] if compress and train is None else []
    if train is None:
        examples = {name: examples_of(task, recipes[""], pool, name) for name in ("raw", "curated")}
        write_cache(pool, plan, sources, folder, examples=examples, keep=keep)
    crew = _own_crew(train, plan, pool, sources, folder) if train else _crew(plan, folder, workers)
    records = make_runs(
        plan,
        folder,
        tests={name: len(pool.rows[name]) for name in plan.tests},
        crew=crew,
        keep=keep,
        told=progress,
    )
    spent = Circumstances(
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


Crew = Callable[[int], Sequence[Maker]]


def _crew(plan: ProofPlan, out: Path, workers: int | None) -> Crew:
    def start(missing: int) -> list[Maker]:
        count = workers or max(1, default_workers() // plan.processes)
        return [Worker(out, number, plan.processes) for number in range(min(count, missing))]

    return start


def _own_crew(train: Train, plan: ProofPlan, pool: Pool, sources: Sources, out: Path) -> Crew:
    return lambda missing: [OwnMaker(train, plan, pool, sources, out)]
