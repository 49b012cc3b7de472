"""Drop rows whose vectors are nearly those of a kept row: FAISS, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.components import verdicts_of_edges
from pipelines.keepers import NODE, credentials
from pipelines.mail import Mail, Message, Round, home_number, home, message, scatter
from pipelines.neighbours import assign_cells, plan_cells, similar_pairs, train_centroids
from pipelines.rows import KEY, MissingColumn, Rows, whole
from pipelines.steps.corpus import HOME, WHOLE, Corpus, Site
from pipelines.steps.step import Chance
from pipelines.tokens import mix

_SAMPLE = 1 << 16
_CELL_PARTITIONS = 256


class SemanticDedup(Corpus):
    """Drop rows whose vector is close to that of a kept row (cosine similarity).

    Small corpora are compared exactly. Above 20,000 rows, centroids are trained on a sample (FAISS
    k-means), each vector goes to its `probes` nearest, and vectors that meet are compared exactly,
    so a dropped row always has a neighbour at `similarity` or closer. Rows joined by such pairs
    form a cluster, of which one is kept: highest `prefer`, then longest, then smallest id. A zero
    vector is similar to nothing. Reason: `semantic_duplicate`.
    """

    op: Literal["semantic_dedup"] = "semantic_dedup"
    extra: ClassVar[str | None] = "semantic"
    imports: ClassVar[tuple[str, ...]] = ("faiss",)
    similarity: float = Field(default=0.95, gt=0, le=1)
    """Smallest cosine similarity of two duplicates."""
    column: str = "_embedding"
    """Column of vectors: made by `embed`, or one that came with the data."""
    probes: int = Field(default=4, ge=1, le=64)
    """Cells each vector is compared in; more find more pairs and cost more."""
    prefer: str | None = None
    """Numeric column of which the row with the highest value is kept."""

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return key, unit vector and what decides the keeper."""
        vectors = unit_vectors(rows, self.column)
        able = pa.array(np.any(vectors != 0, axis=1))
        table = pa.table(
            {
                KEY: rows.keys,
                "vector": pa.FixedSizeListArray.from_arrays(vectors.ravel(), vectors.shape[1]),
                **credentials(rows, self.prefer),
            }
        )
        return table.filter(able)

    def send(self, signed: pa.Table, number: int, shards: int) -> Iterator[Message]:
        """Post the shard's part of the training sample: the rows of the smallest key hashes."""
        hashes = mix(signed[KEY].to_numpy().astype(np.uint64))
        order = np.argsort(hashes, kind="stable")[:_SAMPLE]
        sample = signed.take(pa.array(order)).select([KEY, "vector"])
        sample = sample.append_column("hash", pa.array(hashes[order]))
        yield message(WHOLE, "sample", sample)
        yield message(WHOLE, "size", pa.table({HOME: [number], "rows": [len(signed)]}))

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds centroids → cells → edges → verdicts."""

        def train(address: str, mail: Mail) -> Iterator[Message]:
            return self._train(site, mail)

        def spread(address: str, mail: Mail) -> Iterator[Message]:
            return self._spread(site, home_number(address), mail["centroids"])

        return (
            Round(("sample", "size"), train),
            Round(("centroids",), spread),
            Round(("member",), self._compare),
            Round(("edge", "node"), self._cluster),
        )

    def _train(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Train centroids on the sample of all shards and tell every shard."""
        total = int(np.sum(mail["size"]["rows"].to_numpy()))
        sample = mail["sample"].sort_by([("hash", "ascending"), (KEY, "ascending")])
        cells = plan_cells(total)
        vectors = matrix(sample["vector"].slice(0, _SAMPLE))
        centroids = train_centroids(vectors, cells, seed=site.chance.seed)
        flat = pa.array(centroids.ravel(), pa.float32())
        table = pa.table({"vector": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})
        for number in mail["size"][HOME].to_pylist():
            yield message(home(number), "centroids", table)

    def _spread(self, site: Site, number: int, centroids: pa.Table) -> Iterator[Message]:
        """Send each vector of one shard to its nearest cells."""
        for rows in site.rows(number):
            signed = self.sign(rows, site.chance)
            signed = signed.append_column(HOME, pa.repeat(np.int64(number), len(signed)))
            cells = assign_cells(matrix(signed["vector"]), matrix(centroids["vector"]), self.probes)
            row = np.repeat(np.arange(len(signed)), cells.shape[1])
            members = signed.take(pa.array(row)).append_column("cell", pa.array(cells.ravel()))
            to = cells.ravel() % _CELL_PARTITIONS
            for address, part in scatter(members, to, lambda p: f"cells:{p}"):
                yield message(address, "member", part)

    def _compare(self, address: str, mail: Mail) -> Iterator[Message]:
        """Compare the vectors of each cell with each other."""
        members = mail["member"].sort_by([("cell", "ascending"), (KEY, "ascending")])
        cells = members["cell"].to_numpy()
        bounds = np.flatnonzero(np.concatenate([[True], np.diff(cells) != 0, [True]]))
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            cell = members.slice(start, stop - start)
            left, right, similarity = similar_pairs(matrix(cell["vector"]), self.similarity)
            if not len(left):
                continue
            keys = cell[KEY].to_numpy()
            edges = {"a": keys[left], "b": keys[right], "similarity": similarity}
            yield message(WHOLE, "edge", pa.table(edges))
            nodes = np.unique(np.concatenate([left, right]))
            yield message(WHOLE, "node", cell.select(NODE).take(pa.array(nodes)))

    def _cluster(self, address: str, mail: Mail) -> Iterator[Message]:
        """Keep one row of each cluster."""
        return verdicts_of_edges(
            mail["edge"], mail["node"], "semantic_duplicate", self.similarity
        )


def matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Return a column of fixed-size float32 lists as an array, shape (rows, dimensions)."""
    values = whole(column)
    flat = values.flatten().to_numpy(zero_copy_only=False)
    return np.ascontiguousarray(flat.reshape(len(values), values.type.list_size), np.float32)


def unit_vectors(rows: Rows, column: str) -> np.ndarray:
    """Return the vectors of a column scaled to length 1, float32 (rows, dimensions).

    Raises:
        MissingColumn: no such column, or its values are not vectors of numbers.
        ValueError: a row has no vector, one of another length, or one that is not finite.
    """
    values = rows.column(column, "vector column")
    kind = values.type
    if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind)
            or pa.types.is_large_list(kind)):
        raise MissingColumn(f"column {column!r} holds {kind}, not vectors: lists of numbers")
    if values.null_count:
        raise ValueError(f"column {column!r} is null")
    flat = np.asarray(values.flatten().to_numpy(zero_copy_only=False), dtype=np.float64)
    if len(values) == 0:
        return np.zeros((0, 1), np.float32)
    vectors = flat.reshape(len(values), -1)
    if not np.isfinite(vectors).all():
        raise ValueError(f"column {column!r} has a value that is not finite")
    length = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    return (vectors / np.where(length == 0, 1, length)).astype(np.float32)
