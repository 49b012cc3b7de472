"""Results of the comparison as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

TITLES = {
    "near": "Near-duplicates: MinHash, 128 permutations, 5-word shingles; peers: 16 bands of 8, "
    "which nothing verifies",
    "exact": "Exact duplicates",
    "semantic": "Semantic duplicates: 256-d vectors, cosine 0.9",
    "images": "Near-duplicate images of 64 px",
    "template": "30 % of the documents share one template",
    "plain": "The same without the template",
    "blob": "Texts that differ in a number, embedded",
}
Row = dict[str, Any]


def markdown(result: dict[str, Any]) -> str:
    """Return the table of one kind of work: what each tool used, and what it found."""
    kind, corpus, machine = result["kind"], result["corpus"], result["machine"]
    heads = ["Tool", "CPU-s", "x ours", "wall s", "peak MB", *_heads(kind)]
    lines = [_line(heads), "|---" + "|---:" * (len(heads) - 1) + "|"]
    for tool in result["tools"]:
        if "error" in tool:
            lines.append(
                _line([tool["name"], f"failed: {tool['error']}"] + [""] * (len(heads) - 2))
            )
        else:
            lines.append(_line([tool["name"], *_used(tool), *_found(kind, tool["found"])]))
    caption = (
        f"{corpus['rows']:,} rows ({corpus['name']}); median of {result['runs']} interleaved runs, "
        f"whole processes on one thread, {machine['cpus']} vCPUs {machine['processor']}, "
        f"{result['date']}; `{result['command']}`"
    )
    return "\n".join([f"**{TITLES[kind]}.** {caption}", "", *lines])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _used(tool: Row) -> list[str]:
    median, ratio = tool["median"], tool["ratio_to_ours"]
    seconds, times = median["cpu_seconds"], ratio["cpu_seconds"]
    return [
        f"{seconds:.1f}" if seconds >= 1 else f"{seconds:.2f}",
        f"{times:.0f}" if times >= 10 else f"{times:.1f}",
        f"{median['wall_seconds']:.1f}",
        f"{median['peak_mb']:,.0f}",
    ]


def _heads(kind: str) -> list[str]:
    if kind == "near":
        return [
            "recall of pairs at 0.8-1",
            "at 0.7-0.8",
            "rows to remove found, 0.8",
            "precision at 0.8",
            "at 0.7",
            "short texts lost",
        ]
    return ["rows to remove found", "precision", "rows lost"]


def _found(kind: str, found: Row) -> list[str]:
    if kind == "near":
        planted, short = found["planted"], found["short"]
        return [
            _share(planted["0.8-1"]["recall"]),
            _share(planted["0.7-0.8"]["recall"]),
            _share(found["at_0.8"]["recall"]),
            _share(found["at_0.8"]["precision"]),
            _share(found["at_0.7"]["precision"]),
            f"{short['lost']:,} of {short['texts']:,}",
        ]
    groups = found["groups"]
    return [_share(groups["recall"]), _share(groups["precision"]), f"{groups['lost']:,}"]


def _share(value: float) -> str:
    """Return a share with three places; 1.000 is said of nothing less than all."""
    text = f"{value:.3f}"
    return f"{value:.4f}" if text == "1.000" and value < 1 else text
