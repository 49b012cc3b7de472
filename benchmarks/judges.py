"""Judges of what a tool kept, one a kind of work; each works out the truth once, then counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from found import Kept, Positions, components, measure, pairs_found
from similar_texts import shingle_sets, similar_pairs

Judge = Callable[[set[str]], dict[str, Any]]
"""From the ids of the rows that a tool kept to figures."""
SIMILAR = 0.9
"""Cosine similarity of semantic duplicates."""
BINS = {"0.8-1": (0.8, 1.01), "0.7-0.8": (0.7, 0.8)}
_SHORT = 5
_BLOCK = 1_000


def kept_mask(ids: pa.ChunkedArray, kept: set[str]) -> Kept:
    """Return which rows a tool kept; ids that it made up are an error."""
    mask = np.array([row_id in kept for row_id in ids.to_pylist()], dtype=np.bool_)
    if mask.sum() != len(kept):
        strange = sorted(kept - set(ids.to_pylist()))[:3]
        raise ValueError(f"{len(kept) - mask.sum()} kept ids are not in the corpus: {strange}")
    return mask


def judge_near(corpus: Path, truth: pa.Table) -> Judge:
    """Judge near-duplicates of texts by their true Jaccard similarity.

    Figures: `planted`, of the pairs of a near-copy and its original, by their true similarity, the
    share of which not both stay; `at_0.8` and `at_0.7`, rows to remove found and rows lost, by the
    components of all true pairs at that similarity; `short`, of the distinct texts of one to four
    words, how many are gone altogether.
    """
    table = pq.read_table(corpus, columns=["id", "text"])
    sets = shingle_sets(table["text"].to_pylist())
    left, right, similarity = similar_pairs(sets, 0.7)
    rows = len(sets.sizes)
    groups = {
        f"at_{bound}": components(rows, left[similarity >= bound], right[similarity >= bound])
        for bound in (0.8, 0.7)
    }
    equal = components(rows, left[similarity == 1], right[similarity == 1])
    near, original = planted_pairs(table["id"], truth)
    true = sets.jaccard(near, original)
    bins = {name: (low <= true) & (true < high) for name, (low, high) in BINS.items()}
    short = (sets.words > 0) & (sets.words < _SHORT)

    def judge(kept: set[str]) -> dict[str, Any]:
        mask = kept_mask(table["id"], kept)
        planted = {
            name: pairs_found(near[inside], original[inside], mask) for name, inside in bins.items()
        }
        found = {name: measure(group, mask).figures() for name, group in groups.items()}
        said = len(np.unique(equal[short]))
        gone = said - len(np.unique(equal[short & mask]))
        lost = {"texts": said, "lost": gone}
        return {"kept": int(mask.sum()), "planted": planted, **found, "short": lost}

    return judge


def planted_pairs(ids: pa.ChunkedArray, truth: pa.Table) -> tuple[Positions, Positions]:
    """Return the positions of near-copies and of the originals of their clusters."""
    place = dict(zip(ids.to_pylist(), range(len(ids)), strict=True))
    columns = (truth[name].to_pylist() for name in ("id", "kind", "cluster"))
    rows = list(zip(*columns, strict=True))
    originals = {cluster: place[row_id] for row_id, kind, cluster in rows if kind == "base"}
    pairs = [
        (place[row_id], originals[cluster])
        for row_id, kind, cluster in rows
        if kind == "near" and cluster in originals
    ]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def judge_exact(corpus: Path, truth: pa.Table) -> Judge:
    """Judge exact duplicates: texts that are equal letter for letter."""
    table = pq.read_table(corpus, columns=["id", "text"])
    groups = table["text"].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
    return _by_groups(table["id"], groups)


def judge_planted(corpus: Path, truth: pa.Table) -> Judge:
    """Judge by what was planted: the rows of one cluster, and no others, are alike.

    `planted`: by kind of copy, the pairs of a copy and its original of which not both stay.
    """
    groups = truth["cluster"].to_numpy().astype(np.int64)
    judge_groups = _by_groups(truth["id"], groups)
    kinds = truth["kind"].to_numpy(zero_copy_only=False)
    first = {int(groups[i]): i for i in np.flatnonzero(np.isin(kinds, ("base", "template")))}

    def judge(kept: set[str]) -> dict[str, Any]:
        mask = kept_mask(truth["id"], kept)
        planted = {}
        for kind in sorted(set(kinds) - {"base", "template", "lookalike"}):
            copies = np.flatnonzero(kinds == kind)
            originals = np.array([first[int(groups[i])] for i in copies], dtype=np.int64)
            planted[kind] = pairs_found(copies, originals, mask)
        return {**judge_groups(kept), "planted": planted}

    return judge


def judge_semantic(corpus: Path, truth: pa.Table) -> Judge:
    """Judge semantic duplicates by exact search over all pairs, at SIMILAR."""
    table = pq.read_table(corpus, columns=["id", "embedding"])
    column = table["embedding"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(column), -1).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return _by_groups(table["id"], similar_vectors(vectors, SIMILAR))


def similar_vectors(vectors: npt.NDArray[np.float32], similarity: float) -> Positions:
    """Return the components of all pairs of unit vectors at that cosine or above: O(n²).

    Pairs near the bound are taken again in float64 and rounded to six places. Components are
    joined block by block, so memory does not grow with the number of pairs.
    """
    rows = len(vectors)
    groups = np.arange(rows)
    for start in range(0, rows, _BLOCK):
        product = vectors[start : start + _BLOCK] @ vectors[start:].T
        i, j = np.nonzero(product >= similarity - 1e-5)
        value = product[i, j]
        i, j = i + start, j + start
        close = np.abs(value - similarity) < 1e-4
        exact = (vectors[i[close]].astype(np.float64) * vectors[j[close]]).sum(axis=1)
        good = value >= similarity
        good[close] = np.round(exact, 6) >= similarity
        good &= i < j
        first = np.unique(groups, return_index=True)[1]
        left = np.concatenate([i[good], np.arange(rows)])
        right = np.concatenate([j[good], first[np.unique(groups, return_inverse=True)[1]]])
        groups = components(rows, left, right)
    return groups


def _by_groups(ids: pa.ChunkedArray, groups: Positions) -> Judge:
    """Return a judge by groups of rows that are alike."""

    def judge(kept: set[str]) -> dict[str, Any]:
        mask = kept_mask(ids, kept)
        return {"kept": int(mask.sum()), "groups": measure(groups, mask).figures()}

    return judge


def subset(corpus: Path, truth: Path, rows: int, out: Path, seed: int = 0) -> pa.Table:
    """Write whole clusters of a given corpus until there are `rows` rows; returns their truth."""
    table, known = pq.read_table(corpus, columns=["id", "text"]), pq.read_table(truth)
    if table["id"].to_pylist() != known["id"].to_pylist():
        raise ValueError(f"{truth}: its column id is not that of {corpus}, in the same order")
    clusters, counts = np.unique(known["cluster"].to_numpy(), return_counts=True)
    order = np.random.default_rng(seed).permutation(len(clusters))
    taken = clusters[order[np.cumsum(counts[order]) <= rows]]
    mask = pc.is_in(known["cluster"], pa.array(taken))
    pq.write_table(table.filter(mask), out, row_group_size=10_000)
    return known.filter(mask)


JUDGES = {
    "near": judge_near,
    "exact": judge_exact,
    "semantic": judge_semantic,
    "images": judge_planted,
    "template": judge_planted,
    "plain": judge_planted,
    "blob": judge_planted,
}
