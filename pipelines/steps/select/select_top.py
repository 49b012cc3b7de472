"""Keep the rows with the best scores."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Floats, UInt64
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.steps.select.selection import Selection, group_numbers, numbers_of


class SelectTop(Selection):
    """Keep the rows with the highest scores: a known number or share of rows, or number of words.

    Rows without a score (null or NaN) come last, whatever the `order`. Among equal scores a seeded
    hash of the id decides. Reason: `not_selected`, with the row's score, and the score of the last
    row kept as threshold.
    """

    op: Literal["select_top"] = "select_top"
    by: str
    """Column of the scores: numbers of any kind."""
    order: Literal["highest", "lowest"] = "highest"
    """Which scores are the best."""
    per: str | None = None
    """Column whose values are selected from separately, for instance the label; null is a value
    too."""

    def ranked(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return the rows by score and group."""
        scores = self._sign * numbers_of(rows, self.by, "`by`")
        groups = group_numbers(rows.strings(self.per, "`per`")) if self.per is not None else None
        return self.ranking(rows, chance, scores, groups)

    def evidence(self, scores: Floats, cuts: Floats, hashes: UInt64) -> tuple[Floats, Floats]:
        """Return the score of each row and that of the last row kept."""
        return self._sign * scores, self._sign * cuts

    @property
    def _sign(self) -> np.float64:
        """What makes higher the better score."""
        return np.float64(1 if self.order == "highest" else -1)
