"""Semantic duplicates by faiss: range search, then connected components; the first row is kept.

    python semantic_faiss.py exact|NPROBE INPUT.parquet OUTPUT.txt

`exact` searches an IndexFlatIP; a number searches an IndexIVFFlat of 1,024 cells (fewer for fewer
than 40,000 vectors) with that many probes. One thread.
"""

import sys
from pathlib import Path

import faiss
import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIMILARITY, BLOCK = 0.9, 4_096

how, corpus, output = sys.argv[1:]
table = pq.read_table(corpus, columns=["id", "embedding"]).combine_chunks()
column = table["embedding"].combine_chunks()
vectors = column.flatten().to_numpy().reshape(len(column), -1).astype(np.float32)
faiss.normalize_L2(vectors)
rows, width = vectors.shape
if how == "exact":
    index = faiss.IndexFlatIP(width)
else:
    cells = max(1, min(1_024, rows // 39))
    flat = faiss.IndexFlatIP(width)
    index = faiss.IndexIVFFlat(flat, width, cells, faiss.METRIC_INNER_PRODUCT)
    index.nprobe = int(how)
    index.train(vectors)
index.add(vectors)
root = np.arange(rows)
for start in range(0, rows, BLOCK):
    limits, _, right = index.range_search(vectors[start : start + BLOCK], SIMILARITY)
    left = np.repeat(np.arange(start, start + len(limits) - 1), np.diff(limits).astype(np.int64))
    later = left < right
    left, right = left[later], right[later]
    # The components so far are edges to their roots; so memory does not grow with the pairs.
    ends = (np.concatenate([left, np.arange(rows)]), np.concatenate([right, root]))
    graph = coo_array((np.ones(len(ends[0]), np.bool_), ends), shape=(rows, rows))
    groups = connected_components(graph, directed=False)[1]
    root = np.unique(groups, return_index=True)[1][groups]
ids = table["id"].to_numpy(zero_copy_only=False)[root == np.arange(rows)]
Path(output).write_text("".join(f"{row_id}\n" for row_id in ids))
