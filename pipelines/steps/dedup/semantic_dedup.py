"""Drop rows whose vectors are nearly those of a kept row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isqrt
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from pipelines.errors import UserError
from pipelines.exchange.mail import (
    Mail,
    Message,
    Round,
    home,
    home_number,
    measure,
    message,
    note,
    open_mail,
)
from pipelines.maths.arrays import Int64, Keys, Vectors, offsets_of
from pipelines.maths.vectors.join_cells import Search, join_cells
from pipelines.maths.vectors.join_faiss import IndexSpec, join_nearest, make_index
from pipelines.maths.vectors.joins import Joined, edges_of, join_copies, join_tiles
from pipelines.maths.vectors.unit_vectors import (
    SAMPLE_A_CELL,
    TILE,
    UNITS,
    assign_cells,
    fit_centroids,
    margin_of,
    plan_cells,
    similarities,
)
from pipelines.rows import HOME, ID, KEY, Rows
from pipelines.rows.chance import Chance
from pipelines.steps.corpus import WHOLE, Site
from pipelines.steps.dedup.against import Dedup
from pipelines.steps.dedup.clusters.cluster_rounds import Clusters
from pipelines.steps.dedup.clusters.keepers import MERIT, NODE, Keep, keeper_order
from pipelines.steps.dedup.clusters.recall import QUERIES, have_a_better
from pipelines.steps.vectors.partitions import (
    Placed,
    open_members,
    partitions_of_cells,
    portions,
    post_members,
)
from pipelines.steps.vectors.vector_columns import (
    VECTOR,
    VectorCorpus,
    drawn_first,
    held_vectors,
    similarities_of,
    vector_lengths,
    vector_matrix,
    vector_numbers,
)

ByCentroid = Literal["closest_to_centroid", "farthest_from_centroid"]

_MOST_SAMPLED = 1 << 16


class SemanticDedup(VectorCorpus, Dedup):
    """Drop rows whose vector is close to that of a kept row (cosine similarity).

    Small corpora are compared exactly. Above 20,000 rows, centroids are trained on a sample (FAISS
    k-means), each vector goes to its nearest, at most `probes`, and vectors that meet are compared
    exactly, so a dropped row always has a neighbour at `similarity` or closer. Rows joined by such
    pairs form a cluster, of which one is kept. A zero vector is similar to nothing. Shuffles small
    columns; vectors go through files, once for each group of neighbouring cells a row is compared
    in; memory does not grow with the number of similar pairs. Recall is measured: 1,000 rows drawn
    by hash are compared with all rows, and the report says how many of those that have a similar
    row better than they (and so are dropped by exact search) were found. Reasons:
    `semantic_duplicate`, with the similarity to the row that is kept (where that is too low, the
    row is `linked through` others); `odd_vector` where the vector is shorter or longer than most.
    """

    op: Literal["semantic_dedup"] = "semantic_dedup"
    extra: ClassVar[str | None] = "semantic"
    imports: ClassVar[tuple[str, ...]] = ("faiss",)
    after_sign: ClassVar[tuple[str, ...]] = (
        *("similarity", "prefer", "order", "keep", "against"),
        *("index", "probes", "neighbours", "search", "gpu"),
    )

    similarity: float = Field(default=0.95, gt=0, le=1)
    """Smallest cosine similarity of two duplicates."""
    keep: Keep | ByCentroid = "longest"  # type: ignore[assignment]  # more than others have
    """Of rows that `prefer` does not tell apart, the one kept: with the longest content, the first
    in the input, with the smallest id, or closest to or farthest from the centroid of its k-means
    cell (up to 20,000 rows and with an `index`: the mean of the corpus). SemDeDup keeps the
    farthest (Abbas et al. 2023, arXiv:2303.09540). What is still equal is settled by the id."""
    index: str = Field(default="auto", min_length=1)
    """`auto`: cells, as said above. `exact`: all with all, in one worker. Else what FAISS's
    `index_factory` takes, such as `IVF1024,Flat` or `HNSW32`: one index of the whole corpus in one
    worker, whose memory must hold rows · dimensions · 12 bytes and the index; what it proposes is
    verified exactly."""
    probes: int = Field(default=8, ge=1, le=64)
    """Of `auto`: most cells each vector is compared in; more find more pairs and cost more."""
    neighbours: int = Field(default=10, ge=1, le=2048)
    """Of a FAISS index: closest rows it is asked for."""
    search: str | None = None
    """Of a FAISS index: search parameters, such as `nprobe=16` or `efSearch=64`."""
    gpu: bool = False
    """Of a FAISS index: put it on all GPUs; the same result each time is then not promised."""

    @model_validator(mode="after")
    def _options_are_of_the_index(self) -> Self:
        defaults = type(self).model_fields
        given = {name for name in defaults if getattr(self, name) != defaults[name].default}
        wrong = {"probes"} if self.faiss_index else {"neighbours", "search", "gpu"}
        for option in sorted(wrong & given):
            instead = "search: nprobe=16" if self.faiss_index else "index: IVF1024,Flat"
            raise UserError(
                f"`{option}` does nothing with index: {self.index}; leave it out or give, for "
                f"instance, {instead}"
            )
        return self

    @property
    def faiss_index(self) -> IndexSpec | None:
        """The FAISS index asked for, None without one."""
        if self.index in ("auto", "exact"):
            return None
        return IndexSpec(self.index, self.neighbours, self.search, self.gpu)

    def cells(self, total: int) -> int:
        """Return the number of cells for so many rows."""
        return plan_cells(total) if self.index == "auto" else 1

    def is_exact(self, total: int) -> bool:
        """Tell whether all rows are compared with all."""
        return self.faiss_index is None and self.cells(total) == 1

    def sample_size(self, total: int) -> int:
        """Return the rows to draw: to train centroids, for the mean, to measure recall."""
        cells = self.cells(total)
        if cells > 1:
            return min(_MOST_SAMPLED, max(QUERIES, cells * SAMPLE_A_CELL))
        if self.keep in get_args(ByCentroid):
            return _MOST_SAMPLED
        return 0 if self.is_exact(total) else QUERIES

    def stored(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return id and vector of each row, under a name and in a type that are always the same."""
        offsets = offsets_of(vector_lengths(rows, self.column)).astype(np.int32)
        vectors = pa.ListArray.from_arrays(offsets, vector_numbers(rows, self.column))
        return pa.table({ID: rows.ids, VECTOR: vectors})

    def described(self, rows: Rows, chance: Chance) -> dict[str, pa.Array]:
        """Return what decides whether a row of the sample is kept rather than another."""
        return self.credentials(rows)

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Return how rows were compared and the measured recall."""
        if measured.get("exact"):
            return "all rows were compared with all, so recall is 1 by construction"
        asked, better = measured.get("recall_queries", 0), measured.get("recall_sampled", 0)
        found = measured.get("recall_found", 0)
        recall = f", a recall of {found / better:.3f}" if better else ""
        return (
            f"of {asked:,.0f} rows drawn by hash and compared with all rows, {better:,.0f} are "
            f"dropped by exact search for a similar row better than they; the run drops "
            f"{found:,.0f} of these{recall}"
        )

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds sample → centroids → cells → clusters → recall."""

        def held(number: int, keys: Keys) -> pa.Table:
            return held_vectors(self.batches(site, number, keys), self.column)

        reason, threshold = "semantic_duplicate", self.similarity
        clusters = Clusters(site, self.op, reason, threshold, held, similarities_of)

        def train(address: str, mail: Mail) -> Iterator[Message]:
            return self._train(site, mail)

        def spread(address: str, mail: Mail) -> Iterator[Message]:
            return self._spread(site, home_number(address), mail["cells"])

        def compare(address: str, mail: Mail) -> Iterator[Message]:
            if "better" in mail:  # of some shards
                yield message(WHOLE, "better", pa.table({KEY: _keys(mail, "better")}))
            else:
                yield from self._compare(site, mail, clusters)

        def count(address: str, mail: Mail) -> Iterator[Message]:
            better = _keys(mail, "better")
            found = np.isin(better, _keys(mail, "found")).sum()
            yield measure(site.chance.step, recall_sampled=len(better), recall_found=found)

        return (
            *self.draw_rounds(site),
            Round(("plan", "sample"), train),
            Round(("cells",), spread),
            Round(("member", "slice", "better"), compare),
            *clusters.rounds(),
            Round(("better", "found"), count),
        )

    def _train(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Fit cells to the sample and store them where every shard can read them."""
        plan, seed = mail["plan"], site.chance.seed
        total, dimensions = plan["total"][0].as_py(), plan["dimensions"][0].as_py()
        if self.faiss_index and dimensions:
            make_index(self.faiss_index, dimensions)  # tells what cannot be before the work
        centroids = np.zeros((1, dimensions), np.float32)
        queries: dict[str, npt.NDArray[Any]] = {}
        if "sample" in mail:
            sample = drawn_first(mail["sample"], self.sample_size(total))
            vectors = vector_matrix(sample["vector"])
            centroids = fit_centroids(vectors, self.cells(total), seed)
            if not self.is_exact(total):
                queries = self._queries(sample, vectors, centroids)
        path = site.store(
            f"cells-{site.chance.step}.npz",
            centroids=centroids,
            partition=partitions_of_cells(centroids, total, seed),
            **queries,
        )
        for number in plan[HOME].to_pylist():
            yield message(home(number), "cells", pa.table({"path": [path]}))
        figures = {"cells": len(centroids), "recall_queries": len(queries.get("queries", ()))}
        if queries:  # so that they are there if nothing is similar
            figures |= {"recall_sampled": 0, "recall_found": 0}
        yield measure(site.chance.step, exact=self.is_exact(total), **figures)

    def _queries(
        self, sample: pa.Table, vectors: Vectors, centroids: Vectors
    ) -> dict[str, npt.NDArray[Any]]:
        """Return rows of this run to measure recall by, as arrays: vectors and columns NODE."""
        first = np.flatnonzero(sample[KEY].to_numpy() >= 0)[:QUERIES]
        sample, vectors = sample.take(pa.array(first)), vectors[first]
        cells = assign_cells(vectors, centroids, 1)
        asked = self._nodes(sample, 0, vectors, centroids[cells[:, 0]])
        packed = np.frombuffer(message("", "asked", asked)[1], np.uint8)
        return {"queries": vectors, "asked": packed}

    def _spread(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Send the rows of one shard to their cells; compare all of them with the queries."""
        fitted = site.load(told["path"][0].as_py())
        recall = open_mail([fitted["asked"].tobytes()] if "asked" in fitted else [])
        asked, better = _keys(recall, "asked"), np.zeros(0, np.int64)
        placed = self._placed(site, number, fitted["centroids"], asked)
        for i, portion in enumerate(portions(placed)):
            if recall:
                queries = fitted["queries"], recall["asked"]
                have = have_a_better(*queries, portion.vectors, portion.nodes, self.similarity)
                better = np.union1d(better, recall["asked"][KEY].to_numpy()[have])
            file = number << 20 | i
            path = f"{site.work}/vectors-{site.chance.step}/{file}.f32"
            yield from post_members(portion, fitted["partition"], path, file)
        if len(better):
            # United by sqrt(shards) at a time; an odd number, as shards have even ones.
            address = f"recall:{number % (isqrt(site.shards) | 1)}"
            yield message(address, "better", pa.table({KEY: better}))

    def _placed(self, site: Site, number: int, centroids: Vectors, asked: Keys) -> Iterator[Placed]:
        """Yield the rows of one shard with their vectors and cells."""
        for batch in self.batches(site, number):
            rows, vectors = self.usable(batch, centroids.shape[1])
            if not len(rows):
                continue
            cells = assign_cells(vectors, centroids, self.probes, margin_of(self.similarity))
            table = pa.table({KEY: rows.keys, **self.credentials(rows)})
            nodes = self._nodes(table, number, vectors, centroids[cells[:, 0]])
            is_query = pa.array(np.isin(rows.keys, asked))
            yield Placed(nodes.append_column("query", is_query), vectors, cells)

    def _nodes(
        self, table: pa.Table, number: int, vectors: Vectors, centroids: Vectors
    ) -> pa.Table:
        """Return columns NODE of rows of shard `number`, given the centroid nearest to each."""
        nodes = table.append_column(HOME, pa.repeat(np.int64(number), len(table))).select(NODE)
        if self.keep not in get_args(ByCentroid):
            return nodes
        close = np.rint(similarities(vectors, centroids) * UNITS).astype(np.int64)
        merit = close if self.keep == "closest_to_centroid" else -close
        return nodes.set_column(NODE.index(MERIT), MERIT, pa.array(merit))

    def _compare(self, site: Site, mail: Mail, clusters: Clusters) -> Iterator[Message]:
        """Compare the vectors of each cell with each other, the row that would be kept first."""
        met = open_members(mail)
        order = keeper_order(np.zeros(len(met.nodes), np.int64), met.nodes)
        nodes, vectors, cells = (
            met.nodes.take(pa.array(order)),
            met.vectors[order],
            met.cells[order],
        )
        del met  # the vectors are large
        joined = self._join(vectors, cells, site.chance.seed)
        if joined.left_out:
            what = f"times {TILE:,} rows of one cell were not compared with {TILE:,} others of it"
            yield note(self.op, what, joined.left_out)
        keys, leaders = nodes[KEY].to_numpy(), joined.leaders()
        found = (leaders != np.arange(len(keys))) & nodes["query"].to_numpy()
        if found.any():
            yield message(WHOLE, "found", pa.table({KEY: keys[found]}))
        grouped = pa.array(joined.similarity > 0)
        edges = edges_of(keys, vectors, joined, self.similarity)
        yield from clusters.post(edges, nodes.select(NODE).filter(grouped))

    def _join(self, vectors: Vectors, cells: Int64, seed: int) -> Joined:
        """Join similar vectors: of one cell, of the whole corpus, or as an index proposes."""
        spec, search = self.faiss_index, Search(self.similarity, self.probes, seed)

        def join(first: Int64) -> Joined:
            if spec:
                return join_nearest(vectors[first], self.similarity, spec, seed)
            if self.index == "exact":
                return join_tiles(vectors[first], self.similarity)
            return join_cells(vectors[first], cells[first], search)

        return join_copies(vectors, join)


def _keys(mail: Mail, kind: str) -> Keys:
    """Return the different keys in mail of one kind."""
    keys: Keys = np.unique(mail[kind][KEY].to_numpy()) if kind in mail else np.zeros(0, np.int64)
    return keys
