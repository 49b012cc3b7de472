"""Keep the rows far from, or near to, the prototypes of the corpus."""

from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from pipelines.maths.arrays import Floats, UInt64
from pipelines.rows import Rows
from pipelines.steps.select.prototypes import PrototypeSelection


class PrunePrototypes(PrototypeSelection):
    """Keep the least (or the most) prototypical rows: prune by distance to the cluster's centroid.

    Self-supervised prototypes (Sorscher et al. 2022, Beyond neural scaling laws,
    https://arxiv.org/abs/2206.14486): spherical k-means, then rows rank by 1 - cosine to their
    centroid. Far rows are hard to learn: keep them if there is plenty of data. Near rows are easy:
    keep them if data is scarce. After `semantic_dedup` this is D4 (Tirumala et al. 2023,
    https://arxiv.org/abs/2308.12284): duplicates would pull centroids towards themselves. Junk is
    far as well: filter before. Cost: rows · clusters products of vectors; the rows of a sample and
    some numbers per row are shuffled. Reasons: `not_selected`, with the distance of the row, and as
    threshold that of the last row kept; `zero_vector`; `odd_vector` where the vector is shorter or
    longer than most.
    """

    after_sign: ClassVar[tuple[str, ...]] = (
        "rows",
        "fraction",
        "tokens",
        "clusters",
        "keep",
        "per_cluster",
    )

    op: Literal["prune_prototypes"] = "prune_prototypes"
    keep: Literal["far", "near"] = "far"
    """Which rows are kept: those far from the centroid of their cluster, or those near to it."""
    per_cluster: bool = False
    """Whether each cluster has the budget for itself. If not, the budget is for the whole corpus,
    and loose clusters keep more of their rows than dense ones."""
    rows: int | None = Field(default=None, ge=1)
    """Rows to keep, with `per_cluster` of each cluster; fewer only if there are fewer."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share to keep of the rows that have a vector, with `per_cluster` of each cluster."""
    tokens: int | None = Field(default=None, ge=1)
    """Words of text to keep, as `word_count` counts them, with `per_cluster` of each cluster."""

    @property
    def by_cluster(self) -> bool:
        """Whether each cluster has a budget of its own."""
        return self.per_cluster

    def scores(self, rows: Rows, distance: Floats) -> Floats | None:
        """Return the distance of each row, or its negative if near rows are kept."""
        return distance if self.keep == "far" else -distance

    def evidence(self, scores: Floats, cuts: Floats, hashes: UInt64) -> tuple[Floats, Floats]:
        """Return the distance of each row and that of the last row kept."""
        return np.abs(scores), np.abs(cuts)
