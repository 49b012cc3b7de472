"""What dedup steps store of each row for later runs, and how those find it.

A run with `write: {keys: true}` stores, for each dedup step, what the step needs to compare a row:
`_curate/keys/<step>-<op>/*.parquet`, one row per entering row that the step does not withdraw: by
default, one that it dropped for being similar to another.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pipelines import files
from pipelines.errors import UserError
from pipelines.steps.corpus import Corpus
from pipelines.steps.step import Step

MANIFEST = "_curate/manifest.json"


KEYS_FORMAT = 2
"""Raised when tokens, shingles or hashes change, so that older keys would match nothing."""


def key_files(runs: Sequence[str], steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Return (path, sha256) of all files of keys that some runs stored for the last of some steps.

    Raises:
        UserError: a run is not there, stored no keys, or keys that do not compare.
    """
    found = []
    for run in runs:
        path = f"{run.rstrip('/')}/{MANIFEST}"
        if not files.exists(path):
            raise UserError(
                f"against: {run}: no {MANIFEST} there; name the output folder of a finished run"
            )
        manifest = json.loads(files.read_bytes(path))
        entry = _entry_of(manifest.get("keys") or [], steps, run)
        for one in entry["files"]:
            path = f"{run.rstrip('/')}/{one['file']}"
            if not files.exists(path):
                raise UserError(f"against: {run}: {one['file']} is in its manifest and not there")
            found.append((path, one["sha256"]))
    return found


def _entry_of(
    entries: Sequence[Mapping[str, Any]], steps: Sequence[Step], run: str
) -> Mapping[str, Any]:
    op, again = steps[-1].op, "run its recipe again with `write: {keys: true}`"
    same_op = [entry for entry in entries if entry["op"] == op]
    if not same_op:
        have = ", ".join(dict.fromkeys(entry["op"] for entry in entries)) or "none"
        raise UserError(f"against: {run}: it stored no keys of {op} (stored: {have}); {again}")
    options = signing_options(steps)
    for entry in same_op:
        if (found := entry.get("format")) != KEYS_FORMAT:
            raise UserError(
                f"against: {run}: its keys are of format {found}, this version has "
                f"{KEYS_FORMAT}; {again}"
            )
        if entry["options"] == options:
            return entry
    other = same_op[0]["options"]
    names = sorted(name for name in options if options[name] != other.get(name))
    told = ", ".join(f"{name}: {other.get(name)!r} there, {options[name]!r} here" for name in names)
    raise UserError(f"against: {run}: its {op} signed with other options ({told})")


def keys_folder(number: int, step: Corpus) -> str:
    """Return the folder of an output in which a step stores keys."""
    return f"_curate/keys/{number:02d}-{step.op}"


def signing_options(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the options that decide what the last of some steps stores of a row.

    Among them, as `made_by`, those of the step that made its column of vectors.
    """
    step = steps[-1]
    without = {"op", "column", "prefer", "order", "keep", *getattr(step, "after_sign", ())}
    without -= {"link"}  # decides which rows' keys are stored
    options = dict(json.loads(step.model_dump_json(exclude=without)))
    column = getattr(step, "column", None)
    makers = [maker for maker in steps[:-1] if column in maker.adds()]
    if column is not None:
        made = [json.loads(maker.model_dump_json(exclude={"column"})) for maker in makers[-1:]]
        options["made_by"] = made[0] if made else None
    return options
