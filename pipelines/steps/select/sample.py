"""Keep a random part of the rows, of a known size."""

from typing import ClassVar, Literal

import pyarrow as pa

from pipelines.rows import Rows
from pipelines.rows.chance import Chance
from pipelines.steps.select.ranking import group_numbers
from pipelines.steps.select.selection import Selection


class Sample(Selection):
    """Keep a random sample of a known number or share of rows, or number of words.

    A seeded hash of the row ids decides: the rows with the smallest hashes are kept, so a larger
    sample with the same seed contains the smaller one. With `by`, every value of that column is
    sampled alike (stratified; null is a value too). Reason: `not_sampled`.
    """

    reason: ClassVar[str] = "not_sampled"

    op: Literal["sample"] = "sample"
    by: str | None = None
    """Column whose values are sampled separately, for instance the label."""

    def ranked(self, rows: Rows, chance: Chance) -> pa.Table:
        """Return the rows in random order, by stratum."""
        strata = group_numbers(rows.strings(self.by, "`by`")) if self.by is not None else None
        return self.ranking(rows, chance, groups=strata)
