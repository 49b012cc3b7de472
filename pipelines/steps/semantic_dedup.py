"""Drop rows whose vectors are nearly those of a kept row: FAISS, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.keepers import NODE, credentials
from pipelines.mail import Mail, Message, Round, home, home_number, message, scatter
from pipelines.neighbours import assign_cells, plan_cells, similar_pairs, train_centroids
from pipelines.rows import HOME, KEY
from pipelines.steps.clusters import verdicts_of_edges
from pipelines.steps.corpus import WHOLE, Site
from pipelines.steps.vectors import VectorCorpus, drawn_first, matrix, vector_column

_SAMPLE = 1 << 16
_FEWEST_PARTITIONS = 64


class SemanticDedup(VectorCorpus):
    """Drop rows whose vector is close to that of a kept row (cosine similarity).

    Small corpora are compared exactly. Above 20,000 rows, centroids are trained on a sample (FAISS
    k-means), each vector goes to its `probes` nearest, and vectors that meet are compared exactly,
    so a dropped row always has a neighbour at `similarity` or closer. Rows joined by such pairs
    form a cluster, of which one is kept: highest `prefer`, then longest, then smallest id. A zero
    vector is similar to nothing. Six shuffles; one float32 vector a row and probe. Reasons:
    `semantic_duplicate`, with the similarity to the row that is kept, or, in a chain, to the row it
    is `linked through`; `odd_vector` where the vector is shorter or longer than most.
    """

    op: Literal["semantic_dedup"] = "semantic_dedup"
    extra: ClassVar[str | None] = "semantic"
    imports: ClassVar[tuple[str, ...]] = ("faiss",)
    similarity: float = Field(default=0.95, gt=0, le=1)
    """Smallest cosine similarity of two duplicates."""
    probes: int = Field(default=4, ge=1, le=64)
    """Cells each vector is compared in; more find more pairs and cost more."""
    prefer: str | None = None
    """Numeric column of which the row with the highest value is kept."""

    def sample_size(self, total: int) -> int:
        """Return the rows that centroids are trained on, none for a single cell."""
        return 0 if plan_cells(total) == 1 else _SAMPLE

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
        path, cells = "", plan_cells(plan["total"][0].as_py())
        if cells > 1 and "sample" in mail:
            sample = matrix(drawn_first(mail["sample"], _SAMPLE)["vector"])
            centroids = train_centroids(sample, cells, seed=site.chance.seed)
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
            cells = assign_cells(vectors, centroids, self.probes)
            nodes = pa.table(
                {
                    KEY: rows.keys,
                    HOME: pa.repeat(np.int64(number), len(rows)),
                    **credentials(rows, self.prefer),
                    "vector": vector_column(vectors),
                }
            )
            which = np.repeat(np.arange(len(rows)), cells.shape[1])
            members = nodes.take(pa.array(which)).append_column("cell", pa.array(cells.ravel()))
            for address, part in scatter(members, cells.ravel() % partitions, "cells:{}".format):
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
        return verdicts_of_edges(mail["edge"], mail["node"], "semantic_duplicate", self.similarity)
