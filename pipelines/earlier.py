"""Earlier runs: what their dedup steps stored of each row, found and read again.

A run with `write: {keys: true}` stores, for each dedup step, what the step needs to compare a row:
`_curate/keys/<step>-<op>/*.parquet`, a row an entering row, whatever became of it. A later run that
is held `against` it posts these beside its own signatures. Rows of earlier runs have negative keys
and live at homes of negative numbers, one a file; they are never dropped, and never lose.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines import files
from pipelines.keys import Keys
from pipelines.rows import KEY, Columns, Rows
from pipelines.steps.corpus import Corpus
from pipelines.steps.step import Step

MANIFEST = "_curate/manifest.json"
KEYS_FORMAT = 1
"""Raised when tokens, shingles or hashes change, so that older keys would match nothing."""
_ROW_BITS = 32


def key_files(runs: Sequence[str], steps: Sequence[Step]) -> list[tuple[str, str]]:
    """Return (path, sha256) of all files of keys that some runs stored for the last of some steps.

    Raises:
        ValueError: a run is not there, stored no keys, or keys that do not compare.
    """
    found = []
    for run in runs:
        path = f"{run.rstrip('/')}/{MANIFEST}"
        if not files.exists(path):
            raise ValueError(
                f"against: {run}: no {MANIFEST} there; name the output folder of a finished run"
            )
        manifest = json.loads(files.read_bytes(path))
        entry = _entry_of(manifest.get("keys") or [], steps, run)
        for one in entry["files"]:
            path = f"{run.rstrip('/')}/{one['file']}"
            if not files.exists(path):
                raise ValueError(f"against: {run}: {one['file']} is in its manifest and not there")
            found.append((path, one["sha256"]))
    return found


def _entry_of(
    entries: Sequence[Mapping[str, Any]], steps: Sequence[Step], run: str
) -> Mapping[str, Any]:
    op, again = steps[-1].op, "run its recipe again with `write: {keys: true}`"
    same_op = [entry for entry in entries if entry["op"] == op]
    if not same_op:
        have = ", ".join(dict.fromkeys(entry["op"] for entry in entries)) or "none"
        raise ValueError(f"against: {run}: it stored no keys of {op} (stored: {have}); {again}")
    options = signing_options(steps)
    for entry in same_op:
        if (found := entry.get("format")) != KEYS_FORMAT:
            raise ValueError(
                f"against: {run}: its keys are of format {found}, this version has "
                f"{KEYS_FORMAT}; {again}"
            )
        if entry["options"] == options:
            return entry
    other = same_op[0]["options"]
    names = sorted(name for name in options if options[name] != other.get(name))
    told = ", ".join(f"{name}: {other.get(name)!r} there, {options[name]!r} here" for name in names)
    raise ValueError(f"against: {run}: its {op} signed with other options ({told})")


def keys_folder(number: int, step: Corpus) -> str:
    """Return the folder of an output in which a step stores keys."""
    return f"_curate/keys/{number:02d}-{step.op}"


def signing_options(steps: Sequence[Step]) -> dict[str, Any]:
    """Return the options that decide what the last of some steps stores of a row.

    Among them, as `made_by`, those of the step that made its column of vectors.
    """
    step = steps[-1]
    without = {"op", "column", "prefer", "order", "keep", *getattr(step, "after_sign", ())}
    options = dict(json.loads(step.model_dump_json(exclude=without)))
    column = getattr(step, "column", None)
    makers = [maker for maker in steps[:-1] if column in maker.adds()]
    if column is not None:
        made = [json.loads(maker.model_dump_json(exclude={"column"})) for maker in makers[-1:]]
        options["made_by"] = made[0] if made else None
    return options


def open_earlier(paths: Sequence[str], home: int, keys: Keys | None = None) -> Iterator[Rows]:
    """Yield the rows of the file of keys that lives at a negative home; only `keys` if given."""
    part = -home - 1
    with files.open_arrow(paths[part]) as source:
        stored = pq.read_table(source)
    rows = Rows(stored.append_column(KEY, pa.array(earlier_keys(part, len(stored)))), Columns())
    rows = rows if keys is None else rows.filter(np.isin(rows.keys, keys))
    if len(rows):
        yield rows


def earlier_keys(part: int, rows: int) -> Keys:
    """Return the keys of the rows of file number `part`: negative, ascending, no two alike."""
    last = -(np.int64(part) << _ROW_BITS) - 1
    keys: Keys = np.arange(last - rows + 1, last + 1, dtype=np.int64)
    return keys


def earlier_home(part: int) -> int:
    """Return the number of the home of file number `part`."""
    return -part - 1
