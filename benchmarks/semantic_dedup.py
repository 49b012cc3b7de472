"""Time `semantic_dedup`, vectors in a Parquet file → shards, and count what it misses.

    python benchmarks/semantic_dedup.py [--runs 3] [--rows 100000] [--out results.json]

Two corpora, generated from a seed. `topics`: unit vectors of 256 dimensions about 2,000 centres, of
which 10 % are near-copies of others at cosine 0.9 to 0.99; recall is the share of the rows exact
search over all pairs drops that the run drops too. `blob`: half as many texts of 49 words that
differ in a number, through `embed` as well: all pairs are similar, and one row is kept.

Starts `curate run` as a process of its own, so the figures hold start-up, reading, writing, the
ledger and the report. CPU seconds are user + system of the process and its children; memory is the
peak resident set of the largest process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

DIMENSIONS = 256
SIMILARITY = 0.9
RECIPE = """\
name: semantic-dedup
read: {{format: parquet, path: {corpus}}}
steps:
{steps}
write: {{path: {out}}}
run: {{runner: local, workers: {workers}}}
"""
STEPS = {
    "topics": f"  - {{op: semantic_dedup, column: embedding, similarity: {SIMILARITY}}}",
    "blob": "  - op: embed\n  - op: semantic_dedup",
}


def generate_topics(path: Path, rows: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Write vectors about topic centres with planted near-copies; returns the unit vectors."""
    rng = np.random.default_rng(seed)
    base = rows - rows // 10
    centres = rng.normal(size=(2_000, DIMENSIONS))
    # Two vectors of one topic have a cosine of about 0.5, two of different topics about 0.
    vectors = centres[rng.integers(0, len(centres), base)]
    vectors = unit(vectors + rng.normal(size=vectors.shape))
    sources = vectors[rng.integers(0, base, rows - base)]
    noise = rng.normal(size=sources.shape)
    noise = unit(noise - (noise * sources).sum(axis=1, keepdims=True) * sources)
    cosine = rng.uniform(0.9, 0.99, (len(sources), 1))
    copies = cosine * sources + np.sqrt(1 - cosine**2) * noise
    order = rng.permutation(rows)
    mixed = np.concatenate([vectors, copies])[order].astype(np.float32)
    column = pa.FixedSizeListArray.from_arrays(pa.array(mixed.ravel()), DIMENSIONS)
    texts = [f"row {i}" for i in range(rows)]
    ids = [f"v{i:07d}" for i in range(rows)]
    table = pa.table({"id": ids, "text": texts, "embedding": column})
    pq.write_table(table, path, row_group_size=10_000)
    return unit(mixed.astype(np.float64)).astype(np.float32)


def generate_blob(path: Path, rows: int) -> None:
    """Write short texts that differ in one number."""
    rest = (
        "and will reach you within the next few working days at the address that you gave us when "
        "you placed it please keep this message until the parcel has arrived and write to us at "
        "once if anything is missing"
    )
    texts = [f"Dear customer your order number {i} has been shipped {rest}" for i in range(rows)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10_000)


def unit(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return vectors scaled to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def dropped_by_exact_search(vectors: npt.NDArray[np.float32]) -> set[int]:
    """Return all rows but one of each component of similar pairs, over all pairs.

    The one kept has the longest text, then the smallest id, as `semantic_dedup` has it.
    """
    left, right = [], []
    for start in range(0, len(vectors), 1_000):
        product = vectors[start : start + 1_000] @ vectors[start:].T
        i, j = np.nonzero(product >= SIMILARITY - 1e-5)
        i, j = i[i < j] + start, j[i < j] + start
        exact = (vectors[i].astype(np.float64) * vectors[j].astype(np.float64)).sum(axis=1)
        similar = np.round(exact, 6) >= SIMILARITY
        left.append(i[similar])
        right.append(j[similar])
    i, j = np.concatenate(left), np.concatenate(right)
    graph = coo_array((np.ones(len(i), np.bool_), (i, j)), shape=(len(vectors),) * 2)
    groups = connected_components(graph, directed=False)[1]
    length = np.array([len(f"row {i}") for i in range(len(vectors))])
    order = np.lexsort((np.arange(len(vectors)), -length, groups))
    first = np.append(True, np.diff(groups[order]) != 0)
    return set(order[~first].tolist())


def run_once(recipe: Path, out: Path) -> dict[str, Any]:
    """Run the recipe in a process of its own; returns its seconds and megabytes."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "curate", "run", str(recipe), "--overwrite"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)  # of this run alone
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"curate run {recipe} exits with {process.returncode}")
    manifest = json.loads((out / "_curate" / "manifest.json").read_bytes())
    return {
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "wall_seconds": round(time.perf_counter() - start, 2),
        "peak_mb": round(used.ru_maxrss / 1024),
        "rows": manifest["rows"],
        "steps": {s["op"]: s["seconds"] for s in manifest["steps"]},
        "versions": manifest["versions"],
    }


def kept_ids(out: Path) -> set[str]:
    """Return the ids of the rows in the shards."""
    from datasets import load_dataset

    return set(load_dataset(str(out), split="train")["id"])


def measure(name: str, folder: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Generate one corpus, run its recipe and compare with exact search."""
    corpus, recipe, out = folder / f"{name}.parquet", folder / f"{name}.yaml", folder / name
    rows = given.rows if name == "topics" else given.rows // 2
    vectors = generate_topics(corpus, rows) if name == "topics" else generate_blob(corpus, rows)
    recipe.write_text(
        RECIPE.format(corpus=corpus, steps=STEPS[name], out=out, workers=given.workers)
    )
    runs = [run_once(recipe, out) for _ in range(given.runs)]
    result: dict[str, Any] = {
        "median": {
            figure: statistics.median(run[figure] for run in runs)
            for figure in ("cpu_seconds", "wall_seconds", "peak_mb")
        },
    }
    if vectors is not None:
        exact = dropped_by_exact_search(vectors)
        found = set(range(rows)) - {int(row_id[1:]) for row_id in kept_ids(out)}
        result["exact_search_drops"] = len(exact)
        result["recall"] = round(len(exact & found) / len(exact), 5)
        result["dropped_only_here"] = len(found - exact)
    return result | {"runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpora = {name: measure(name, Path(folder), given) for name in STEPS}
    result = {
        "benchmark": "semantic_dedup",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine()},
        "workers": given.workers,
        "corpora": corpora,
    }
    print(json.dumps(result, indent=2))
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
