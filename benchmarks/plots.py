"""Draw CPU seconds and memory of each tool from result files; runs where matplotlib is.

    python plots.py FOLDER RESULT.json...

Writes FOLDER/benchmark-<kind>.svg; the same result gives the same bytes.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "curate", "svg.fonttype": "none", "font.size": 9})
import matplotlib.pyplot as plt  # noqa: E402

OURS, PEER = "#1f6f8b", "#b8bfc6"
FIGURES = {"cpu_seconds": "CPU seconds (log scale)", "peak_mb": "peak memory, MB (log scale)"}


def draw(result: dict, path: Path) -> None:
    """Draw one bar per tool, with a dot per run; tools that failed are left out."""
    tools = [tool for tool in result["tools"] if "error" not in tool]
    figure, axes = plt.subplots(1, 2, figsize=(9, 0.9 + 0.32 * len(tools)), sharey=True)
    names = [tool["name"] for tool in tools]
    colours = [OURS if tool["ours"] else PEER for tool in tools]
    for axis, (name, label) in zip(axes, FIGURES.items(), strict=True):
        medians = [tool["median"][name] for tool in tools]
        axis.barh(names, medians, color=colours, height=0.65)
        for place, tool in enumerate(tools):
            runs = [run[name] for run in tool["runs"]]
            axis.plot(runs, [place] * len(runs), ".", color="black", markersize=3)
            said = f" {medians[place]:,.1f}" if name == "cpu_seconds" else f" {medians[place]:,.0f}"
            axis.text(max(runs) * 1.05, place, said, va="center")
        axis.set_xscale("log")
        axis.set_xlim(min(medians) / 3, max(medians) * 4)
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    for file in sys.argv[2:]:
        found = json.loads(Path(file).read_text())
        draw(found, Path(sys.argv[1]) / f"benchmark-{found['kind']}.svg")
