"""What all steps that drop duplicates share: the options that say which of them is kept."""

from typing import ClassVar, Self

import pyarrow as pa
from pydantic import model_validator

from pipelines.errors import UserError
from pipelines.rows import Rows
from pipelines.steps.corpus import Corpus
from pipelines.steps.dedup.clusters.keepers import Keep, keeper_columns


class Dedup(Corpus):
    """A corpus step that keeps one row of each group of duplicates."""

    after_sign: ClassVar[tuple[str, ...]] = ("against",)
    stores: ClassVar[bool] = True

    prefer: str | None = None
    """Column that decides first which row is kept: the one with the highest number, or with the
    value that comes first in `order`."""
    order: tuple[str, ...] = ()
    """Values of `prefer`, best first, such as sources; rows of other values come last."""
    keep: Keep = "longest"
    """Which row is kept of those that `prefer` does not tell apart: the one with the longest
    content, the first in the input (files in their order, then rows), or the one with the smallest
    id. Among rows that are still equal, the smallest id decides."""

    against: str | tuple[str, ...] = ()
    """Output folder, or several, of earlier runs of this step with `write: {keys: true}`. What is
    like a row that entered the step in such a run is dropped here. The keys of these runs are read,
    not their rows. With `keep: earliest`, all deliveries together keep what one run over all rows
    would, except that rows delivered earlier stay even if a later row links them."""

    @model_validator(mode="after")
    def _order_is_of_a_column(self) -> Self:
        if self.order and self.prefer is None:
            raise UserError(
                f"order ({', '.join(self.order)}) lists values of the column that `prefer` names, "
                "best first: give `prefer` too, such as prefer: source"
            )
        return self

    def keeper_columns(self, rows: Rows) -> dict[str, pa.Array]:
        """Return the columns by which the keeper is chosen: see `clusters.keepers`."""
        if rows.are_earlier:  # these are kept anyway
            return keeper_columns(rows, None, "smallest_id")
        return keeper_columns(rows, self.prefer, self.keep, self.order)
