"""Run a recipe from the input to a finished output folder."""

import hashlib
import inspect
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from curate.errors import InputDamaged, RunFailed, TooManyQuarantined
from curate.manifest import MANIFEST, Manifest
from curate.recipe.recipe import Recipe, quarantine_budget, recipe_yaml
from curate.report.accounting import causes, damage
from curate.report.card import dataset_card
from curate.report.examples import Ledger, examples, quarantined, warned_examples
from curate.report.report import render_report
from curate.run.ids import doubled_ids
from curate.run.leftovers import leftovers, taken_up, work_folder
from curate.run.lock import owned
from curate.run.losses import losses
from curate.run.made_manifest import About, build_manifest, libraries
from curate.run.output import (
    check_files,
    check_place,
    place_output,
    write_dataset_files,
    write_json_file,
    write_text,
)
from curate.run.run_warnings import shown_keys
from pipelines import files, listings
from pipelines.engine import graph as engine
from pipelines.engine.spool import PLAN_FILE, SPOOL_BYTES, task_of
from pipelines.errors import UserError, counted
from pipelines.ledger.balance import Unbalanced
from pipelines.ledger.entries import UNREADABLE, LedgerRecord
from pipelines.output.formats import FORMATS
from pipelines.output.stored_keys import key_files
from pipelines.output.summary import read_summary, read_written
from pipelines.readers.read_plan import TASK_BYTES, ReadPlan, changed_files, fetch, make_plan
from pipelines.readers.strangers import advice
from pipelines.steps.corpus import earlier_list
from pipelines.steps.dedup.against import Dedup
from pipelines.steps.step import Step
from pipelines.store_errors import STORE_ERRORS
from pipelines.stores import reached_by

_BEGINNING = 4096
"""Bytes of a file by which its kind is guessed."""
CULPRITS = 5
"""Quarantined rows named when there are too many."""
SMALLEST_TASK = 8 << 20
BYTES_PER_PROCESS = 512 << 20
"""Input for which one more local process pays for its start."""

Progress = Callable[[str], None]
Earlier = dict[int, list[tuple[str, str]]]
"""Files of keys of earlier runs, as (path, sha256), by number of the step held against them."""


@dataclass(frozen=True)
class RunResult:
    """Where a run's output is and what it did."""

    out: str
    manifest: Manifest
    report: str


def run_recipe(
    recipe: Recipe,
    *,
    runner: str | None = None,
    workers: int | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    cache: str | None = None,
    runner_options: Sequence[str] = (),
    progress: Progress | None = None,
    say: Progress | None = None,
) -> RunResult:
    """Run a recipe; the output folder appears when all of it is there, and not before.

    Work goes to a hidden folder beside the output. A run that was killed is taken up there by the
    next run of the same recipe on the same input; it is removed when the output is complete.

    Args:
        recipe: what to run.
        runner: overrides the recipe's `run.runner`.
        workers: overrides `run.workers`.
        limit: read only the first so many records.
        overwrite: replace an output that is there.
        cache: overrides `run.cache`: folder in which working shards and signatures stay for later
            runs on the same input whose steps begin alike.
        runner_options: Beam pipeline options, `--name=value` each.
        progress: told in a few words what is going on.
        say: told what a person should read: what is taken up, what lies about, what hangs.

    Raises:
        FileExistsError: the output is there and may not be replaced.
        TooManyQuarantined: more rows were quarantined than `max_quarantined` allows.
        RunFailed: no row is left.
        UserError: another run is writing this output.
    """
    start = time.perf_counter()
    tell, say = progress or (lambda _: None), say or (lambda _: None)
    out = absolute(recipe.write.path)
    overwrite = overwrite or recipe.write.overwrite
    paths = [recipe.read.path] if isinstance(recipe.read.path, str) else recipe.read.path
    inputs = [absolute(path) for path in paths]
    given = (runner, workers, limit, cache, runner_options)
    with reached_by(recipe.storage):
        check_place(out, inputs, overwrite)
        _make_folder(out.rpartition("/")[0], f"write.path {recipe.write.path}")
        with owned(out):
            check_place(out, inputs, overwrite)  # once more: another run may have ended just now
            return _run(recipe, out, *given, tell, say, start)


