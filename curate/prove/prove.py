"""Prove what a run was worth: bring raw, curated and test data side by side and compare."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from curate.errors import RecipeError
from curate.manifest import MANIFEST, Manifest, read_manifest
from curate.prove.attribution import make_variants
from curate.prove.prove_data import Names, bring, check_provable, given, rows_of
from curate.prove.prove_progress import Display, Silent
from curate.prove.prove_task import infer_task
from curate.prove.prove_tests import asked_tests, own_test
from curate.recipe.problems import problems_in
from curate.recipe.prove_section import Prove
from curate.recipe.recipe import Recipe, load_recipe
from curate.report.card import with_verdict
from curate.report.report import with_proof
from curate.samples.planted import planted_in
from pipelines import files
from pipelines.errors import UserError
from pipelines.rows import Columns
from pipelines.stores import reached_by

if TYPE_CHECKING:
    from training import Result

PROOF = ".proof"
"""The proof of the output `out` lies in `out.proof`, beside it: replacing an output must not erase
what was planned and run before, and the test data stays out of what is published."""
PASSED_ON = (
    *("oracle", "model", "options", "seeds", "steps", "smallest_effect", "sizes", "rates"),
    *("also", "skip", "compress", "processes", "workers", "profile"),
)
"""Options of the section that `training.prove` takes as they stand."""


@dataclass(frozen=True)
class Proof:
    """What a comparison found."""

    result: Result
    place: Path
    """Folder of the proof."""

    @property
    def supported(self) -> bool:
        """Tell whether the claim that curation helped is supported."""
        return self.result.supported

    @property
    def verdict(self) -> str:
        """Return the verdict as a sentence."""
        return self.result.sentence

    @property
    def report(self) -> Path:
        """Return the page that shows all of it."""
        return self.place / "report.html"


def prove_recipe(
    recipe: Recipe, *, cache: str | None = None, display: Display | None = None
) -> Proof:
    """Compare the output of a recipe that has run with its raw input.

    Args:
        recipe: with a `prove` section.
        cache: folder that keeps rows and signatures of the runs attribution needs.
        display: told what is going on.

    Raises:
        UserError: the recipe has no `prove` section, has not run, or has changed since.
    """
    asked = recipe.prove
    if asked is None:
        raise UserError("the recipe has no `prove` section; add `prove: {task: …, test: …}`")
    check_provable(recipe)
    with reached_by(recipe.storage):
        return _prove_run(recipe, asked, cache, display or Silent())


def _prove_run(recipe: Recipe, asked: Prove, cache: str | None, display: Display) -> Proof:
    """Compare an output on a disk with its raw input."""
    curated = Path(recipe.write.path)
    manifest = _manifest_of(curated, recipe)
    place = proof_of(curated)
    names = _columns(asked, manifest.columns)
    limit = manifest.input.limit
    raw = bring(recipe.read, place / "raw", recipe.max_quarantined, display.tell, limit)
    if rows_of(raw) != manifest.rows.entered:
        raise UserError(
            f"{curated} was made of {manifest.rows.entered:,} rows, the input now has "
            f"{rows_of(raw):,}; run the recipe again: curate run --overwrite"
        )
    variants: dict[str, Path] = {}
    remarks: list[str] = []
    if asked.attribution:
        variants, left_out = make_variants(
            recipe, manifest, place / "variants", cache=cache, tell=display.tell
        )
        remarks = [f"attribution: no {name}: {why}" for name, why in left_out.items()]
        display.note(*remarks)
    result = _compare(
        asked,
        {"raw": raw, "curated": curated, **asked_tests(asked, place, names, display)},
        place,
        display,
        names,
        variants=variants,
        synthetic=planted_in(recipe.read.path),
        remarks=remarks,
        notes=recipe.notes,
    )
    _add_verdict(curated, place, result.sentence)
    return Proof(result, place)


def prove_directories(
    *,
    raw: str | Path,
    curated: str | Path,
    out: Path | None = None,
    test: str | Path | None = None,
    task: str | None = None,
    display: Display | None = None,
    **options: Any,
) -> Proof:
    """Compare any two datasets of which one is said to be better.

    Args:
        raw: the data before, in any format a recipe reads; its train split where it has splits.
        curated: the data after.
        out: folder of the proof; `<curated>-against-<raw>.proof`, beside curated, when left out.
        test: held-out data. When left out: the test split of raw, else that of curated, else a
            fifth of raw is held out, which curation has seen: the proof is then exploratory.
        task: what is learnt; inferred from the columns when left out.
        display: told what is going on.
        options: other options of the `prove` section.

    Raises:
        UserError: a dataset is not there, or no task fits its columns.
    """
    display = display or Silent()
    sides = given("raw", raw), given("curated", curated)
    named = {role: options.get(role) for role in ("text", "image", "label")}
    if task is None:
        before, after = (side.columns(named) for side in sides)
        task = infer_task(before, after, named)
        display.note(f"task {task}, told by the columns (--task says otherwise)")
    asked = _section({"task": task, "test": str(test or raw), **options})
    place = out or _place_of(_name_of(curated), _name_of(raw))
    names = _columns(asked, Columns())
    raw_at, curated_at = (
        side.bring("train", place / side.role, names, display.tell) for side in sides
    )
    carved_late = None
    if test is None:
        tests, carved_late = own_test(sides, asked, raw_at, place, names, display)
        tests |= asked_tests(asked, place, names, display, main=False)
    else:
        tests = asked_tests(asked, place, names, display)
    result = _compare(
        asked,
        {"raw": raw_at, "curated": curated_at, **tests},
        place,
        display,
        names,
        carved_late=carved_late,
        synthetic=planted_in(str(raw)),
        notes=_declared(str(curated)),
    )
    return Proof(result, place)


def proof_of(curated: Path) -> Path:
    """Return the folder of the proof of a dataset."""
    return curated.with_name(curated.name + PROOF)


def _name_of(given: str | Path) -> Path:
    """Return the path of a dataset; of one on a store, its name in the folder of the call."""
    path = str(given)
    return Path(path.rstrip("/").rpartition("/")[2]) if files.is_remote(path) else Path(path)


def _place_of(curated: Path, raw: Path) -> Path:
    """Return the folder of a proof against some raw data: not that of the recipe's own proof."""
    name = re.sub(r"[^\w.-]+", "-", f"{curated.name}-against-{raw.name}")
    return proof_of(curated.with_name(name))


