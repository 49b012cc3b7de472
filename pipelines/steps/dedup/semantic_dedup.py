"""Drop rows whose vectors are nearly those of a kept row."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, Literal, get_args

import numpy as np
import pyarrow as pa

from pipelines.exchange.mail import Mail, Message, Round, home, home_number, measure, message, note
from pipelines.maths.arrays import Keys, Vectors, offsets_of
from pipelines.maths.vectors.joins import edges_of
from pipelines.maths.vectors.unit_vectors import (
    SAMPLE_PER_CELL,
    TILE,
    UNITS,
    assign_cells,
    fit_centroids,
    margin_of,
    similarities,
)
from pipelines.rows import HOME, ID, KEY, Rows
from pipelines.rows.chance import Chance
from pipelines.rows.keys import of_earlier_run
from pipelines.steps.corpus import WHOLE, Site, combine_address
from pipelines.steps.dedup.against import Dedup
from pipelines.steps.dedup.clusters.cluster_rounds import Clusters, Link
from pipelines.steps.dedup.clusters.conflicts import LABEL, node_columns, unlabelled
from pipelines.steps.dedup.clusters.keepers import MERIT, NODE, Keep, keeper_order
from pipelines.steps.dedup.clusters.recall import QUERIES, Queries, have_a_better
from pipelines.steps.dedup.vector_search import VectorSearch
from pipelines.steps.vectors.partitions import (
    Placed,
    open_members,
    partitions_of_cells,
    portion_number,
    portions,
    post_members,
)
from pipelines.steps.vectors.vector_columns import (
    VECTOR,
    VectorCorpus,
    drawn_first,
    held_vectors,
    similarities_of,
    similarity_grid_of,
    vector_lengths,
    vector_matrix,
    vector_numbers,
)

ByCentroid = Literal["closest_to_centroid", "farthest_from_centroid"]

_MOST_SAMPLED = 1 << 16


class SemanticDedup(VectorSearch, VectorCorpus, Dedup):
    """Drop rows whose vector is close to that of a kept row (cosine similarity).

    Small corpora are compared exactly. Above 20,000 rows, centroids are trained on a sample (FAISS
    k-means), each vector goes to the cells of its nearest centroids, at most `probes`, and vectors
    that meet in a cell are compared exactly: so a dropped row always has a neighbour at
    `similarity` or closer. Rows joined by such pairs form a cluster. Its best row is kept, the rows
    similar to that are dropped, and so on with what is left: each dropped row is similar to a kept
    one (see `link`). A zero vector is similar to nothing. Small columns are shuffled; vectors go
    through files, once for each group of neighbouring cells in which a row is compared; memory does
    not grow with the number of similar pairs. Recall is measured: 1,000 rows drawn by hash are
    compared with all rows. Some of them have a similar row that is better; the report says of how
    many of these the search found one. Reasons: `semantic_duplicate`, with the similarity to the
    row that is kept; `odd_vector` where the vector is shorter or longer than most.
    """

    op: Literal["semantic_dedup"] = "semantic_dedup"
    extra: ClassVar[str | None] = "semantic"
    imports: ClassVar[tuple[str, ...]] = ("faiss",)
    varies: ClassVar[str | None] = "which pairs a FAISS `index` proposes; without one, nothing"
    after_sign: ClassVar[tuple[str, ...]] = (
        *("similarity", "link", "prefer", "order", "keep", "against", "conflicts"),
        *("index", "probes", "neighbours", "search", "gpu"),
    )

    link: Link = "direct"
    """What makes a row a duplicate: `direct`, that it is similar to a row that is kept; `chain`,
    that similar rows lead from it to the kept row, one to the next."""
    keep: Keep | ByCentroid = "longest"  # type: ignore[assignment]  # more than others have
    """Which row is kept of those that `prefer` does not tell apart: the one with the longest
    content, the first in the input, the one with the smallest id, or the one closest to or farthest
    from the centroid of its k-means cell (up to 20,000 rows and with an `index`: the mean of the
    corpus). SemDeDup keeps the farthest (Abbas et al. 2023, arXiv:2303.09540). Among rows that are
    still equal, the smallest id decides."""

    def sample_size(self, total: int) -> int:
        """Return how many rows to draw: to train centroids, for the mean, to measure recall."""
        cells = self.cells(total)
        if cells > 1:
            return min(_MOST_SAMPLED, max(QUERIES, cells * SAMPLE_PER_CELL))
        if self.keep in get_args(ByCentroid):
            return _MOST_SAMPLED
        return 0 if self.is_exact(total) else QUERIES

    def stored(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return id and vector of each row, under a name and in a type that are always the same."""
        offsets = offsets_of(vector_lengths(rows, self.column)).astype(np.int32)
        vectors = pa.ListArray.from_arrays(offsets, vector_numbers(rows, self.column))
        return pa.table({ID: rows.ids, VECTOR: vectors})

    def described(self, rows: Rows, chance: Chance) -> dict[str, pa.Array]:
        """Return what decides which of several rows is kept."""
        columns = self.keeper_columns(rows)
        del columns[LABEL]
        return columns

    def in_words(self, measured: Mapping[str, float]) -> str:
        """Say how rows were compared, and the measured recall."""
        if measured.get("exact"):
            return "all rows were compared with all, so recall is 1 by construction"
        asked, better = measured.get("recall_queries", 0), measured.get("recall_sampled", 0)
        found = measured.get("recall_found", 0)
        recall = f", a recall of {found / better:.3f}" if better else ""
        return (
            f"of {asked:,.0f} rows drawn by hash and compared with all rows, {better:,.0f} have a "
            f"similar row better than they; the search found one for {found:,.0f} of these{recall}"
        )

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds sample → centroids → cells → clusters → recall."""

        def held(number: int, keys: Keys) -> pa.Table:
            return held_vectors(self.batches(site, number, keys), self.column)

        reason, threshold = "semantic_duplicate", self.similarity
        clusters = Clusters(
            *(site, self.op, reason, threshold, held, similarities_of, similarity_grid_of),
            link=self.link,
            conflicts=self.conflicts,
        )

        def train(address: str, mail: Mail) -> Iterator[Message]:
            return self._train(site, mail)

        def spread(address: str, mail: Mail) -> Iterator[Message]:
            return self._spread(site, home_number(address), mail["cells"])

        def compare(address: str, mail: Mail) -> Iterator[Message]:
            if "better" in mail:  # a `combine_address`, not a partition of cells
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
        self.check_index(dimensions)
        centroids = np.zeros((1, dimensions), np.float32)
        queries: Queries | None = None
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
            **(queries.arrays() if queries else {}),
        )
        for number in plan[HOME].to_pylist():
            yield message(home(number), "cells", pa.table({"path": [path]}))
        figures = {"cells": len(centroids), "recall_queries": 0}
        if queries:  # zeros, so that these figures are there even if nothing is similar
            asked = len(queries.vectors)
            figures |= {"recall_queries": asked, "recall_sampled": 0, "recall_found": 0}
        yield measure(site.chance.step, exact=self.is_exact(total), **figures)

    def _queries(self, sample: pa.Table, vectors: Vectors, centroids: Vectors) -> Queries:
        """Return rows of this run by which recall is measured."""
        first = np.flatnonzero(~of_earlier_run(sample[KEY].to_numpy()))[:QUERIES]
        sample, vectors = sample.take(pa.array(first)), vectors[first]
        cells = assign_cells(vectors, centroids, 1)
        return Queries(
            vectors, self._nodes(sample, 0, vectors, centroids[cells[:, 0]]).select(NODE)
        )

    def _spread(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Send the rows of one shard to their cells; compare all of them with the queries."""
        fitted = site.load(told["path"][0].as_py())
        queries, better = Queries.of(fitted), np.zeros(0, np.int64)
        asked = queries.keys if queries else better
        placed = self._placed(site, number, fitted["centroids"], asked)
        for i, portion in enumerate(portions(placed)):
            if queries:
                have = have_a_better(queries, portion.vectors, portion.nodes, self.similarity)
                better = np.union1d(better, asked[have])
            portion = replace(portion, nodes=unlabelled(portion.nodes))
            file = portion_number(number, i)
            path = f"{site.work}/vectors-{site.chance.step}/{file}.f32"
            yield from post_members(portion, fitted["partition"], path, file)
        if len(better):
            address = combine_address("recall", number, site.shards)
            yield message(address, "better", pa.table({KEY: better}))

    def _placed(self, site: Site, number: int, centroids: Vectors, asked: Keys) -> Iterator[Placed]:
        """Yield the rows of one shard with their vectors and cells."""
        for batch in self.batches(site, number):
            rows, vectors = self.usable(batch, centroids.shape[1])
            if not len(rows):
                continue
            cells = assign_cells(vectors, centroids, self.probes, margin_of(self.similarity))
            table = pa.table({KEY: rows.keys, **self.keeper_columns(rows)})
            nodes = self._nodes(table, number, vectors, centroids[cells[:, 0]])
            is_query = pa.array(np.isin(rows.keys, asked))
            yield Placed(nodes.append_column("query", is_query), vectors, cells)

    def _nodes(
        self, table: pa.Table, number: int, vectors: Vectors, centroids: Vectors
    ) -> pa.Table:
        """Return `node_columns` of rows of shard `number`, given the centroid nearest to each."""
        nodes = node_columns(table.append_column(HOME, pa.repeat(np.int64(number), len(table))))
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
        joined = self.join(vectors, cells, site.chance.seed)
        if joined.left_out:
            what = f"times {TILE:,} rows of one cell were not compared with {TILE:,} others of it"
            yield note(self.op, what, joined.left_out)
        keys, leaders = nodes[KEY].to_numpy(), joined.leaders()
        found = (leaders != np.arange(len(keys))) & nodes["query"].to_numpy()
        if found.any():
            yield message(WHOLE, "found", pa.table({KEY: keys[found]}))
        grouped = pa.array(joined.similarity > 0)
        edges = edges_of(keys, vectors, joined, self.similarity)
        yield from clusters.post(edges, node_columns(nodes).filter(grouped))


def _keys(mail: Mail, kind: str) -> Keys:
    """Return the different keys in mail of one kind."""
    keys: Keys = np.unique(mail[kind][KEY].to_numpy()) if kind in mail else np.zeros(0, np.int64)
    return keys
