"""Make one piece of evidence: prepare its input, curate it, prove what that was worth, keep it.

    python benchmarks/evidence/run.py NAME --work FOLDER [--data FOLDER] [--set PATH=VALUE …]

Interrupted, the same command goes on where it stopped. The result is NAME.json beside this file:
what `curate prove` found, less what only a rerun needs, with machine, commit, plan hash and date.
Of a work tree with changes the commit says so; evidence that ships is made of a clean one. With
`--set` it is a trial: file and outputs lie in FOLDER under NAME-trial, so that the plan of the
evidence is not touched.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from compare import machine  # noqa: E402
from prepare import DATA, curate, prepare  # noqa: E402

RUN = ("arm", "seed", "share", "rate", "steps_factor", "n", "steps", "score")
"""What is kept of the record of each training."""
STEP = ("op", "in", "kept", "dropped", "quarantined", "edited", "reasons", "measured", "seconds")
"""What is kept of each step of the manifest."""


@dataclass(frozen=True)
class Experiment:
    """A recipe of this folder, and what is other than it says."""

    recipe: str
    change: Mapping[str, Any] = field(default_factory=dict)
    """Options by path, as for `--set`."""


def _cifar10n(labels: str, **more: Any) -> Experiment:
    """Return the recipe of CIFAR-10N with other labels."""
    name = "-".join(["cifar10n", labels, *more.pop("named", ())])
    noisy = {} if labels == "clean" else {"noisy": f"cifar10n/test-{labels}.parquet"}
    change = {
        "name": name,
        "read.path": f"cifar10n/train-{labels}.parquet",
        "write.path": f"out/{name}",
        "prove.tests": noisy,
    }
    return Experiment("cifar10n", change | more)


SMALL = {"prove.attribution": False, "prove.sizes": 0, "prove.rates": [], "prove.seeds": 5}
"""Of a second, slower model: only whether it says the same."""

EXPERIMENTS: dict[str, Experiment] = {
    "packages": Experiment("packages"),
    "packages-gpt": Experiment(
        "packages",
        {"name": "packages-gpt", "write.path": "out/packages-gpt", "prove.model": "gpt-bytes"}
        | SMALL,
    ),
    **{
        f"cifar10n-{labels}": _cifar10n(labels) for labels in ("worse", "random1", "aggre", "clean")
    },
    "cifar10n-worse-cnn": _cifar10n(
        "worse", named=["cnn"], **{"prove.model": "cnn", "prove.smallest_effect": 0.02} | SMALL
    ),
    "newsgroups": Experiment("newsgroups"),
    "newsgroups-talk": Experiment(
        "newsgroups",
        {
            "name": "newsgroups-talk",
            "read.path": "newsgroups/train-talk.parquet",
            "write.path": "out/newsgroups-talk",
            "prove.test": "newsgroups/test-talk.parquet",
            "prove.tests": {"raw": "newsgroups/test-raw-talk.parquet"},
            "prove.smallest_effect": 0.02,  # about what 1,500 posts can tell
        },
    ),
    "reviews": Experiment("reviews"),
}


def assignments(change: Mapping[str, Any]) -> list[str]:
    """Return options by path as arguments of `curate`."""
    return [
        part for path, value in change.items() for part in ("--set", f"{path}={json.dumps(value)}")
    ]


def slim(result: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a result, and of the run of the recipe that it judges."""
    runs = [{key: run[key] for key in RUN if key in run} for run in result["runs"]]
    steps = [{key: step[key] for key in STEP if key in step} for step in manifest["steps"]]
    return {
        **result,
        "runs": runs,
        "curation": {"rows": manifest["rows"], "seconds": manifest.get("seconds"), "steps": steps},
    }


def commit() -> str:
    """Return the commit of the checkout, `+changes` where more than evidence is uncommitted."""
    git = ["git", "-C", str(HERE)]
    found = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True)
    others = [":/", ":(exclude,top)benchmarks/evidence/*.json"]
    changed = subprocess.run(
        [*git, "status", "--porcelain", "--", *others], capture_output=True, text=True
    )
    return (found.stdout.strip() or "unknown") + ("+changes" if changed.stdout else "")


def vectors_made(work: Path) -> dict[str, Any]:
    """Return what the vectors cost that came with the pictures: the curator's cost, too."""
    path = work / "out" / "cifar10n-pictures" / "_curate" / "manifest.json"
    made = json.loads(path.read_bytes())
    return {"seconds": made["seconds"], "external_data": made["external_data"]}


def label_noise(train: pa.Table, ledger: pa.Table) -> dict[str, float]:
    """Return how many labels are wrong before and after, and how well `drop_label_errors` tells.

    Precision is the share of wrong labels among those it dropped; recall is its share of all wrong
    ones among the rows that came to it.
    """
    rows = train.select(["id", "label", "true_label"]).join(ledger, "id", join_type="inner")
    wrong = pc.not_equal(rows["label"], rows["true_label"])
    kept = pc.equal(rows["fate"], "kept")
    judged = pc.equal(pc.fill_null(rows["op"], ""), "drop_label_errors")

    def share(of: pa.ChunkedArray, among: pa.ChunkedArray) -> float:
        return round(pc.mean(of.filter(among).cast("float64")).as_py() or 0.0, 5)

    return {
        "wrong_before": round(pc.mean(wrong.cast("float64")).as_py(), 5),
        "wrong_after": share(wrong, kept),
        "precision": share(wrong, judged),
        "recall": share(judged, pc.and_(wrong, pc.or_(kept, judged))),
    }


def make(name: str, work: Path, data: Path, extra: list[str]) -> Path:
    """Make one piece of evidence; returns its file."""
    experiment = EXPERIMENTS[name]
    prepared = prepare(experiment.recipe, work, data)
    recipe = HERE / f"{experiment.recipe}.yaml"
    said = [str(recipe), *assignments(experiment.change)]
    said += [part for one in extra for part in ("--set", one)]
    out = work / "out" / (f"{name}-trial" if extra else name)
    said += assignments({"write.path": str(out)})
    if not (out / "_curate" / "manifest.json").exists():
        curate("run", *said, work=work)
    curate("prove", *said, work=work)
    result = json.loads((out.with_name(f"{out.name}.proof") / "result.json").read_bytes())
    manifest = json.loads((out / "_curate" / "manifest.json").read_bytes())
    evidence = {
        "experiment": name,
        "recipe": recipe.name,
        "change": dict(experiment.change),
        "trial": extra,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        **slim(result, manifest),
    }
    if experiment.recipe == "cifar10n":
        evidence["vectors"] = vectors_made(work)
    read = Path(experiment.change.get("read.path", "train.parquet")).name
    train = pq.read_table(prepared / read)
    if "true_label" in train.column_names:
        ledger = ds.dataset(out / "_curate" / "ledger").to_table(columns=["id", "fate", "op"])
        evidence["label_noise"] = label_noise(train, ledger)
    path = (work if extra else HERE) / f"{out.name}.json"
    path.write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=EXPERIMENTS)
    parser.add_argument("--work", type=Path, required=True, help="folder outside the repository")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--set", dest="extra", action="append", default=[], metavar="PATH=VALUE")
    given = parser.parse_args()
    print(make(given.name, given.work.resolve(), given.data.resolve(), given.extra))


if __name__ == "__main__":
    main()
