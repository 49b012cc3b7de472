"""Fill what is generated: parts of README.md, docs/operators.md, a figure; `--check` only tells.

    python benchmarks/readme.py [--check] [--evidence OUT_TEXT OUT_IMAGES]

`--evidence` first stores what two finished and proved quickstart runs found.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from curate.cli import main as curate
from pipelines.steps import STEPS

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks" / "evidence"))

from shown import figure, table  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
README = ROOT / "README.md"
OPERATORS = ROOT / "docs" / "operators.md"
OPERATORS_HEAD = """# Operators

Generated from the operators themselves by `curate ops --markdown`. One that does not say what may
differ on another processor gives the same bytes on all that were tried: see
[the same on every machine](architecture.md#the-same-on-every-machine).

"""
FIGURE = ROOT / "docs" / "evidence.svg"


def store(outputs: list[Path]) -> None:
    """Keep the manifest's rows and the proof's figures of each run."""
    for out in outputs:
        manifest = json.loads((out / "_curate/manifest.json").read_bytes())
        proof = json.loads((out.with_name(f"{out.name}.proof") / "result.json").read_bytes())
        kept = {
            "name": manifest["name"],
            "created": manifest["created"],
            "rows": manifest["rows"],
            "dropped_by_reason": manifest["dropped_by_reason"],
            "seconds": manifest["seconds"],
            "declared": manifest["declared"],
            "proof": {
                name: proof[name]
                for name in ("verdict", "sentence", "gap", "ci95", "p", "plan_hash", "versions")
            },
            "arms": {arm["name"]: round(arm["mean"], 4) for arm in proof["arms"]},
            "seeds": len(proof["arms"][0]["scores"]),
        }
        path = RESULTS / f"{manifest['name']}.json"
        path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n")


def result_table() -> str:
    """Return what the quickstart found, from the stored evidence."""
    lines = [
        "| Quick start | rows in | kept | dropped | quarantined "
        "| raw → curated, same steps | verdict |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, title in (("quickstart-text", "film reviews"), ("quickstart-images", "digits")):
        found = json.loads((RESULTS / f"{name}.json").read_bytes())
        rows, arms, proof = found["rows"], found["arms"], found["proof"]
        low, high = (100 * bound for bound in proof["ci95"])
        lines.append(
            f"| {title} | {rows['in']:,} | {rows['kept']:,} | {rows['dropped']:,} "
            f"| {rows['quarantined']:,} "
            f"| {100 * arms['raw']:.1f} % → {100 * arms['curated']:.1f} % "
            f"({100 * proof['gap']:+.1f} points, 95 % CI {low:+.1f} to {high:+.1f}, "
            f"{found['seeds']} seeds; as many random raw rows: {100 * arms['random@n']:.1f} %) "
            f"| {proof['verdict']} |"
        )
    lines += [
        "",
        "Real reviews and digits, planted defects: 30 % of the labels are wrong, and the corpora "
        "hold copies, strays and broken files; `samples/README.md` lists them. The recipes were "
        "set on another draw of the samples (seed 1) than the one shown (seed 0).",
    ]
    return "\n".join(lines)


def steps_table() -> str:
    """Return every operator with its one-line summary."""
    lines = []
    for name in STEPS:
        summary = (STEPS[name].__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
        lines.append(f"| `{name}` | {re.sub(r'  +', ' ', summary)} |")
    return "\n".join(lines)


def benchmark_table() -> str:
    """Return the figures of the speed benchmark."""
    found = json.loads((RESULTS / "text_dedup.json").read_bytes())
    median, rows = found["median"], found["runs"][0]["rows"]
    return (
        f"{rows['in']:,} documents of about 1 kB, Parquet to shards: normalize → exact → MinHash "
        f"(128 permutations, 5-word shingles, verified), start-up, ledger and report included: "
        f"**{median['cpu_seconds']:.1f} CPU-seconds**, {median['wall_seconds']:.1f} s, "
        f"{median['peak_mb']:.0f} MB peak (median of {len(found['runs'])}, "
        f"{found['machine']['cpus']} shared vCPUs, {found['date']}; "
        f"`python benchmarks/text_dedup.py`)."
    )


def compare_table() -> str:
    """Return near-duplicates side by side with peers, and the other kinds in a line each."""
    near, exact = found_by("near"), found_by("exact")
    ours = near["tools"][0]["median"]["cpu_seconds"]
    extra = {tool["name"]: tool["median"]["cpu_seconds"] for tool in exact["tools"]}
    alone = {"rensa script": "pandas script", "datasketch": "pandas script"}
    lines = [
        "| 100,000 documents: near-duplicates | CPU-s | × ours | and exact ones | peak MB "
        "| recall, Jaccard ≥ 0.8 | 0.7–0.8 | short texts lost |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for tool in near["tools"]:
        name, median, found = tool["name"], tool["median"], tool["found"]
        seconds, planted = median["cpu_seconds"], found["planted"]
        more = "included"
        if not tool["ours"]:
            more = f"{(seconds + extra[alone.get(name, name)]) / ours:.1f} ×"
        at_07 = share(planted["0.7-0.8"]["recall"]) if planted["0.7-0.8"]["recall"] else "–"
        short = found["short"]
        lines.append(
            f"| {name} | {seconds:.1f} | {seconds / ours:.1f} | {more} | {median['peak_mb']:,.0f} "
            f"| {share(planted['0.8-1']['recall'])} | {at_07} "
            f"| {short['lost']} of {short['texts']} |"
        )
    machine = near["machine"]
    lines += [
        "",
        f"Whole processes, one thread, median of {near['runs']} interleaved runs on "
        f"{machine['cpus']} shared vCPUs ({machine['processor']}), {near['date']}; MinHash with "
        "128 permutations over shingles of 5 words. Ours also normalises, finds exact duplicates, "
        "verifies each pair and writes ledger and report; the fourth column adds the peer's own "
        "exact dedup (for the two scripts: pandas). Recall is of planted pairs, by their true "
        "Jaccard similarity.",
        "",
    ]
    lines += [f"- {line}" for line in map(one_line, ("semantic", "images"))]
    lines.append(
        "- All tables, versions and checks: [benchmarks/results/compare.md]"
        "(benchmarks/results/compare.md), made by `python benchmarks/compare.py`, which installs "
        "every peer in an environment of its own."
    )
    return "\n".join(lines)


def found_by(kind: str) -> dict[str, Any]:
    """Return the stored comparison of one kind."""
    return dict(json.loads((RESULTS / f"compare-{kind}.json").read_bytes()))


def one_line(kind: str) -> str:
    """Return CPU seconds and recall of all tools of one kind."""
    result = found_by(kind)
    rows = f"{result['corpus']['rows']:,}"
    titles = {
        "semantic": f"{rows} vectors of 256 numbers, cosine 0.9",
        "images": f"{rows} images of 64 px, planted copies, cropped ones too",
    }
    told = [
        f"{tool['name']} {tool['median']['cpu_seconds']:.1f} CPU-s "
        f"(recall {share(tool['found']['groups']['recall'])}, "
        f"precision {share(tool['found']['groups']['precision'])})"
        for tool in result["tools"]
        if "error" not in tool
    ]
    return f"{titles[kind]}: {'; '.join(told)}."


def share(value: float) -> str:
    """Return a share with three places; 1.000 is said of nothing less than all."""
    text = f"{value:.3f}"
    return f"{value:.4f}" if text == "1.000" and value < 1 else text


def filled() -> str:
    """Return README.md with all generated parts up to date."""
    text = README.read_text()
    parts = {
        "result": result_table(),
        "steps": steps_table(),
        "benchmark": benchmark_table(),
        "compare": compare_table(),
        "evidence": table(),
    }
    for name, part in parts.items():
        start, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(start)
        text = before + start + part + "\n" + end + rest.partition(end)[2]
    return text


def operators() -> str:
    """Return the operator reference."""
    result = CliRunner().invoke(curate, ["ops", "--markdown"], catch_exceptions=False)
    return OPERATORS_HEAD + result.output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--evidence", nargs=2, type=Path)
    given = parser.parse_args()
    if given.evidence:
        store(given.evidence)
    stale = []
    for path, text in ((README, filled()), (OPERATORS, operators()), (FIGURE, figure())):
        if not path.exists() or path.read_text() != text:
            stale.append(path.name)
            if not given.check:
                path.parent.mkdir(exist_ok=True)
                path.write_text(text)
    if stale and given.check:
        sys.exit(f"{', '.join(stale)}: not up to date; run python benchmarks/readme.py")


if __name__ == "__main__":
    main()
