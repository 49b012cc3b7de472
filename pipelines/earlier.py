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

MANIFEST = "_curate/manifest.json"
_ROW_BITS = 32


def key_files(runs: Sequence[str], step: Corpus) -> list[tuple[str, str]]:
    """Return (path, sha256) of all files of keys that some runs stored for such a step.

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
        entry = _entry_of(manifest.get("keys") or [], step, run)
        found += [(f"{run.rstrip('/')}/{one['file']}", one["sha256"]) for one in entry["files"]]
    return found


def _entry_of(entries: Sequence[Mapping[str, Any]], step: Corpus, run: str) -> Mapping[str, Any]:
    same_op = [entry for entry in entries if entry["op"] == step.op]
    if not same_op:
        have = ", ".join(dict.fromkeys(entry["op"] for entry in entries)) or "none"
        raise ValueError(
            f"against: {run}: it stored no keys of {step.op} (stored: {have}); run its recipe "
            "again with `write: {keys: true}`"
        )
    options = signing_options(step)
    for entry in same_op:
        if entry["options"] == options:
            return entry
    other = same_op[0]["options"]
    names = sorted(name for name in options if options[name] != other.get(name))
    told = ", ".join(f"{name}: {other.get(name)!r} there, {options[name]!r} here" for name in names)
    raise ValueError(f"against: {run}: its {step.op} signed with other options ({told})")


def keys_folder(number: int, step: Corpus) -> str:
    """Return the folder of an output in which a step stores keys."""
    return f"_curate/keys/{number:02d}-{step.op}"


def signing_options(step: Corpus) -> dict[str, Any]:
    """Return the options that decide what a step stores of a row."""
    without = {"op", "column", "prefer", "order", "keep", *step.after_sign}
    return dict(json.loads(step.model_dump_json(exclude=without)))


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
