"""Run a recipe from the input to a finished output folder."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curate.card import dataset_card
from curate.errors import RunFailed, TooManyQuarantined
from curate.examples import examples
from curate.output import write_dataset_files, write_json, write_text
from curate.recipe import Recipe, quarantine_budget, recipe_yaml
from curate.report import render_report
from pipelines import engine, files
from pipelines.account import balance
from pipelines.plan import TASK_BYTES, ReadPlan, fetch, make_plan
from pipelines.spool import PLAN_FILE

DISTRIBUTION = "curate-proof"
SMALLEST_TASK = 8 << 20
BYTES_A_PROCESS = 1 << 30
"""Input for which one more local process pays for its start."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class RunResult:
    """Where a run's output is and what it did."""

    out: Path
    manifest: dict[str, Any]
    report: Path


def run_recipe(
    recipe: Recipe,
    *,
    runner: str | None = None,
    workers: int | None = None,
    limit: int | None = None,
    overwrite: bool = False,
    runner_options: Sequence[str] = (),
    progress: Progress | None = None,
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
        runner_options: Beam pipeline options, `--name=value` each.
        progress: told in a few words what is going on.

    Raises:
        FileExistsError: the output is there and may not be replaced.
        TooManyQuarantined: more rows were quarantined than `max_quarantined` allows.
        RunFailed: no row is left.
    """
    start = time.perf_counter()
    tell = progress or (lambda _: None)
    out = _absolute(recipe.write.path)
    overwrite = overwrite or recipe.write.overwrite
    if files.exists(out) and not overwrite:
        raise FileExistsError(
            f"{recipe.write.path} is already there; use --overwrite to replace it or --out for "
            "another place"
        )
    tell("listing the input")
    runner = runner or recipe.run.runner
    plan, workers = _plan(recipe, runner, workers, limit)
    work = _work_folder(out, recipe, plan)
    files.make_dirs(work)
    plan.save(f"{work}/{PLAN_FILE}")
    job = engine.Job(
        read=recipe.read,
        steps=recipe.steps,
        seed=recipe.seed,
        work=work,
        tasks=len(plan.tasks),
        spools=any(task.spool for task in plan.tasks),
        required=required_roles(recipe),
        shard_bytes=recipe.write.shard_size,
    )
    tell(f"running {len(recipe.steps)} steps over {len(plan.files):,} files")
    options = [f"--{name}={value}" for name, value in recipe.run.options.items()]
    engine.run(job, runner, workers, [*options, *runner_options])
    tell("checking the balance and writing the report")
    about = {"runner": runner, "workers": workers, "started": start}
    manifest = _finish(recipe, plan, work, about)
    return _publish(recipe, out, work, manifest)


def required_roles(recipe: Recipe) -> tuple[str, ...]:
    """Return the roles a record must fill to be read: what steps need, and a text or an image."""
    needs = {role for step in recipe.steps for role in step.roles()}
    explicit = {role for role in ("text", "image") if getattr(recipe.read, role) is not None}
    roles = needs | explicit
    if not roles & {"text", "image"}:
        roles.add("image" if recipe.read.format == "images" else "text")
    return tuple(sorted(roles))


def _plan(
    recipe: Recipe, runner: str, workers: int | None, limit: int | None
) -> tuple[ReadPlan, int]:
    """Plan what is read, in tasks small enough that every worker has some."""
    chosen = workers or (None if recipe.run.workers == "auto" else recipe.run.workers)
    plan = make_plan(recipe.read, limit=limit)
    size = sum(file.size for file in plan.files)
    if chosen is None:
        most = os.cpu_count() or 1
        chosen = most if runner == "dask" else min(most, 1 + size // BYTES_A_PROCESS)
    target = min(TASK_BYTES, max(SMALLEST_TASK, size // (chosen * 4)))
    if chosen > 1 and limit is None and target < TASK_BYTES:
        plan = make_plan(recipe.read, target_bytes=target)
    return plan, chosen


def _work_folder(out: str, recipe: Recipe, plan: ReadPlan) -> str:
    """Return the folder of this run: another recipe, input or cut of it is another folder."""
    decides = {
        "recipe": recipe.model_dump(mode="json", include={"seed", "read", "steps", "write"}),
        "input": plan.fingerprint(),
        "tasks": len(plan.tasks),
        "code": _code_digest(),
    }
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:12]
    folder, _, name = out.rpartition("/")
    return f"{folder}/.{name}.work-{digest}"


def _code_digest() -> str:
    """Return a hash of the code of the data path: what another version left is not taken up."""
    folder = Path(engine.__file__).parent
    digest = hashlib.sha256(metadata.version(DISTRIBUTION).encode())
    for source in sorted(folder.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _finish(recipe: Recipe, plan: ReadPlan, work: str, about: dict[str, Any]) -> dict[str, Any]:
    """Check the balance, write all files around the shards; returns the manifest."""
    summary = json.loads(files.read_bytes(f"{work}/summary.json"))
    written = json.loads(files.read_bytes(f"{work}/written.json"))
    rows, steps = balance(summary["steps"], recipe.steps, written)
    out = f"{work}/out"
    features = engine.output_features(summary)
    splits = write_dataset_files(out, written, features)
    source = recipe_yaml(recipe)
    reasons: dict[str, int] = {}
    for step in steps:
        for reason, count in step["reasons"].items():
            if reason not in ("unreadable", "raised"):
                reasons[reason] = reasons.get(reason, 0) + count
    manifest = {
        "name": recipe.name,
        "tool": {"name": "curate", "version": metadata.version(DISTRIBUTION)},
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": rows,
        "steps": steps,
        "dropped_by_reason": dict(sorted(reasons.items())),
        "splits": splits,
        "shards": [w for w in written if not w["file"].startswith("_curate/")],
        "ledger": [w for w in written if w["file"].startswith("_curate/")],
        "columns": summary["columns"],
        "features": features,
        "profile": {"before": summary["before"], "after": summary["after"]},
        "notes": summary["notes"],
        "declared": list(recipe.notes),
        "recipe": {"sha256": hashlib.sha256(source.encode()).hexdigest(), "file": "recipe.yaml"},
        "input": {
            "fingerprint": plan.fingerprint(),
            "files": len(plan.files),
            "bytes": sum(file.size for file in plan.files),
            "limit": plan.limit,
        },
        "seed": recipe.seed,
        "runner": about["runner"],
        "workers": about["workers"],
        "versions": versions(),
        "seconds": round(time.perf_counter() - about["started"], 3),
    }
    ledger = _read_ledger(out, manifest)
    shown = examples(ledger, lambda keys: fetch(recipe.read, plan, keys), manifest["columns"])
    write_text(f"{out}/_curate/recipe.yaml", source)
    report = render_report({**manifest, "recipe_yaml": source}, shown)
    write_text(f"{out}/_curate/report.html", report)
    write_text(f"{out}/README.md", dataset_card(manifest, source))
    write_json(f"{out}/_curate/manifest.json", manifest)
    return manifest


def _publish(recipe: Recipe, out: str, work: str, manifest: dict[str, Any]) -> RunResult:
    """Move the finished folder to its place, or beside it when the run must not be used."""
    rows = manifest["rows"]
    too_many = rows["quarantined"] > quarantine_budget(recipe, rows["in"])
    place = f"{out}.rejected" if too_many or not manifest["shards"] else out
    files.remove_tree(place)
    files.rename(f"{work}/out", place)
    files.remove_tree(work)
    if too_many:
        raise TooManyQuarantined(
            rows["quarantined"], rows["in"], recipe.max_quarantined, _culprits(place, manifest)
        )
    if place != out:
        raise RunFailed(
            f"no row is left of {rows['in']:,}; {place}/_curate/report.html shows what each step "
            "dropped"
        )
    return RunResult(Path(out), manifest, Path(out) / "_curate" / "report.html")


def _read_ledger(out: str, manifest: dict[str, Any]) -> pa.Table:
    tables = []
    for entry in manifest["ledger"]:
        with files.open_arrow(f"{out}/{entry['file']}") as source:
            tables.append(pq.read_table(source))
    return pa.concat_tables(tables)


def _culprits(out: str, manifest: dict[str, Any]) -> list[str]:
    """Return the first quarantined rows in words."""
    ledger = _read_ledger(out, manifest)
    gone = ledger.filter(pa.compute.equal(ledger["fate"], "quarantined")).slice(0, 5).to_pylist()
    return [f"{r['file']}: {r['where']}: {r['error']}" for r in gone]


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that shape the output."""
    names = (DISTRIBUTION, "apache-beam", "numpy", "pyarrow", "pydantic", "faiss-cpu")
    found = {"python": platform.python_version()}
    for name in names:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _absolute(path: str) -> str:
    return path if files.is_remote(path) else str(Path(path.removeprefix("file://")).absolute())
