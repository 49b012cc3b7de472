"""The manifest of a run: what was read, what became of it, and with what it was made."""

import contextlib
import hashlib
import platform
import re
import time
from collections import Counter
from dataclasses import dataclass
from importlib import metadata

from curate.manifest import BeforeAndAfter, InputFiles, Manifest, RecipeFile, StoredKeys, Tool
from curate.recipe.recipe import Recipe
from curate.report.accounting import causes
from curate.run.run_warnings import run_warnings
from pipelines.exchange.shards import read_schema
from pipelines.ledger.counts import Note, StepCounts
from pipelines.output.stored_keys import KEYS_FORMAT, keys_folder, signing_options
from pipelines.output.summary import LEDGER, OURS, OutputSummary, balanced, rows_by_split
from pipelines.output.written import WrittenFile
from pipelines.readers.read_plan import ReadPlan
from pipelines.rows.hf_features import features_in
from pipelines.steps.corpus import Corpus
from pipelines.steps.step import Step

DISTRIBUTION = "curate-proof"


@dataclass(frozen=True)
class About:
    """How a run was made."""

    runner: str
    workers: int
    started: float
    """By `time.perf_counter`."""


def build_manifest(
    recipe: Recipe,
    source: str,
    plan: ReadPlan,
    summary: OutputSummary,
    written: tuple[WrittenFile, ...],
    about: About,
) -> Manifest:
    """Return the manifest of a run whose files are written, after checking that it balances.

    Args:
        recipe: what was run.
        source: the same as text, with all defaults filled in.
        plan: what was read.
        summary: what the planner of the output found.
        written: each file written, with rows and sha256.
        about: how it was run.
    """
    rows, steps = balanced(summary, written, [step.op for step in recipe.steps])
    warnings = run_warnings(steps, recipe.steps, summary.tallies, summary.before, summary.columns)
    dropped = Counter[str]()
    for cause in causes(steps, rows.entered):
        if cause.fate == "dropped":
            dropped[cause.reason] += cause.rows
    return Manifest(
        name=recipe.name,
        tool=Tool(name="curate", version=metadata.version(DISTRIBUTION)),
        created=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        rows=rows,
        steps=tuple(map(_in_words, steps, (None, *recipe.steps))),
        dropped_by_reason=dict(sorted(dropped.items())),
        shards=tuple(one for one in written if not one.file.startswith(OURS)),
        ledger=tuple(one for one in written if one.file.startswith(LEDGER)),
        keys=_keys(recipe, written) or None,
        columns=summary.columns,
        features=features_in(read_schema(summary.schema)),
        profile=BeforeAndAfter(before=summary.before, after=summary.after),
        notes=(*map(_remark, plan.looked.said()), *summary.notes, *warnings),
        declared=recipe.notes,
        external_data=_external_data(recipe),
        recipe=RecipeFile(sha256=hashlib.sha256(source.encode()).hexdigest(), file="recipe.yaml"),
        input=InputFiles(
            fingerprint=plan.fingerprint,
            files=len(plan.files),
            bytes=sum(file.size for file in plan.files),
            limit=plan.limit,
        ),
        seed=recipe.seed,
        runner=about.runner,
        workers=about.workers,
        versions=versions(),
        seconds=round(time.perf_counter() - about.started, 3),
        splits=rows_by_split(written),
    )


def _remark(told: tuple[str, int]) -> Note:
    return Note.model_validate({"op": "read", "note": told[0], "count_sum": told[1]})


def _in_words(counts: StepCounts, step: Step | None) -> StepCounts:
    """Let a step say what it measured about itself."""
    if not isinstance(step, Corpus) or not counts.measured:
        return counts
    return counts.model_copy(update={"said": step.in_words(counts.measured)})


def _external_data(recipe: Recipe) -> str:
    """Name the data from outside the corpus that the steps used; a proof has to say it."""
    found = [outside for step in recipe.steps if (outside := step.outside())]
    return "; ".join(dict.fromkeys(found)) or "none"


def _keys(recipe: Recipe, written: tuple[WrittenFile, ...]) -> tuple[StoredKeys, ...]:
    """Return what dedup steps stored for later runs, and by which options."""
    found = []
    for number, step in enumerate(recipe.steps, start=1):
        if recipe.write.keys and isinstance(step, Corpus) and step.stores:
            folder = f"{keys_folder(number, step)}/"
            keys = StoredKeys(
                step=number,
                op=step.op,
                options=signing_options(recipe.steps[:number]),
                format=KEYS_FORMAT,
                files=tuple(one for one in written if one.file.startswith(folder)),
            )
            found.append(keys)
    return tuple(found)


def libraries() -> list[str]:
    """Return name and version of every library there is that this package may use."""
    found = []
    for requirement in metadata.requires(DISTRIBUTION) or ():
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        with contextlib.suppress(metadata.PackageNotFoundError):
            found.append(f"{name} {metadata.version(name)}")
    return sorted(set(found))


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