def _run(
    recipe: Recipe,
    out: str,
    runner: str | None,
    workers: int | None,
    limit: int | None,
    cache: str | None,
    runner_options: Sequence[str],
    tell: Progress,
    say: Progress,
    start: float,
) -> RunResult:
    """Run a recipe whose output nobody else writes."""
    tell("listing the input")
    runner = runner or recipe.run.runner
    plan, workers = plan_reading(recipe, runner, workers, limit)
    earlier = _earlier(recipe)
    given = _input(recipe, plan, earlier)
    work = _work_folder(out, recipe, given)
    cache = cache or recipe.run.cache
    shelf = f"{absolute(cache)}/{_digest(given)}" if cache else work
    for remark in (*taken_up(work), *_left_over(out, work)):
        say(remark)
    _make_folder(work, f"write.path {recipe.write.path}")
    _make_folder(shelf, f"cache {cache}")
    plan.save(f"{shelf}/{PLAN_FILE}")
    for number, keys in earlier.items():
        listed = json.dumps([path for path, _ in keys]).encode()
        files.write_bytes_atomically(earlier_list(work, number), listed)
    job = engine.Job(
        read=recipe.read,
        steps=recipe.steps,
        seed=recipe.seed,
        work=work,
        store_keys=recipe.write.keys,
        format=recipe.write.format,
        earlier=tuple((number, len(keys)) for number, keys in earlier.items()),
        storage=recipe.storage,
        cache=shelf if cache else "",
        tasks=len(plan.tasks),
        spools=any(task.spool for task in plan.tasks),
        shards=sum(recipe.read.expanded(file) for file in plan.files) // SPOOL_BYTES,
        required=required_roles(recipe),
        shard_bytes=recipe.write.shard_size,
    )
    tell(f"running {len(recipe.steps)} steps over {len(plan.files):,} files")
    options = [f"--{name}={value}" for name, value in recipe.run.options.items()]
    options += runner_options
    engine.run(job, runner, workers, options, stalled_after=recipe.run.stalled_after, say=say)
    tell("checking the balance and writing the report")
    about = About(runner, workers, start)
    manifest = _finish(recipe, plan, work, about)
    return _publish(recipe, out, work, plan, manifest)


def _make_folder(folder: str, named: str) -> None:
    try:
        files.make_dirs(folder)
    except OSError as error:
        raise UserError(f"{named}: cannot be created ({error.strerror})") from error


def required_roles(recipe: Recipe) -> tuple[str, ...]:
    """Return the roles a record must fill to be read: what steps need, and a text or an image."""
    needs = {role for step in recipe.steps for role in step.roles()}
    explicit = {role for role in ("text", "image") if getattr(recipe.read, role) is not None}
    roles = needs | explicit
    if not roles & {"text", "image"}:
        roles.add("image" if recipe.read.format == "images" else "text")
    return tuple(sorted(roles))


def plan_reading(
    recipe: Recipe, runner: str, workers: int | None, limit: int | None
) -> tuple[ReadPlan, int]:
    """Plan what is read, in tasks small enough that every worker has some; tell the workers."""
    plan = make_plan(recipe.read, limit=limit)
    size = sum(file.size for file in plan.files)
    chosen, target = cut_of(size, recipe, runner, workers)
    if limit is None and target < TASK_BYTES:
        plan = make_plan(recipe.read, target_bytes=target, looked=plan.looked)
    return plan, chosen


