"""The shape of every selection by clusters of vectors: sample → prototypes → ranks → cut."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.exchange.mail import Mail, Message, Round, home, home_number, message
from pipelines.maths.arrays import Floats, Int64, UInt64
from pipelines.maths.vectors.spherical_kmeans import (
    MOST_CLUSTERS,
    nearest_prototype,
    sample_for,
    train_prototypes,
)
from pipelines.rows import HOME, Rows
from pipelines.steps.corpus import Site, send_home
from pipelines.steps.select.selection import Selection
from pipelines.steps.vectors.nonzero_vectors import NonZeroVectors
from pipelines.steps.vectors.vector_columns import drawn_first, vector_matrix


class PrototypeSelection(NonZeroVectors, Selection):
    """A selection by the cluster of each row and its distance to the centroid.

    Centroids are trained on at most 65,536 rows, and each row belongs to the nearest: rows ·
    clusters products of vectors. One float32 vector per row of that sample is shuffled, besides
    what `Selection` shuffles.
    """

    extra: ClassVar[str | None] = "semantic"
    imports: ClassVar[tuple[str, ...]] = ("faiss",)
    clusters: int = Field(default=100, ge=2, le=MOST_CLUSTERS)
    """Clusters of the k-means; there are fewer only if there are fewer rows."""

    @property
    def by_cluster(self) -> bool:
        """Whether each cluster has a budget of its own."""
        return True

    @abstractmethod
    def scores(self, rows: Rows, distance: Floats) -> Floats | None:
        """Return the scores by which rows rank, highest first; None for a random order.

        Args:
            rows: a batch without zero vectors.
            distance: 1 - cosine of each row to the centroid of its cluster.
        """

    def details(self, groups: UInt64, kept: Int64, rows: Int64) -> list[str]:
        """Return how many rows are kept, and of which cluster."""
        said = super().details(groups, kept, rows)
        return [f"cluster {group}: {of}" for group, of in zip(groups.tolist(), said, strict=True)]

    def sample_size(self, total: int) -> int:
        """Return the number of rows that centroids are trained on."""
        return sample_for(self.clusters)

    def rounds(self, site: Site) -> tuple[Round, ...]:
        """Return the rounds sample → centroids → ranks → verdicts."""

        def train(address: str, mail: Mail) -> Iterator[Message]:
            return self._train(site, mail)

        def rank(address: str, mail: Mail) -> Iterator[Message]:
            return self._rank(site, home_number(address), mail["prototypes"])

        return (
            *self.draw_rounds(site),
            Round(("plan", "sample"), train),
            Round(("prototypes",), rank),
            *self.cut_rounds(site),
        )

    def _train(self, site: Site, mail: Mail) -> Iterator[Message]:
        """Train centroids on the sample and store them where every shard can read them."""
        plan = mail["plan"]
        prototypes = np.zeros((0, plan["dimensions"][0].as_py()), np.float32)
        if "sample" in mail:
            sample = drawn_first(mail["sample"], sample_for(self.clusters))
            seed = site.chance.seed
            prototypes = train_prototypes(vector_matrix(sample["vector"]), self.clusters, seed)
        path = site.store(f"prototypes-{site.chance.step}.npz", prototypes=prototypes)
        for number in plan[HOME].to_pylist():
            yield message(home(number), "prototypes", pa.table({"path": [path]}))

    def _rank(self, site: Site, number: int, told: pa.Table) -> Iterator[Message]:
        """Rank the rows of one shard; drop those with a zero vector."""
        prototypes = site.load(told["path"][0].as_py())["prototypes"]
        ranked = []
        for batch in site.rows(number):
            rows, vectors, verdicts = self.placed(batch, prototypes.shape[1])
            yield from send_home(verdicts, np.full(len(verdicts), number))
            if len(rows):
                cluster, distance = nearest_prototype(vectors, prototypes)
                groups = cluster.astype(np.uint64) if self.by_cluster else None
                scores = self.scores(rows, distance)
                ranked.append(self.ranking(rows, site.chance, scores, groups))
        if ranked:
            yield from self.enter(site, number, pa.concat_tables(ranked))
