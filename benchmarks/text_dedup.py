"""Time the text path end to end: normalize → exact → MinHash (128, verified) → shards.

    python benchmarks/text_dedup.py [CORPUS.parquet] [--runs 3] [--workers 1] [--out results.json]

Starts `curate run` as a process of its own, so the figures hold start-up, reading, all steps,
writing, the ledger and the report (`processes.py` says how they are taken). Without a corpus one is
generated from a seed (`corpora.write_texts`, 100,000 documents). `compare.py` holds the same recipe
against peers and says what it found.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from corpora import write_texts
from processes import measure

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


def run_once(recipe: Path, out: Path) -> dict[str, Any]:
    """Run the recipe in a process of its own; returns its seconds and megabytes."""
    command = [sys.executable, "-m", "curate", "run", str(recipe), "--overwrite"]
    used = measure(command, recipe.with_suffix(".log"))
    manifest = json.loads((out / "_curate" / "manifest.json").read_bytes())
    return {
        **used,
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
            write_texts(corpus, 100_000)
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
