"""Keep equal numbers of rows from each cluster of vectors, so that no topic drowns the others."""

from typing import ClassVar, Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from pipelines.maths.arrays import Floats, Int64, UInt64
from pipelines.maths.select.mixture import share_out, tempered_shares
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.steps.select.prototypes import PrototypeSelection
from pipelines.steps.select.ranking import numbers_of


class ClusterSample(PrototypeSelection):
    """Keep a part of the rows that is balanced over clusters of their vectors.

    Spherical k-means finds `clusters` topics. Each gets the same share of what is kept; where a
    cluster has less, the others get the rest (water-filling). So common topics become rarer, and
    rare ones stay (as MetaCLIP does with the entries of a word list: Xu et al. 2023,
    https://arxiv.org/abs/2309.16671; by clusters: Vo et al. 2024,
    https://arxiv.org/abs/2405.15613). Within a cluster, rows are taken by `prefer` or at random.
    Cost: rows · clusters products of vectors; the rows of a sample and some numbers per row are
    shuffled. Reasons: `not_selected`, with the number of the row's cluster and how many of its rows
    are kept; `zero_vector`; `odd_vector` where the vector is shorter or longer than most.
    """

    one_place: ClassVar[bool] = True
    after_sign: ClassVar[tuple[str, ...]] = (
        "rows",
        "fraction",
        "tokens",
        "clusters",
        "temperature",
    )

    op: Literal["cluster_sample"] = "cluster_sample"
    rows: int | None = Field(default=None, ge=1)
    """Rows to keep, of all clusters together."""
    fraction: float | None = Field(default=None, gt=0, le=1)
    """Share to keep of the rows that have a vector."""
    tokens: int | None = Field(default=None, ge=1)
    """Words of text to keep, as `word_count` counts them, of all clusters together."""
    temperature: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Instead of equal shares: the share of a cluster is in proportion to size^(1/temperature). 1
    keeps the proportions, higher values come closer to equal shares."""
    prefer: str | None = None
    """Numeric column: the rows with its highest values are kept of each cluster; random rows if
    left out."""

    def sign(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return what `NonZeroVectors` does; refuse a `prefer` that holds no numbers."""
        self._preference(rows)
        return super().sign(rows, chance)

    def scores(self, rows: Rows, distance: Floats) -> Floats | None:
        """Return the preference of each row."""
        return self._preference(rows)

    def budgets(self, groups: UInt64, rows: Int64, weights: Int64) -> Int64:
        """Return what each cluster may have."""
        shares = np.ones(len(groups))
        if self.temperature is not None:
            shares = tempered_shares(weights, self.temperature)
        total = self.rows or self.tokens or round((self.fraction or 0) * int(rows.sum()))
        return share_out(total, shares, weights)

    def _preference(self, rows: Rows) -> Floats | None:
        return numbers_of(rows, self.prefer, "`prefer`") if self.prefer is not None else None
