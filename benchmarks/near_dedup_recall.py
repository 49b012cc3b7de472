"""Measure recall and precision of `near_dedup` on a corpus with planted near-duplicates.

Runs normalize_text → exact_dedup → near_dedup at each threshold in a temporary folder and prints,
per threshold:

- recall by true Jaccard similarity: of the planted near-duplicates whose similarity to their
  original lies in a bin, the share that ends with it at the same kept row. Measured once by the
  planted figure (`true_j`, words by `\\w+`), once by the similarity of the normalised texts
  recomputed here (in scripts without spaces a character is a word);
- precision: the share of the rows dropped as near_duplicate whose recomputed similarity to another
  row of the cluster they were dropped with is the threshold or more.

The truth file has the columns id, kind (`near` rows are planted), cluster and true_j.
"""

import argparse
import collections
import re
import tempfile
import time
from pathlib import Path
from unicodedata import category

import pyarrow as pa
import pyarrow.parquet as pq

SHINGLE = 5
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
)
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+")


def shingle_set(text: str) -> frozenset[tuple[str, ...]]:
    found = WORD.findall(text.lower())
    words = [w for w in found if len(w) > 1 or w == "_" or category(w)[0] in "LMN"]
    if len(words) < SHINGLE:
        return frozenset([tuple(words)] if words else [])
    return frozenset(tuple(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


def jaccard(a: frozenset, b: frozenset) -> float:
    union = len(a | b)
    return len(a & b) / union if union else 0.0


def normalised(texts: pa.ChunkedArray) -> list[str]:
    """Return the texts as near_dedup sees them."""
    from pipelines.rows import ID, KEY, Columns, Rows
    from pipelines.steps.normalize import NormalizeText
    from pipelines.steps.step import Chance

    n = len(texts)
    table = pa.table({"text": texts, KEY: range(n), ID: [str(i) for i in range(n)]})
    rows = NormalizeText().apply(Rows(table, Columns(text="text")), Chance(0, 1))
    return rows.text.to_pylist()


def run(corpus: Path, out: Path, similarity: float, workers: int | None) -> pa.Table:
    """Return the ledger of a run."""
    from curate.recipe import load_recipe
    from curate.run import run_recipe

    recipe = out / "recipe.yaml"
    recipe.write_text(
        f"""name: near-dedup-recall
read: {{format: parquet, path: {corpus.absolute()}}}
steps:
  - op: normalize_text
  - op: exact_dedup
  - op: near_dedup
    similarity: {similarity}
write: {{path: {out / "out"}}}
"""
    )
    run_recipe(load_recipe(str(recipe)), workers=workers)
    files = sorted((out / "out" / "_curate" / "ledger").iterdir())
    tables = [
        pq.read_table(f) if f.suffix == ".parquet" else pa.ipc.open_file(f).read_all()
        for f in files
    ]
    return pa.concat_tables(tables)


def measure(texts: dict[str, str], truth: pa.Table, ledger: pa.Table, similarity: float) -> None:
    dropped = {
        row["id"]: row
        for row in ledger.select(["id", "fate", "op", "other", "value"]).to_pylist()
        if row["fate"] == "dropped"
    }
    near = {i: row for i, row in dropped.items() if row["op"] == "near_dedup"}
    sets: dict[str, frozenset] = {}

    def shingles(row_id: str) -> frozenset:
        if row_id not in sets:
            sets[row_id] = shingle_set(texts[row_id])
        return sets[row_id]

    clusters = collections.defaultdict(list)
    for row in truth.select(["id", "kind", "cluster", "true_j"]).to_pylist():
        clusters[row["cluster"]].append(row)
    bins = ((0.8, 1.01), (0.7, 0.8))
    for name in ("planted", "recomputed"):
        hits, totals = collections.Counter(), collections.Counter()
        for rows in clusters.values():
            originals = [r["id"] for r in rows if r["kind"] == "base"]
            for row in rows:
                if row["kind"] != "near" or not originals:
                    continue
                true = row["true_j"]
                if name == "recomputed":
                    true = jaccard(shingles(row["id"]), shingles(originals[0]))
                for low, high in bins:
                    if low <= true < high:
                        totals[low] += 1
                        hits[low] += _found(row["id"], originals[0], dropped)
        parts = [
            f"{low:.1f}-{min(high, 1):.1f}: {hits[low] / max(totals[low], 1):.4f} "
            f"({hits[low]}/{totals[low]})"
            for low, high in bins
        ]
        print(f"  recall by {name} Jaccard   " + "   ".join(parts))
    groups = collections.defaultdict(list)
    for row_id, row in near.items():
        groups[row["other"]].append(row_id)
    right = 0
    for keeper, members in groups.items():
        for row_id in members:
            others = [keeper, *(m for m in members if m != row_id)]
            right += any(jaccard(shingles(row_id), shingles(o)) >= similarity for o in others)
    print(f"  precision {right / max(len(near), 1):.6f} ({right}/{len(near)})")


def _found(row_id: str, original: str, dropped: dict[str, dict]) -> bool:
    """Tell whether two rows were led to the same kept row."""

    def kept(at: str) -> str:
        while at in dropped:
            at = dropped[at]["other"]
        return at

    return kept(row_id) == kept(original)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("corpus", type=Path, help="parquet with the columns id and text")
    parser.add_argument("truth", type=Path, help="parquet with id, kind, cluster, true_j")
    parser.add_argument("--similarity", type=float, nargs="+", default=[0.7, 0.8])
    parser.add_argument("--workers", type=int, default=None)
    options = parser.parse_args()
    table = pq.read_table(options.corpus, columns=["id", "text"])
    texts = dict(zip(table["id"].to_pylist(), normalised(table["text"]), strict=True))
    truth = pq.read_table(options.truth)
    for similarity in options.similarity:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            ledger = run(options.corpus, Path(folder), similarity, options.workers)
            print(
                f"similarity {similarity}: {time.perf_counter() - start:.1f} s, "
                f"{len(texts)} rows in"
            )
        measure(texts, truth, ledger, similarity)


if __name__ == "__main__":
    main()
