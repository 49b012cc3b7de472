"""Compare curate with its peers: CPU, wall time, memory, and what each found.

    python benchmarks/compare.py [--corpus TEXTS.parquet --truth TRUTH.parquet] [--rows 100000]
        [--only near,exact,semantic,images,template,blob] [--peers datasketch,rensa,...] [--runs 3]
        [--venvs DIR] [--out benchmarks/results] [--plots docs]

Corpora are generated from a seed (`corpora.py`, `pictures.py`: a fifth as many images); `near` and
`exact` take the given one instead, a table of `id` and `text` and its truth (`id`, `kind`,
`cluster`). Every tool runs as a process of its own on the same file, on one thread, all tools in
turn, `--runs` times; a time includes start-up, reading and writing. `template` is ours alone: a
corpus of which 30 % share one template, and `plain`, one without; so is `blob`: half as many texts
that differ in a number, embedded, so that all pairs are similar.

Each kind of work gives compare-<kind>.json (machine, versions, every run, medians, ratios, what was
found) and benchmark-<kind>.svg; compare.md holds the tables. `--peers none` runs ours alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import corpora
import pictures
import pyarrow as pa
from judges import JUDGES, Judge, subset
from tables import markdown
from tools import OURS, RIVALS, VENVS, Ours, Peer, install, packages

ROOT = Path(__file__).parent.parent
KINDS = ("near", "exact", "semantic", "images", "template", "blob")
PARTS = {"template": ("template", "plain")}
FIGURES = ("cpu_seconds", "wall_seconds", "peak_mb")
Tool = Ours | Peer


def build(kind: str, folder: Path, given: argparse.Namespace) -> tuple[Path, pa.Table, str]:
    """Write the corpus of one kind of work; returns its path, truth and name."""
    path = folder / "corpus.parquet"
    if kind in ("near", "exact"):
        if given.corpus:
            truth = subset(given.corpus, given.truth, given.rows, path)
            return path, truth, given.corpus.name
        return path, corpora.write_texts(path, given.rows), "generated texts, seed 0"
    if kind == "semantic":
        return path, corpora.write_vectors(path, given.rows), "generated vectors, seed 0"
    if kind == "images":
        folder = folder / "images"
        return folder, pictures.write_images(folder, given.rows // 5), "generated images, seed 0"
    if kind == "blob":
        return path, corpora.write_blob(path, given.rows // 2), "generated, one template"
    share = 0.3 if kind == "template" else 0
    return path, corpora.write_template(path, given.rows, share), f"generated, {kind}, seed 0"


def chosen(kind: str, given: argparse.Namespace) -> list[Tool]:
    """Return our tools and the wanted peers, their environments installed."""
    rivals = [
        replace(peer, venvs=given.venvs)
        for peer in RIVALS[kind]
        if given.peers is None or {peer.environment, peer.name.split()[0]} & given.peers
    ]
    for peer in rivals:
        install(peer.environment, given.venvs)
    return [*OURS[kind], *rivals]


def run_all(
    tools: list[Tool], corpus: Path, judge: Judge, folder: Path, runs: int
) -> list[dict[str, Any]]:
    """Run all tools in turn, `runs` times; a tool that fails says so and is left out after."""
    results: list[dict[str, Any]] = [
        {"name": tool.name, "ours": isinstance(tool, Ours), "runs": []} for tool in tools
    ]
    survivors: list[set[str] | None] = [None] * len(tools)
    for number in range(runs):
        for place, tool in enumerate(tools):
            result = results[place]
            if "error" in result:
                continue
            scratch = folder / "scratch"
            scratch.mkdir()
            load = round(os.getloadavg()[0], 2)
            try:
                used, kept = tool.run(corpus, scratch, folder / "log.txt")
            except RuntimeError as error:
                result["error"] = str(error).splitlines()[-1]
                print(f"{tool.name}: {error}", file=sys.stderr, flush=True)
                continue
            finally:
                shutil.rmtree(scratch)
            print(f"run {number + 1}, {tool.name}: {used}", file=sys.stderr, flush=True)
            result["runs"].append({**used, "load_before": load})
            if survivors[place] is None:
                survivors[place], result["found"] = kept, judge(kept)
                result["same_rows_every_run"] = True
            result["same_rows_every_run"] &= kept == survivors[place]
    return results


def summarise(results: list[dict[str, Any]]) -> None:
    """Add medians and their ratios to our first tool."""
    for result in results:
        if "error" not in result:
            result["median"] = {
                name: round(statistics.median(run[name] for run in result["runs"]), 2)
                for name in FIGURES
            }
    ours = results[0].get("median")
    for result in results:
        if ours and "median" in result:
            result["ratio_to_ours"] = {
                name: round(result["median"][name] / ours[name], 3) for name in FIGURES
            }


def compare(kind: str, given: argparse.Namespace) -> dict[str, Any]:
    """Build the corpus of one kind of work, run all tools on it and count what they found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tools = chosen(kind, given)
        corpus, truth, title = build(kind, folder, given)
        results = run_all(tools, corpus, JUDGES[kind](corpus, truth), folder, given.runs)
        files = corpus.rglob("*") if corpus.is_dir() else [corpus]
        size = sum(file.stat().st_size for file in files)
    if "error" in results[0]:
        raise RuntimeError(f"{kind}: our own run failed: {results[0]['error']}")
    summarise(results)
    used = {tool.environment: tool.python for tool in tools if isinstance(tool, Peer)}
    return {
        "benchmark": "compare",
        "kind": kind,
        "date": datetime.now(UTC).date().isoformat(),
        "command": shlex.join(["python", "benchmarks/compare.py", *given.said]),
        "commit": commit(),
        "machine": machine(),
        "corpus": {"name": title, "rows": truth.num_rows, "bytes": size},
        "threads": 1,
        "runs": given.runs,
        "tools": results,
        "packages": {
            "curate": packages(sys.executable),
            **{environment: packages(python) for environment, python in used.items()},
        },
    }


