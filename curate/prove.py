"""Prove what a run was worth: bring raw, curated and test data side by side and compare."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from curate.recipe import Recipe, Write, load_recipe
from curate.report import with_proof
from curate.run import run_recipe
from pipelines.readers import Read, guess_format

PROOF = ".proof"
"""The proof of the output `out` lies in `out.proof`, beside it: replacing an output must not erase
what was planned and run before, and the test data stays out of what is published."""

CONTENT = {"text_classification": "text", "image_classification": "image"}
"""Role of the column each task learns from."""

BUDGET = 0.5
"""Share of rows that may be quarantined where no recipe says so."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Proof:
    """What a comparison found."""

    supported: bool
    verdict: str
    """One sentence."""
    report: Path


def prove_recipe(recipe: Recipe, *, progress: Tell | None = None) -> Proof:
    """Compare the output of a recipe that has run with its raw input.

    Raises:
        ValueError: the recipe has no `prove` section, has not run, or has changed since.
    """
    asked = recipe.prove
    if asked is None:
        raise ValueError("the recipe has no `prove` section; add `prove: {task: …, test: …}`")
    curated = Path(recipe.write.path)
    manifest = _manifest_of(curated, recipe)
    place = curated.with_name(curated.name + PROOF)
    columns = manifest["columns"]
    names: dict[str, str | None] = {
        role: getattr(asked, role) or columns.get(role) or role
        for role in (CONTENT[asked.task], "label")
    }
    limit = manifest["input"]["limit"]
    raw = _bring(recipe.read, place / "raw", recipe.max_quarantined, progress, limit=limit)
    read = _read(asked.test, asked.format, names)
    test = _bring(read, place / "test", recipe.max_quarantined, progress)
    proof = _compare(
        {"raw": raw, "curated": curated, "test": test},
        place,
        progress,
        task=asked.task,
        **names,
        seeds=asked.seeds,
        steps=asked.steps,
        smallest_effect=asked.smallest_effect,
        notes=recipe.notes,
    )
    _add_to_report(curated, place)
    return proof


def prove_directories(
    *,
    raw: Path,
    curated: Path,
    test: Path,
    task: str,
    out: Path,
    progress: Tell | None = None,
    **options: Any,
) -> Proof:
    """Compare any two datasets of which one is said to be better.

    Args:
        raw: folder or file of the data before, in any format a recipe reads.
        curated: the data after.
        test: held-out data.
        task: `text_classification` or `image_classification`.
        out: folder of the proof.
        progress: told in a few words what is going on.
        options: `text`, `image`, `label` (columns), `seeds`, `steps`.
    """
    names: dict[str, Any] = {r: options[r] for r in ("text", "image", "label") if r in options}
    needed = CONTENT[task]
    places = {}
    for name, given in (("raw", raw), ("curated", curated), ("test", test)):
        if not given.exists():
            raise ValueError(f"--{name} {given}: there is no such file or folder")
        if _is_dataset(given):
            places[name] = given
            continue
        read = _read(str(given), None, {**names, needed: names.get(needed)})
        places[name] = _bring(read, out / name, BUDGET, progress)
    return _compare(places, out, progress, task=task, **options)


def _compare(places: dict[str, Any], out: Path, progress: Tell | None, **options: Any) -> Proof:
    from training import prove

    def told(done: int, total: int, what: str) -> None:
        if progress:
            progress(f"proof: {done} of {total} runs; {what}")

    result = prove(**places, out=out, progress=told, **options)
    return Proof(result.supported, result.sentence, out / "report.html")


def _bring(
    read: Any, place: Path, budget: float, progress: Tell | None, limit: int | None = None
) -> Path:
    """Write what `read` reads, unchanged, as a dataset folder; returns the folder."""
    plain = Recipe(
        name=place.name,
        read=read,
        max_quarantined=budget,
        write=Write(path=str(place), overwrite=True),
    )
    if progress:
        progress(f"reading the {place.name} data")
    run_recipe(plain, limit=limit, workers=1)
    return place


def _manifest_of(out: Path, recipe: Recipe) -> dict[str, Any]:
    path = out / "_curate" / "manifest.json"
    if not path.exists():
        raise ValueError(f"{out} is not there or not finished; run the recipe first: curate run")
    ran: Recipe = load_recipe(out / "_curate" / "recipe.yaml")
    changed = [n for n in ("seed", "read", "steps") if getattr(ran, n) != getattr(recipe, n)]
    if changed:
        raise ValueError(
            f"{out} was made by a recipe with other {', '.join(changed)}; run the recipe again: "
            "curate run --overwrite"
        )
    return dict(json.loads(path.read_bytes()))


def _is_dataset(folder: Path) -> bool:
    """Tell whether a folder is laid out as `save_to_disk` does."""
    return any((folder / name).exists() for name in ("dataset_dict.json", "state.json"))


def _read(path: str, given: str | None, names: dict[str, str | None]) -> Any:
    """Return the `read` section for a path, its format guessed from the file names."""
    found = given or guess_format(path)
    values = {"format": found, "path": path}
    fixed = {"images": ("text", "image", "label"), "text": ("text", "image")}.get(found, ())
    values |= {role: name for role, name in names.items() if name and role not in fixed}
    return TypeAdapter(Read).validate_python(values)


def _add_to_report(out: Path, place: Path) -> None:
    """Put the proof's verdict and plot into the report of the run."""
    from training import report_fragment

    page = out / "_curate" / "report.html"
    fragment = report_fragment(place / "result.json")
    page.write_text(with_proof(page.read_text("utf-8"), fragment), "utf-8")
