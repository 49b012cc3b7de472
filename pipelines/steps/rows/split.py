"""`split`: share the rows out to train, validation and test."""

import math
import re
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator

from pipelines.errors import UserError
from pipelines.rows import SPLIT, Rows, whole
from pipelines.rows.texts import texts_of
from pipelines.steps.step import Chance, Map

SPLIT_NAME = re.compile(r"\w+(\.\w+)*")
"""What `datasets` accepts as the name of a split."""
NOT_SPLITS = ("all", "readme.md", "dataset_dict.json")
"""The word that means every split, and the files that lie beside the folders of the splits."""


class Split(Map):
    """Put each row into a split at random, by its id or by a group.

    A row's split depends on the seed and its id (or group) alone, so a row stays in its split
    when others come or go. The shares are met as closely as chance allows: about ±0.5 % for 10,000
    rows or groups.
    """

    op: Literal["split"] = "split"

    shares: dict[str, float] = Field(default={"train": 0.9, "validation": 0.1})
    """Share of the rows that each split gets; they add up to 1."""
    group: str | None = None
    """Column whose equal values stay together (an author, a film, a patient), so that none of them
    is in two splits; a null belongs to no group."""

    @field_validator("shares")
    @classmethod
    def _shares_fit(cls, shares: dict[str, float]) -> dict[str, float]:
        if not shares:
            raise UserError("name at least one split, such as train: 1.0")
        for name, share in shares.items():
            if not SPLIT_NAME.fullmatch(name) or name[0] == "_" or name.lower() in NOT_SPLITS:
                raise UserError(
                    f"split name {name!r} is not allowed: use letters, digits, `_` and inner dots,"
                    " a letter or digit first (and not `all`, which means every split, or the name"
                    " of a file that stands beside the splits)"
                )
            if not 0 < share <= 1:
                raise UserError(f"share of {name} is {share}; allowed: above 0, at most 1")
        if len({name.lower() for name in shares}) < len(shares):
            raise UserError(
                f"split names {', '.join(shares)} differ in case alone: some disks see one folder"
            )
        total = math.fsum(shares.values())
        if abs(total - 1) > 1e-9:
            raise UserError(f"shares add up to {total:g}, not to 1: {shares}")
        return shares

    def adds(self) -> tuple[str, ...]:
        """Return the column that names the split."""
        return (SPLIT,)

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the rows with the column `_split`."""
        inner_edges = np.cumsum(list(self.shares.values()))[:-1]
        place = np.searchsorted(inner_edges, chance.uniform(self._drawn_by(rows)), side="right")
        return rows.replace(SPLIT, pa.array(list(self.shares), pa.string()).take(pa.array(place)))

    def _drawn_by(self, rows: Rows) -> pa.Array:
        """Return what decides the split of each row: its group, or else its id."""
        if self.group is None:
            return rows.ids
        groups = pa.chunked_array([rows.column(self.group, "group")])
        return whole(pc.coalesce(texts_of(groups), rows.ids))
