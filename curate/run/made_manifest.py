"""The manifest of a run: what was read, what became of it, and with what it was made."""

from __future__ import annotations

import contextlib
import hashlib
import platform
import re
import time
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from curate.recipe.recipe import Recipe
from curate.report.accounting import causes
from pipelines.exchange.shards import read_schema
from pipelines.ledger.balance import balance
from pipelines.output.stored_keys import KEYS_FORMAT, keys_folder, signing_options
from pipelines.readers.read_plan import ReadPlan
from pipelines.rows.hf_features import features_in
from pipelines.steps.corpus import Corpus

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
    summary: dict[str, Any],
    written: list[dict[str, Any]],
    about: About,
) -> dict[str, Any]:
    """Return the manifest of a run whose files are written, after checking that it balances.

    Args:
        recipe: what was run.
        source: the same as text, with all defaults filled in.
        plan: what was read.
        summary: what the planner of the output found.
        written: each file written, with rows and sha256.
        about: how it was run.
    """
    rows, steps = balance(summary["steps"], recipe.steps, written)
    dropped: dict[str, int] = {}
    for cause in causes(steps, rows["in"]):
        if cause.fate == "dropped":
            dropped[cause.reason] = dropped.get(cause.reason, 0) + cause.rows
    return {
        "name": recipe.name,
        "tool": {"name": "curate", "version": metadata.version(DISTRIBUTION)},
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rows": rows,
        "steps": steps,
        "dropped_by_reason": dict(sorted(dropped.items())),
        "shards": [w for w in written if not w["file"].startswith("_curate/")],
        "ledger": [w for w in written if w["file"].startswith("_curate/ledger/")],
        **_keys(recipe, written),
        "columns": summary["columns"],
        "features": features_in(read_schema(summary["schema"])),
        "profile": {"before": summary["before"], "after": summary["after"]},
        "notes": summary["notes"],
        "declared": list(recipe.notes),
        "external_data": _external_data(recipe),
        "recipe": {"sha256": hashlib.sha256(source.encode()).hexdigest(), "file": "recipe.yaml"},
        "input": {
            "fingerprint": plan.fingerprint,
            "files": len(plan.files),
            "bytes": sum(file.size for file in plan.files),
            "limit": plan.limit,
        },
        "seed": recipe.seed,
        "runner": about.runner,
        "workers": about.workers,
        "versions": versions(),
        "seconds": round(time.perf_counter() - about.started, 3),
    }


def _external_data(recipe: Recipe) -> str:
    """Name the data from outside the corpus that the steps used; a proof has to say it."""
    found = [outside for step in recipe.steps if (outside := step.outside())]
    return "; ".join(dict.fromkeys(found)) or "none"


def _keys(recipe: Recipe, written: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what dedup steps stored for later runs, and by which options; nothing if nothing."""
    found = []
    for number, step in enumerate(recipe.steps, start=1):
        if recipe.write.keys and isinstance(step, Corpus) and step.stores:
            mine = [w for w in written if w["file"].startswith(f"{keys_folder(number, step)}/")]
            options = signing_options(recipe.steps[:number])
            about = {"step": number, "op": step.op, "options": options, "format": KEYS_FORMAT}
            found.append({**about, "files": mine})
    return {"keys": found} if found else {}


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
