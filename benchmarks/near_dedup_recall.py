"""Hold `near_dedup` against brute force: every pair of some thousand documents.

    python benchmarks/near_dedup_recall.py [CORPUS.parquet TRUTH.parquet] [--rows 5000]
        [--similarity 0.7 0.8]

Runs normalize_text → exact_dedup → near_dedup at each threshold and prints, against the true
Jaccard similarity of all pairs (`similar_texts.all_pairs`, which shares no code with the step):

- pairs: of the pairs at the threshold or above, the share of which not both rows stay;
- rows to remove that are gone, and dropped rows of which no row of their component stays;
- evidence: dropped rows whose similarity to the row named in the ledger, as the ledger has it, is
  not the true one (by more than 0.005; the step splits words otherwise than `\\w+` here and there).

Without a corpus one is generated from a seed; of a given one whole clusters are drawn.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from corpora import write_texts
from found import components, measure, pairs_found
from judges import kept_mask, subset
from similar_texts import all_pairs, shingle_sets
from tools import NEAR, Ours


def evidence(out: Path) -> pa.Table:
    """Return what the ledger says of the rows that `near_dedup` dropped."""
    files = sorted((out / "_curate" / "ledger").glob("*.parquet"))
    table = pa.concat_tables([pq.read_table(f, columns=_LEDGER) for f in files])
    rows = [row for row in table.to_pylist() if row["op"] == "near_dedup" and row["other"]]
    return pa.Table.from_pylist(rows, schema=table.schema)


_LEDGER = ["id", "op", "other", "value"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path, nargs="?")
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--similarity", type=float, nargs="+", default=[0.7, 0.8])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        corpus = folder / "corpus.parquet"
        if given.corpus and given.truth:
            subset(given.corpus, given.truth, given.rows, corpus)
        else:
            write_texts(corpus, given.rows)
        table = pq.read_table(corpus)
        place = {row_id: i for i, row_id in enumerate(table["id"].to_pylist())}
        sets = shingle_sets(table["text"].to_pylist())
        for threshold in given.similarity:
            left, right, _ = all_pairs(sets, threshold)
            tool = Ours("curate", NEAR.format(threshold), "near")
            used, kept = tool.run(corpus, folder, folder / "log.txt")
            mask = kept_mask(table["id"], kept)
            found = measure(components(len(mask), left, right), mask)
            said = evidence(folder / "out")
            a = np.array([place[row_id] for row_id in said["id"].to_pylist()], dtype=np.int64)
            b = np.array([place[row_id] for row_id in said["other"].to_pylist()], dtype=np.int64)
            value = said["value"].to_numpy()
            wrong = int((np.abs(sets.jaccard(a, b) - value) > 0.005).sum())
            print(f"similarity {threshold}, {len(mask):,} rows: {used}")
            print(f"  pairs {pairs_found(left, right, mask)}")
            print(f"  rows {found.figures()}")
            print(f"  evidence: {wrong} of {len(said)} similarities are not the true one")


if __name__ == "__main__":
    main()
