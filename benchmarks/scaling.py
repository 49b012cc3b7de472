"""Measure how steps scale, fit the cost model of `curate plan`, and check it.

    python -m benchmarks.scaling [--most 1000000] [--only near_dedup ...] [--repeats 3] [--keep DIR]
    python -m benchmarks.scaling --most 100 # measure only the start again, keep the other runs
    python -m benchmarks.scaling --fit      # fit again what results/scaling.json holds, check
    python -m benchmarks.scaling --paper    # write docs/scale.md and docs/scaling.svg again

Each case is one `curate run` process over a corpus generated from a seed: CPU seconds (user +
system, children included), wall seconds, peak resident set of the largest process, and the bytes
and seconds that the manifest counts for the step. Start-up, reading, writing, ledger and report are
in. Writes benchmarks/results/scaling.json, curate/costs.json, docs/scaling.svg and docs/scale.md.
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
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.fitting import fit
from benchmarks.observation import TINY, Observation
from benchmarks.scaling_cases import CASES, CHECKS, TARGET, Case
from benchmarks.scaling_corpora import DIMENSIONS
from curate.plan.costs import COSTS_FILE, Check, Costs, Size, add_up, estimate_part, name_of
from curate.run.made_manifest import versions

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "scaling.json"
PICTURES = ("images", "photos")
SMALL = 10_000
"""Rows up to which a case is run `--repeats` times; above 100,000 once."""


class RunFailed(Exception):
    """A run did not end as it should."""


class Bench:
    """Runs cases in one folder; a corpus is generated once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.about: dict[tuple[str, int], dict[str, float]] = {}
        self.failed: list[str] = []

    def corpus(self, kind: str, rows: int) -> tuple[Path, dict[str, float]]:
        """Return the file of a corpus and its bytes per row."""
        path = self.folder / f"{kind}-{rows}.parquet"
        if (kind, rows) not in self.about:
            self.about[kind, rows] = _generated(path, kind, rows)
        return path, self.about[kind, rows]

    def forget(self, rows: int) -> None:
        """Remove the corpora of a size."""
        for kind, size in list(self.about):
            if size == rows:
                (self.folder / f"{kind}-{rows}.parquet").unlink()
                del self.about[kind, size]

    def told(self, step: Mapping[str, Any]) -> dict[str, Any]:
        """Return a step with the path of the target in its place."""
        target = str(self.corpus("text", 1_000)[0]) if TARGET in step.values() else ""
        return {name: target if value == TARGET else value for name, value in step.items()}

    def observe(self, case: Case, rows: int, repeats: int) -> Observation:
        """Run one case at one size; returns the middle of its repeats."""
        path, about = self.corpus(case.corpus, rows)
        recipe = self.folder / "recipe.json.yaml"
        out = self.folder / "out"
        role = {"image": "image"} if case.corpus in PICTURES else {}
        written = {
            "name": "scaling",
            "read": {"format": "parquet", "path": str(path), **role},
            "steps": [self.told(step) for step in case.steps],
            "write": {"path": str(out)},
            "run": {"workers": case.workers},
        }
        recipe.write_text(json.dumps(written))
        runs = [run_once(recipe, out) for _ in range(repeats)]
        middle = {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        return Observation(
            corpus=case.corpus,
            rows=rows,
            **about,
            dimensions=DIMENSIONS.get(case.corpus, 0),
            step=dict(case.steps[-1]) if case.steps else None,
            workers=case.workers,
            kept=int(middle.pop("kept")),
            repeats=repeats,
            **middle,
        )


def _generated(path: Path, kind: str, rows: int) -> dict[str, float]:
    """Generate a corpus in another process: the peak of a child is at least that of its parent."""
    command = [sys.executable, "-m", "benchmarks.scaling_corpora", str(path), kind, str(rows)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return dict(json.loads(done.stdout))


def run_once(recipe: Path, out: Path) -> dict[str, float]:
    """Run a recipe in a process of its own; returns what it cost."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "curate", "run", str(recipe), "--overwrite"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)  # of this run alone
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RunFailed(f"curate run exits with {process.returncode}: {said.decode()[-2000:]}")
    manifest = json.loads((out / "_curate" / "manifest.json").read_bytes())
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.perf_counter() - start,
        "peak": used.ru_maxrss * 1024,
        "shuffled": sum(step["shuffled"] for step in manifest["steps"]),
        "seconds": manifest["steps"][-1]["seconds"],
        "kept": manifest["rows"]["kept"],
    }


def measure(bench: Bench, given: argparse.Namespace) -> Iterator[Observation]:
    """Run every case at every size, small sizes first."""
    wanted = [c for c in CASES if c.runs_here()]
    if given.only:
        wanted = [c for c in wanted if not c.op or c.op in given.only]
    if missing := sorted({c.title for c in CASES if not c.runs_here()}):
        print("not here, not measured:", *missing, sep="\n  ")
    sizes = sorted({rows for case in wanted for rows in case.rows if rows <= given.most})
    for rows in sizes:
        repeats = given.repeats if rows <= SMALL else min(2, given.repeats)
        for case in wanted:
            if rows in case.rows:
                try:
                    found = bench.observe(case, rows, 1 if rows > 100_000 else repeats)
                except RunFailed as error:
                    bench.failed.append(f"{case.title}, {rows:,} rows: {error}")
                    print(bench.failed[-1], flush=True)
                    continue
                print(
                    f"{case.title:44} {rows:>11,} rows {found.cpu:8.2f} CPU-s {found.wall:8.2f} s "
                    f"{found.peak / 1e6:8.0f} MB {found.shuffled / 1e6:8.1f} MB shuffled",
                    flush=True,
                )
                yield found
        bench.forget(rows)


def check(bench: Bench, costs: Costs, most: int) -> Iterator[Check]:
    """Run recipes the model was not fitted to; yields what it said and what they cost."""
    for case in CHECKS:
        rows = min(case.rows[0], most)
        found = bench.observe(case, rows, 1)
        size = Size(rows, found.content, found.stored, found.dimensions)
        steps = case.parsed()
        if any(name_of(step) not in costs.steps for step in steps):
            continue
        parts = [estimate_part(costs.base, None, size)]
        parts += [estimate_part(costs.steps[name_of(step)], step, size) for step in steps]
        said = asdict(add_up(costs, parts, case.workers))
        measured = {
            "cpu": found.cpu,
            "wall": found.wall,
            "memory": found.peak,
            "shuffled": found.shuffled,
        }
        yield Check(
            recipe=case.title,
            rows=rows,
            workers=case.workers,
            predicted={name: _short(said[name]) for name in measured},
            measured={name: _short(value) for name, value in measured.items()},
        )


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def about_here() -> dict[str, Any]:
    """Return date, machine and versions."""
    cpu = Path("/proc/cpuinfo")
    names = [
        line.split(":")[1].strip()
        for line in (cpu.read_text().splitlines() if cpu.exists() else ())
        if line.startswith("model name")
    ]
    kind = names[0] if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} shared vCPUs ({kind}), {memory:.0f} GB",
        "versions": versions(),
    }


def save(observed: list[Observation], costs: Costs, most: int) -> None:
    """Write what was measured and the model; then everything that is told from them."""
    from benchmarks.scale_paper import write_paper

    text = json.dumps(costs.model_dump(mode="json"), indent=1)
    COSTS_FILE.write_text(text + "\n")
    about = {"benchmark": "scaling", "date": costs.date, "machine": costs.machine}
    results = {
        **about,
        "versions": costs.versions,
        "most": most,
        "exponents": {name: part.exponent for name, part in costs.steps.items()},
        "checks": [check.model_dump() for check in costs.checks],
        "runs": [asdict(o) for o in observed],
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_paper(costs, observed)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--most", type=int, default=10_000_000, help="Rows of the largest corpus.")
    parser.add_argument("--only", nargs="*", default=[], metavar="OP")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fit", action="store_true", help="Fit the stored runs again.")
    parser.add_argument("--paper", action="store_true", help="Write the documents again.")
    parser.add_argument("--dry", action="store_true", help="Store nothing.")
    given = parser.parse_args()
    stored = json.loads(RESULTS.read_bytes()) if RESULTS.exists() else {}
    before = [Observation(**run) for run in stored.get("runs", ())]
    if given.fit or given.paper:
        about = {name: stored[name] for name in ("date", "machine", "versions")}
        costs = fit(before, about)
        checks = tuple(Check(**check) for check in stored["checks"])
        if given.fit:
            with tempfile.TemporaryDirectory() as folder:
                checks = tuple(check(Bench(Path(folder)), costs, stored["most"]))
        save(before, costs.model_copy(update={"checks": checks}), stored["most"])
        return
    start, most = time.perf_counter(), max(given.most, stored.get("most", 0))
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        observed = list(measure(bench, given))
        if given.only or given.most < most:  # the others keep what was measured before
            measured = {o.what for o in observed}
            observed += [o for o in before if o.what not in measured]
        costs = fit(observed, about_here())
        checks = (
            tuple(Check(**one) for one in stored.get("checks", ()))
            if given.only
            else tuple(check(bench, costs, most))
        )
    costs = costs.model_copy(update={"checks": checks})
    print(json.dumps(costs.model_dump(mode="json"), indent=1))
    print(f"{time.perf_counter() - start:,.0f} s, start-up of {TINY} rows included")
    if not given.dry:
        save(observed, costs, most)
    if bench.failed:
        sys.exit("\n".join(["these failed and are not in the model:", *bench.failed]))


if __name__ == "__main__":
    main()
