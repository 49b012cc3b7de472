"""Time the text path end to end: normalize → exact → MinHash (128, verified) → shards.

    python benchmarks/text_dedup.py [CORPUS.parquet] [--runs 3] [--workers 1] [--out results.json]

Starts `curate run` as a process of its own, so the figures hold start-up, reading, all steps,
writing, the ledger and the report. CPU seconds are user + system of the process and its children;
memory is the peak resident set of the largest process. Without a corpus one is generated from a
seed: 100,000 documents of about 1 kB, of which 8 % are exact copies, 2 % copies in other case and
spacing, 10 % near-copies.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

RECIPE = """\
name: text-dedup
read: {{format: parquet, path: {corpus}}}
steps:
  - op: normalize_text
  - op: exact_dedup
  - op: near_dedup
    similarity: 0.8
    permutations: 128
    shingle: 5
write: {{path: {out}}}
run: {{runner: local, workers: {workers}}}
"""


def generate(path: Path, rows: int = 100_000, seed: int = 0) -> None:
    """Write a corpus of Zipf-distributed made-up words with planted duplicates."""
    rng = np.random.default_rng(seed)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(rng.choice(letters, size)) for size in rng.integers(2, 11, 50_000)])
    base = int(rows * 0.8)
    texts: list[str] = []
    for length in rng.integers(80, 240, base):
        ranks = np.minimum(rng.zipf(1.3, length), len(words)) - 1
        texts.append(" ".join(words[ranks]))
    for source in rng.integers(0, base, int(rows * 0.08)):
        texts.append(texts[source])
    for source in rng.integers(0, base, int(rows * 0.02)):
        texts.append(texts[source].upper().replace(" ", "  "))
    for source in rng.integers(0, base, rows - len(texts)):
        changed = texts[source].split()
        for at in rng.integers(0, len(changed), max(1, len(changed) // 40)):
            changed[at] = words[rng.integers(len(words))]
        texts.append(" ".join(changed))
    order = rng.permutation(len(texts))
    table = pa.table({"id": [f"d{i:07d}" for i in range(rows)], "text": [texts[i] for i in order]})
    pq.write_table(table, path, row_group_size=10_000)


def run_once(recipe: Path, out: Path) -> dict[str, float]:
    """Run the recipe in a process of its own; returns its seconds and megabytes."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-m", "curate", "run", str(recipe), "--overwrite"],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    manifest = json.loads((out / "_curate" / "manifest.json").read_bytes())
    return {
        "cpu_seconds": round(cpu, 2),
        "wall_seconds": round(time.perf_counter() - start, 2),
        "peak_mb": round(after.ru_maxrss / 1024),
        "rows": manifest["rows"],
        "steps": {s["op"]: s["seconds"] for s in manifest["steps"]},
        "versions": manifest["versions"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", nargs="?", type=Path)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        corpus = given.corpus or Path(folder) / "corpus.parquet"
        if given.corpus is None:
            generate(corpus)
        recipe, out = Path(folder) / "recipe.yaml", Path(folder) / "out"
        recipe.write_text(RECIPE.format(corpus=corpus.absolute(), out=out, workers=given.workers))
        runs = [run_once(recipe, out) for _ in range(given.runs)]
    result = {
        "benchmark": "text_dedup",
        "date": datetime.now(UTC).date().isoformat(),
        "corpus": corpus.name if given.corpus else "generated, seed 0",
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine()},
        "workers": given.workers,
        "median": {
            name: statistics.median(run[name] for run in runs)
            for name in ("cpu_seconds", "wall_seconds", "peak_mb")
        },
        "runs": runs,
    }
    print(json.dumps(result, indent=2))
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
