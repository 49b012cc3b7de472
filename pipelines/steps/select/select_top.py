"""Keep the rows with the best scores."""

from typing import Literal

import numpy as np
import pyarrow as pa

from pipelines.maths.arrays import Floats, UInt64
from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.steps.select.ranking import group_numbers, numbers_of
from pipelines.steps.select.selection import Selection


class SelectTop(Selection):
    """Keep the rows with the highest scores: a known number or share of rows, or number of words.

    Rows without a score (null or NaN) come last, whatever the `order`. Among equal scores a seeded
    hash of the id decides. Reason: `not_selected`, with the row's score, and as threshold the score
    of the last row kept.
    """

    op: Literal["select_top"] = "select_top"
    by: str
    """Column of the scores: numbers of any kind."""
    order: Literal["highest", "lowest"] = "highest"
    """Which scores are the best."""
    per: str | None = None
    """Column, for instance the label: from the rows of each of its values, the best are selected
    separately; null is a value too."""

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
        """Factor that makes the higher score the better one."""
        return np.float64(1 if self.order == "highest" else -1)
