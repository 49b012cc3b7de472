"""Semantic duplicates by semhash on given vectors (its default index, usearch).

    python semantic_semhash.py INPUT.parquet OUTPUT.txt

The texts of the corpus are all different, so that only vectors decide.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from semhash import SemHash

SIMILARITY = 0.9


class Given:
    """An encoder that is never asked: the vectors are there."""

    def encode(self, inputs: list[str], **options: object) -> np.ndarray:
        """Refuse to encode."""
        raise RuntimeError("the vectors are given")


table = pq.read_table(sys.argv[1], columns=["id", "text", "embedding"])
column = table["embedding"].combine_chunks()
vectors = column.flatten().to_numpy().reshape(len(column), -1).astype(np.float32)
records = table.select(["id", "text"]).to_pylist()
hashed = SemHash.from_embeddings(vectors, records, Given(), columns=["text"])
kept = hashed.self_deduplicate(threshold=SIMILARITY).selected
Path(sys.argv[2]).write_text("".join(f"{record['id']}\n" for record in kept))
