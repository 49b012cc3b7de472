"""Choose which columns the next steps get."""

from typing import Literal

from pydantic import Field, field_validator

from pipelines.errors import UserError
from pipelines.rows import ID, KEY, PARENT, SPLIT, MissingColumn, Rows
from pipelines.steps.step import Chance, Map

_OURS = (KEY, ID, PARENT, SPLIT)


class DropColumns(Map):
    """Leave columns out from here on, such as vectors that later steps no longer need.

    The run stops with MissingColumn if a column is not there.
    """

    op: Literal["drop_columns"] = "drop_columns"
    columns: tuple[str, ...] = Field(min_length=1)
    """Names of the columns."""

    @field_validator("columns")
    @classmethod
    def _not_ours(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        taken = [name for name in names if name in _OURS]
        if taken:
            raise UserError(f"{taken[0]} is how rows are accounted for; it cannot be left out")
        return names

    def apply(self, rows: Rows, chance: Chance) -> Rows:
        """Return the rows without the columns."""
        for name in self.columns:
            if name not in rows.table.column_names:
                have = ", ".join(n for n in rows.table.column_names if n not in _OURS)
                raise MissingColumn(f"drop_columns: no column {name!r}; the rows have: {have}")
        return Rows(rows.table.drop_columns(list(self.columns)), rows.columns)
