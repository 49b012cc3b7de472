"""Drop rows whose vectors are nearly those of a kept row: FAISS, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.keepers import NODE, credentials, keeper_order
from pipelines.keys import Keys
from pipelines.mail import Mail, Message, Round, home, home_number, message, scatter
from pipelines.neighbours import (
    SAMPLE_A_CELL,
    Vectors,
    assign_cells,
    join_similar,
    margin_of,
    plan_cells,
    similarities,
    train_centroids,
)
from pipelines.rows import HOME, KEY
from pipelines.steps.clusters import verdicts_of_edges
from pipelines.steps.corpus import WHOLE, Site
from pipelines.steps.vectors import VectorCorpus, drawn_first, matrix, vector_column

_MOST_SAMPLED = 1 << 16
_FEWEST_PARTITIONS = 64


class SemanticDedup(VectorCorpus):
    """Drop rows whose vector is close to that of a kept row (cosine similarity).

    Small corpora are compared exactly. Above 20,000 rows, centroids are trained on a sample (FAISS
    k-means), each vector goes to its nearest, at most `probes`, and vectors that meet are compared
    exactly, so a dropped row always has a neighbour at `similarity` or closer. Rows joined by such
    pairs form a cluster, of which one is kept: highest `prefer`, then longest, then smallest id. A
    zero vector is similar to nothing. Six shuffles; one float32 vector a row and probe; memory does
    not grow with the number of similar pairs. Reasons: `semantic_duplicate`, with the similarity to
    the row that is kept, or, if that is too low or they never met, to the closest it was compared
    with, which it is `linked through`; `odd_vector` where the vector is shorter or longer than
    most.
    """

    op: Literal["semantic_dedup"] = "semantic_dedup"
    extra: ClassVar[str | None] = "semantic"
    imports: ClassVar[tuple[str, ...]] = ("faiss",)
    similarity: float = Field(default=0.95, gt=0, le=1)
    """Smallest cosine similarity of two duplicates."""
    probes: int = Field(default=4, ge=1, le=64)
    """Most cells each vector is compared in; more find more pairs and cost more."""
    prefer: str | None = None
    """Numeric column of which the row with the highest value is kept."""

    def sample_size(self, total: int) -> int:
        """Return the rows that centroids are trained on, none for a single cell."""
        cells = plan_cells(total)
        return 0 if cells == 1 else min(_MOST_SAMPLED, cells * SAMPLE_A_CELL)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds sample → centroids → cells → edges → verdicts."""

        def train(address: str, mail: Mail) -> Iterator[Message]:
            return self._train(site, mail)

        def spread(address: str, mail: Mail) -> Iterator[Message]:
            return self._spread(site, home_number(address), mail["cells"])

        return (
            *self.draw_rounds(site),
            Round(("plan", "sample"), train),
            Round(("cells",), spread),
            Round(("member",), self._compare),
            Round(("edge", "node"), self._cluster),
        )

    def _train(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Train centroids on the sample and store them where every shard can read them."""
        plan = mail["plan"]
        path, total = "", plan["total"][0].as_py()
        wanted = self.sample_size(total)
        if wanted and "sample" in mail:
            sample = matrix(drawn_first(mail["sample"], wanted)["vector"])
            centroids = train_centroids(sample, plan_cells(total), seed=site.chance.seed)
            path = site.store(f"centroids-{site.chance.step}.npz", centroids=centroids)
        told = pa.table({"path": [path], "dimensions": plan["dimensions"].slice(0, 1)})
        for number in plan[HOME].to_pylist():
            yield message(home(number), "cells", told)

    def _spread(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Send each vector of one shard to its nearest cells."""
        path, dimensions = told["path"][0].as_py(), told["dimensions"][0].as_py()
        centroids = site.load(path)["centroids"] if path else np.zeros((1, dimensions), np.float32)
        partitions = max(_FEWEST_PARTITIONS, site.shards // 8)
        for batch in site.rows(number):
            rows, vectors = self.usable(batch, dimensions)
            cells = assign_cells(vectors, centroids, self.probes, margin_of(self.similarity))
            nodes = pa.table(
                {
                    KEY: rows.keys,
                    HOME: pa.repeat(np.int64(number), len(rows)),
                    **credentials(rows, self.prefer),
                    "vector": vector_column(vectors),
                }
            )
            which, probe = np.nonzero(cells >= 0)
            cell = cells[which, probe]
            members = nodes.take(pa.array(which)).append_column("cell", pa.array(cell))
            for address, part in scatter(members, cell % partitions, "cells:{}".format):
                yield message(address, "member", part)

    def _compare(self, address: str, mail: Mail) -> Iterator[Message]:
        """Compare the vectors of each cell with each other, the row that would be kept first."""
        members = mail["member"]
        order = keeper_order(members["cell"].to_numpy(), members)
        cells = members["cell"].to_numpy()[order]
        bounds = np.flatnonzero(np.concatenate([[True], np.diff(cells) != 0, [True]]))
        for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            cell = members.take(pa.array(order[start:stop]))
            edges = self._edges(cell[KEY].to_numpy(), matrix(cell["vector"]))
            if len(edges):
                yield message(WHOLE, "edge", edges)
                ends = np.union1d(edges["a"].to_numpy(), edges["b"].to_numpy())
                met = np.isin(cell[KEY].to_numpy(), ends)
                yield message(WHOLE, "node", cell.select(NODE).filter(pa.array(met)))

    def _edges(self, keys: Keys, vectors: Vectors) -> pa.Table:
        """Return at most two edges a row: to the first row of its group and to its closest.

        They hold the components of the cell and all evidence that a verdict can need: a row that is
        kept of the corpus is the first of its group in each cell.
        """
        joined = join_similar(vectors, self.similarity)
        _, first, group = np.unique(joined.group, return_index=True, return_inverse=True)
        leader = first[group]
        row = np.flatnonzero(leader != np.arange(len(keys)))
        leader, closest = leader[row], joined.closest[row]
        to_leader = similarities(vectors[row], vectors[leader])
        to_leader[to_leader < self.similarity] = np.nan  # in the group through others
        other = closest != leader
        return pa.table(
            {
                "a": keys[np.concatenate([row, row[other]])],
                "b": keys[np.concatenate([leader, closest[other]])],
                "similarity": np.concatenate([to_leader, joined.similarity[row[other]]]),
            }
        )

    def _cluster(self, address: str, mail: Mail) -> Iterator[Message]:
        """Keep one row of each cluster."""
        return verdicts_of_edges(mail["edge"], mail["node"], "semantic_duplicate", self.similarity)