def cut_of(size: int, recipe: Recipe, runner: str, workers: int | None) -> tuple[int, int]:
    """Return how many workers read files of `size` bytes, and in tasks of how many bytes."""
    chosen = workers or (None if recipe.run.workers == "auto" else recipe.run.workers)
    if chosen is None:
        most = os.cpu_count() or 1
        chosen = most if runner == "dask" else min(most, 1 + size // BYTES_PER_PROCESS)
    if chosen == 1:
        return 1, TASK_BYTES
    return chosen, min(TASK_BYTES, max(SMALLEST_TASK, size // (chosen * 4)))


def _work_folder(out: str, recipe: Recipe, given: dict[str, Any]) -> str:
    """Return the folder of this run: another recipe, input or cut of it is another folder."""
    decides = recipe.model_dump(mode="json", include={"steps", "write"})
    return work_folder(out, _digest({**decides, **given}))


def _left_over(out: str, work: str) -> Iterator[str]:
    """Say what runs of other recipes or inputs left beside the output."""
    if found := leftovers(out, but=work):
        size = sum(one.bytes for one in found) / 1e6
        yield (
            f"{counted(len(found), 'work folder')} of other recipes or inputs beside the output "
            f"({size:,.1f} MB); `curate clean {out}` removes what is there"
        )


def _earlier(recipe: Recipe) -> Earlier:
    """Return, by number of the step, the files of keys of earlier runs and their sha256."""
    found = {}
    for i, step in enumerate(recipe.steps):
        if isinstance(step, Dedup) and step.against:
            runs = (step.against,) if isinstance(step.against, str) else step.against
            found[i + 1] = key_files([absolute(run) for run in runs], recipe.steps[: i + 1])
    return found


def _input(recipe: Recipe, plan: ReadPlan, earlier: Earlier) -> dict[str, Any]:
    """Return what decides the rows that enter the first step, and by which code."""
    return {
        "keys": recipe.write.keys,
        "also": [
            (file.name, file.size, file.stamp)
            for step in recipe.steps
            for path in step.reads()
            for file in listings.list_files(path)
        ],
        "earlier": [sha for keys in earlier.values() for _, sha in keys],
        "recipe": recipe.model_dump(mode="json", include={"seed", "read"}),
        "required": required_roles(recipe),
        "input": plan.fingerprint,
        "cut": [[(p.file, p.start, p.stop) for p in task.pieces] for task in plan.tasks],
        "versions": [platform.python_version(), *libraries()],
        "code": _code_digest(recipe.steps),
    }


def _digest(decides: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()[:12]


def _code_digest(steps: Iterable[Step]) -> str:
    """Return a hash of the code of the data path: what another version left is not taken up."""
    sources = set(Path(engine.__file__).parents[1].rglob("*.py"))
    sources |= {Path(found) for step in steps if (found := inspect.getsourcefile(type(step)))}
    digest = hashlib.sha256()
    for source in sorted(sources):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _finish(recipe: Recipe, plan: ReadPlan, work: str, about: About) -> Manifest:
    """Check the balance, write all files around the shards; returns the manifest."""
    out = f"{work}/out"
    source = recipe_yaml(recipe)
    summary, written = read_summary(work), read_written(work)
    if {task_of(number) for number in summary.shards} != set(range(len(plan.tasks))):
        raise Unbalanced(f"{len(plan.tasks)} tasks were planned, not all of them came to an end")
    manifest = build_manifest(recipe, source, plan, summary, written, about)
    if FORMATS[recipe.write.format].mapped:
        write_dataset_files(out, written, manifest.features)
    if recipe.read.id is not None or manifest.columns.id is not None:
        doubled = doubled_ids(ledger_of(out, manifest), manifest.rows.entered)
        manifest = manifest.model_copy(update={"notes": (*manifest.notes, *doubled)})
    lost = losses(ledger_of(out, manifest), recipe.read, plan) if _any_lost(manifest) else []
    broken = (*map(str, lost), *changed_files(recipe.read, plan))
    if broken:
        declared = (damage(broken), *manifest.declared)
        missing = sum(loss.rows for loss in lost)
        more = {"damaged_files": broken, "missing_rows": missing, "declared": declared}
        manifest = manifest.model_copy(update=more)

    def fetched(keys: list[int]) -> pa.Table:
        return fetch(recipe.read, plan, keys)

    ledger = ledger_of(out, manifest)
    shown = examples(ledger, fetched, manifest.columns)
    wanted = [(note, shown_keys(note, summary.tallies)) for note in manifest.notes if note.warning]
    warned = warned_examples(wanted, shown, ledger, fetched, manifest.columns)
    write_text(f"{out}/_curate/recipe.yaml", source)
    report = render_report(manifest, source, shown, warned=warned)
    write_text(f"{out}/_curate/report.html", report)
    write_text(f"{out}/README.md", dataset_card(manifest, source))
    write_json_file(f"{out}/{MANIFEST}", manifest.as_json())
    return manifest


def _any_lost(manifest: Manifest) -> bool:
    return any(UNREADABLE in step.reasons for step in manifest.steps[:1])


def _publish(recipe: Recipe, out: str, work: str, plan: ReadPlan, manifest: Manifest) -> RunResult:
    """Move the finished folder to its place, or beside it when the run must not be used."""
    rows, broken = manifest.rows, manifest.damaged_files
    refused = bool(broken) and recipe.read.damaged == "refuse"
    too_many = rows.quarantined > quarantine_budget(recipe, rows.entered)
    place = f"{out}.rejected" if too_many or refused or not manifest.shards else out
    place_output(f"{work}/out", place)
    check_files(place, manifest)
    files.remove_tree(work)
    if refused:
        raise InputDamaged(damage(broken or ()), place)
    if too_many:
        first = quarantined(ledger_of(place, manifest), CULPRITS)
        culprits = [f"{r.file}: {r.where}: {r.error}" for r in first]
        culprits += _advice(recipe, plan, first[0])
        raise TooManyQuarantined(
            rows.quarantined, rows.entered, recipe.max_quarantined, culprits, place
        )
    if place != out:
        raise RunFailed(
            f"no row is left of {rows.entered:,}{_most_frequent(place, manifest)}; "
            f"{place}/_curate/report.html shows what each step took out"
        )
    return RunResult(out, manifest, f"{out}/_curate/report.html")


def _advice(recipe: Recipe, plan: ReadPlan, record: LedgerRecord) -> list[str]:
    """Return what a person can do about a file that is not what it was taken for."""
    path = next((file.path for file in plan.files if file.name == record.file), None)
    if path is None or record.step:
        return []
    try:
        said = advice(files.read_bytes(path, 0, _BEGINNING), recipe.read.format, record.error or "")
    except (OSError, *STORE_ERRORS):
        return []
    return [said] if said else []


def _most_frequent(place: str, manifest: Manifest) -> str:
    """Return what took out most rows, with an example where they could not be read."""
    found = sorted(causes(manifest.steps, manifest.rows.entered), key=lambda c: -c.rows)
    if not found:
        return ""
    said = f": {found[0].rows:,} {found[0].reason} at step {found[0].step} ({found[0].op})"
    if found[0].fate == "quarantined":
        first = quarantined(ledger_of(place, manifest), 1)[0]
        said += f", such as {first.file}: {first.where}: {first.error}"
    return said


def ledger_of(out: str, manifest: Manifest) -> Ledger:
    """Return the ledger of an output folder."""
    return Ledger(out, tuple(one.file for one in manifest.ledger))


def absolute(path: str) -> str:
    """Return a URL without a slash at its end, and a path from the root."""
    if files.is_remote(path):
        return path.rstrip("/")
    return str(Path(path.removeprefix("file://")).absolute())
