"""Measure published results again with our own instrument: published, ours, agreement.

    python -m benchmarks.validation [--quick] [--only noise ordering ...] [--data DIR]
        [--vectors CIFAR10N.npy] [--chinchilla-csv FILE] [--confident-learning DIR]
    python -m benchmarks.validation --paper   # write docs/validation.md again

Checks run one after the other on one thread; a claim whose data is not there says so and what it
needs. `--only` keeps the other rows as they were stored. Without `--vectors` the CIFAR-10N pictures
are encoded first (some 500 CPU-s, kept for the next time; not counted below). All checks together
take some 7 minutes of CPU, `--quick` some seconds: it tests the plumbing, and its figures mean
nothing. Writes benchmarks/results/validation.json and docs/validation.md.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scaling import about_here
from benchmarks.validation_cifar import noise_rates, ordering, read_vectors
from benchmarks.validation_copying import copying
from benchmarks.validation_duplicates import duplicates
from benchmarks.validation_labels import masks
from benchmarks.validation_repeats import repeats
from benchmarks.validation_rs2 import rs2
from benchmarks.validation_scaling import chinchilla
from benchmarks.validation_settings import DATA, ROOT, Settings
from benchmarks.validation_table import Finding, document, not_checkable, stored, table

RESULTS = ROOT / "benchmarks" / "results" / "validation.json"
PAPER = ROOT / "docs" / "validation.md"


def scale(settings: Settings) -> list[Finding]:
    """Say what no laptop can check."""
    claim = "Gaps of curation at small scale predict those at large scale"
    needs = (
        "models of 150 million to 7 billion parameters trained on up to 10¹² tokens, and their "
        "downstream tasks; nothing here says how a gap changes beyond the sizes that were measured"
    )
    published = "rankings at 150M hold for some 80 % of pairs at 1B"
    return [not_checkable("scale", claim, "DataDecide 2025", published, needs)]


CHECKS: dict[str, Callable[[Settings], list[Finding]]] = {
    "noise": noise_rates,
    "ordering": ordering,
    "masks": masks,
    "duplicates": duplicates,
    "chinchilla": chinchilla,
    "copying": copying,
    "repeats": repeats,
    "rs2": rs2,
    "scale": scale,
}
ENCODED = ("ordering", "masks", "rs2")
"""Checks that read vectors of the pictures."""


def run(
    settings: Settings, names: Sequence[str], keep: Callable[[list[Finding], float, str], None]
) -> list[Finding]:
    """Return the findings of the named checks; `keep` is told each with its CPU seconds."""
    if settings.cifar10n.is_file() and set(names) & set(ENCODED):
        read_vectors(settings)
    found: list[Finding] = []
    for name in names:
        start = time.process_time()
        here = CHECKS[name](settings)
        keep(here, round(time.process_time() - start, 1), name)
        found += here
    return found


def joined(
    before: dict[str, Any], findings: Sequence[Finding], seconds: float, name: str
) -> dict[str, Any]:
    """Return the stored rows of other checks and those of this one, in the order of CHECKS."""
    rows = [row for row in before.get("findings", ()) if row["check"] != name]
    rows += stored(findings)
    places = list(CHECKS)
    return {
        "findings": sorted(rows, key=lambda row: places.index(row["check"])),
        "cpu_seconds": before.get("cpu_seconds", {}) | {name: seconds},
    }


def commit() -> str:
    """Return the commit of the checkout, with `+changes` where the work tree differs."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    return (found.stdout.strip() or "unknown") + ("+changes" if changed.stdout else "")


def parse(given: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="Tiny sizes; tests the plumbing.")
    parser.add_argument("--only", nargs="+", default=list(CHECKS), choices=CHECKS, metavar="CHECK")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--vectors", type=Path, help="Of the CIFAR-10N pictures, in their order.")
    parser.add_argument("--chinchilla-csv", type=Path, help="svg_extracted_data.csv of Besiroglu.")
    parser.add_argument(
        "--confident-learning", type=Path, help="cifar10/ of the paper's repository."
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--doc", type=Path, default=PAPER)
    parser.add_argument("--paper", action="store_true", help="Write the document again.")
    return parser.parse_args(given)


def main(arguments: Sequence[str] | None = None) -> None:
    given = parse(arguments)
    before = json.loads(given.out.read_bytes()) if given.out.exists() else {}
    if given.paper:
        given.doc.write_text(document(before))
        return
    if before.get("quick", given.quick) != given.quick:
        raise SystemExit(f"{given.out} holds a run of another size; name another --out")
    settings = Settings(
        given.quick, given.data, given.vectors, given.chinchilla_csv, given.confident_learning
    )
    options = [
        f"--{name.replace('_', '-')}"
        for name in ("vectors", "chinchilla_csv", "confident_learning")
        if getattr(given, name)
    ]
    about = {
        "benchmark": "validation",
        "command": " ".join(["python -m benchmarks.validation", *(f"{o} PATH" for o in options)]),
        "quick": given.quick,
        "commit": commit(),
        **about_here(),
    }

    def keep(findings: list[Finding], seconds: float, name: str) -> None:
        stored_before = json.loads(given.out.read_bytes()) if given.out.exists() else {}
        result = about | joined(stored_before, findings, seconds, name)
        given.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        given.doc.write_text(document(result))
        print(f"{name}: {seconds} CPU-s", file=sys.stderr, flush=True)

    threadpools = importlib.import_module("threadpoolctl")  # scikit-learn brings it
    with threadpools.threadpool_limits(limits=1):
        print(table(run(settings, given.only, keep)))


if __name__ == "__main__":
    main()