def commit() -> str:
    """Return the commit of the checkout, with `+changes` where the work tree differs."""
    git = ["git", "-C", str(ROOT)]
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True)
    return (found.stdout.strip() or "unknown") + ("+changes" if changed.stdout else "")


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "cpus": os.cpu_count(),
        "processor": models[0] if models else platform.machine(),
        "memory_gb": round(memory, 1),
        "system": platform.system(),
    }


def parse() -> argparse.Namespace:
    """Return the options; relative paths are looked up from here."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--only", default=",".join(KINDS))
    parser.add_argument("--peers", help="environments or names; all by default, or none")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--venvs", type=Path, default=VENVS)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--plots", type=Path, default=ROOT / "docs")
    given = parser.parse_args()
    given.said = sys.argv[1:]
    given.only = given.only.split(",")
    if strange := sorted(set(given.only) - set(KINDS)):
        parser.error(f"--only: no {', '.join(strange)}; there is {', '.join(KINDS)}")
    if given.peers is not None:
        known = {peer.environment for rivals in RIVALS.values() for peer in rivals}
        known |= {peer.name.split()[0] for rivals in RIVALS.values() for peer in rivals} | {"none"}
        given.peers = set(given.peers.split(","))
        if strange := sorted(given.peers - known):
            parser.error(f"--peers: no {', '.join(strange)}; there is {', '.join(sorted(known))}")
    if (given.corpus is None) != (given.truth is None):
        parser.error("--corpus and --truth come together")
    return given


def main() -> None:
    given = parse()
    given.out.mkdir(parents=True, exist_ok=True)
    kinds = [
        k for kind in given.only for k in (("template", "plain") if kind == "template" else (kind,))
    ]
    files, tables = [], []
    for kind in kinds:
        result = compare(kind, given)
        files.append(given.out / f"compare-{kind}.json")
        files[-1].write_text(json.dumps(result, indent=2) + "\n")
        tables.append(markdown(result))
        print(tables[-1], end="\n\n", flush=True)
    (given.out / "compare.md").write_text("\n\n".join(tables) + "\n")
    given.plots.mkdir(parents=True, exist_ok=True)
    python = install("matplotlib", given.venvs)
    command = [str(python), str(Path(__file__).with_name("plots.py")), str(given.plots)]
    subprocess.run([*command, *map(str, files)], check=True)


if __name__ == "__main__":
    main()
