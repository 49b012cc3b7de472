"""What all steps that drop duplicates share: the options that say which of them is kept."""

from typing import ClassVar, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from pipelines.errors import UserError
from pipelines.rows import KEY, Rows
from pipelines.steps.corpus import Corpus
from pipelines.steps.dedup.clusters.conflicts import LABEL, LABEL_CONFLICT, Conflicts, label_hashes
from pipelines.steps.dedup.clusters.keepers import Keep, keeper_columns


class Dedup(Corpus):
    """A corpus step that keeps one row of each group of duplicates."""

    after_sign: ClassVar[tuple[str, ...]] = ("against", "conflicts")
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

    conflicts: Conflicts = "keep"
    """What is done where a kept row and its duplicates have different labels (in the column that
    `read: label` names): `keep` lets the label of the kept row stand, and the run warns of it;
    `drop_all` drops them all, reason `label_conflict`; `majority` keeps the best row of the label
    that most of them have, or drops all where two labels are equally frequent. Rows without a label
    contradict nobody, and labels of rows of earlier runs are not known."""

    against: str | tuple[str, ...] = ()
    """Output folder, or several, of earlier runs of this step with `write: {keys: true}`. What is
    like a row that such a run kept at this step is dropped here; with `link: chain`, what is like
    any row that entered it. The keys of these runs are read, not their rows. With `keep: earliest`,
    all deliveries together keep what one run over all rows would, except that, with `link: chain`,
    rows delivered earlier stay even if a later row links them."""

    @model_validator(mode="after")
    def _order_is_of_a_column(self) -> Self:
        if self.order and self.prefer is None:
            raise UserError(
                f"order ({', '.join(self.order)}) lists values of the column that `prefer` names, "
                "best first: give `prefer` too, such as prefer: source"
            )
        return self

    def forgotten(self, verdicts: pa.Table) -> pa.ChunkedArray:
        """Return the keys of the rows that are dropped for one they are similar to."""
        if getattr(self, "link", "chain") == "chain":
            return super().forgotten(verdicts)
        return verdicts[KEY].filter(pc.not_equal(verdicts["reason"], LABEL_CONFLICT))

    def keeper_columns(self, rows: Rows) -> dict[str, pa.Array]:
        """Return the columns by which the keeper is chosen, and its label: see `clusters`."""
        if rows.are_earlier:  # these are kept anyway
            chosen = keeper_columns(rows, None, "smallest_id")
        else:
            chosen = keeper_columns(rows, self.prefer, self.keep, self.order)
        return {**chosen, LABEL: label_hashes(rows)}