def _compare(
    asked: Prove,
    places: dict[str, Path],
    out: Path,
    display: Display,
    names: Names,
    **more: Any,
) -> Result:
    from training import prove

    display.plan_in(out)
    arguments: dict[str, Any] = {name: getattr(asked, name) for name in PASSED_ON}
    arguments |= {role: name for role, name in names.items() if name or role == "label"}
    arguments |= {name: places.get(name) for name in ("raw", "curated", "test", "validation")}
    further = {n.removeprefix("test:"): p for n, p in places.items() if n.startswith("test:")}
    return prove(
        task=asked.task, tests=further, out=out, progress=display.runs, **arguments, **more
    )


def _columns(asked: Prove, read: Columns) -> dict[str, str | None]:
    """Return the columns of content and label; a language model needs no label."""
    found: dict[str, str | None] = {
        asked.content: getattr(asked, asked.content)
        or getattr(read, asked.content)
        or asked.content,
        "label": asked.label,
    }
    if asked.task != "language_modelling":
        found["label"] = asked.label or read.label or "label"
    return found


def _section(values: dict[str, Any]) -> Prove:
    """Return options of the command line as a `prove` section.

    Raises:
        RecipeError: everything that is wrong, by option.
    """
    try:
        return Prove.model_validate(values)
    except ValidationError as error:
        said = [
            f"--{str(one.path[0]).replace('_', '-')}: {one.text}"
            for one in problems_in(error, Prove)
        ]
        raise RecipeError(said) from None


def _manifest_of(out: Path, recipe: Recipe) -> Manifest:
    if not (out / MANIFEST).exists():
        raise UserError(f"{out} is not there or not finished; run the recipe first: curate run")
    ran: Recipe = load_recipe(out / "_curate" / "recipe.yaml")
    changed = [n for n in ("seed", "read", "steps") if getattr(ran, n) != getattr(recipe, n)]
    if changed:
        raise UserError(
            f"{out} was made by a recipe with other {', '.join(changed)}; run the recipe again: "
            "curate run --overwrite"
        )
    return read_manifest(str(out))


def _declared(curated: str) -> list[str]:
    """Return what the recipe that made a dataset declares of it, if we made it."""
    if not files.exists(files.join(curated, MANIFEST)):
        return []
    return list(read_manifest(curated).declared)


def _add_verdict(out: Path, place: Path, sentence: str) -> None:
    """Put the proof into the report of the run, and its sentence on the dataset card."""
    from training import report_fragment

    page = out / "_curate" / "report.html"
    fragment = report_fragment(place / "result.json")
    page.write_text(with_proof(page.read_text("utf-8"), fragment), "utf-8")
    card = out / "README.md"
    card.write_text(with_verdict(card.read_text("utf-8"), sentence), "utf-8")
